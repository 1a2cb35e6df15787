"""Makes small PEFT adapters of the kinds that people hold, with the real packages, and compares what melo predicts with
them, straight from the folder, with what the packages do: from an image file to probabilities.

    go build -o melo ./cmd/melo
    python tools/exchange/adapters.py ./melo FOLDER
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import peft
import timm
import timm.data
import torch
import transformers as tf
from PIL import Image

warnings.filterwarnings("ignore")
tf.utils.logging.set_verbosity_error()
MELO, OUT = sys.argv[1], Path(sys.argv[2])
ONLY = set(sys.argv[3:])
SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8)
LABELS = {0: "benign", 1: "malignant", 2: "normal"}


def shake(model, match=None, std=0.3):
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if match is None or match in n:
                r = torch.randn(p.shape, generator=g)
                p.copy_(r * std if p.ndim < 2 else r / p[0].numel() ** 0.5)
    return model.eval()


def base(d):
    m = shake(tf.ViTForImageClassification(tf.ViTConfig(**SMALL, id2label=LABELS, label2id={v: k for k, v in LABELS.items()})))
    m.save_pretrained(d)
    tf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(d)
    return m


def predict(base, adapter, paths):
    r = subprocess.run([MELO, "--json", "predict", "--base", str(base), "--adapter", str(adapter), *map(str, paths)], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip().splitlines()[-1])
    doc = json.loads(r.stdout)
    return np.array([r["probabilities"] for r in doc["results"]])


KINDS = {
    "qv": dict(target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"]),
    "all_linear": dict(target_modules="all-linear"),
    "all_linear_saved": dict(target_modules="all-linear", modules_to_save=["classifier"]),
    "classifier": dict(target_modules=["q_proj", "classifier"]),
    "headless": dict(target_modules=["q_proj", "v_proj"]),
    "rslora": dict(target_modules=["q_proj", "fc1", "fc2"], use_rslora=True, modules_to_save=["classifier"]),
    "bias_lora": dict(target_modules=["q_proj", "v_proj"], bias="lora_only", modules_to_save=["classifier"]),
    "dora": dict(target_modules=["q_proj", "v_proj"], use_dora=True, modules_to_save=["classifier"]),
}
OTHERS = {"loha": peft.LoHaConfig, "lokr": peft.LoKrConfig, "adalora": peft.AdaLoraConfig, "vera": peft.VeraConfig, "ia3": peft.IA3Config, "oft": peft.OFTConfig}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    paths = []
    for w, h in [(301, 260), (61, 90)]:
        paths.append(OUT / f"p{w}.png")
        Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)).save(paths[-1])
    root = OUT / "base"
    base(root)
    processor = tf.AutoImageProcessor.from_pretrained(root)
    x = torch.cat([processor(Image.open(p), return_tensors="pt")["pixel_values"] for p in paths])
    for name, kw in KINDS.items():
        if ONLY and name not in ONLY:
            continue
        d = OUT / name
        m = peft.get_peft_model(tf.ViTForImageClassification.from_pretrained(root), peft.LoraConfig(r=4, lora_alpha=6, **kw))
        shake(m, "lora_")
        if "modules_to_save" in kw:
            shake(m, "modules_to_save")
        if kw.get("bias"):
            with torch.no_grad():
                for n, p in m.named_parameters():
                    if n.endswith("bias") and "classifier" not in n:
                        p.add_(0.1)
        m.eval().save_pretrained(d)
        again = peft.PeftModel.from_pretrained(tf.ViTForImageClassification.from_pretrained(root), d).eval()
        with torch.no_grad():
            want = torch.softmax(again(x).logits, -1).numpy()
        for form in ("safetensors", "bin"):
            if form == "bin":
                from safetensors.torch import load_file
                sd = load_file(d / "adapter_model.safetensors")
                torch.save(sd, d / "adapter_model.bin")
                (d / "adapter_model.safetensors").unlink()
            try:
                got = predict(root, d, paths)
                print(f"{name:20s} {form:12s} {abs(got - want).max():.1e}")
            except Exception as e:
                print(f"{name:20s} {form:12s} {str(e)[:220]}")
        merged = again.merge_and_unload()
        out = OUT / f"{name}-merged"
        r = subprocess.run([MELO, "convert", "--merge", "--base", str(root), str(d), str(out)], capture_output=True, text=True)
        if r.returncode:
            print(f"{name:20s} merge        {r.stderr.strip().splitlines()[-1][:220]}")
            continue
        back = tf.ViTForImageClassification.from_pretrained(out).eval()
        with torch.no_grad():
            print(f"{name:20s} merge        {(torch.softmax(back(x).logits, -1) - torch.tensor(want)).abs().max():.1e}")
    for name, cls in OTHERS.items():
        if ONLY and name not in ONLY:
            continue
        try:
            extra = {"total_step": 10} if name == "adalora" else {}
            m = peft.get_peft_model(tf.ViTForImageClassification.from_pretrained(root), cls(target_modules=["q_proj", "v_proj"], **extra,
                                                                                           **({"feedforward_modules": []} if name == "ia3" else {})))
            m.save_pretrained(OUT / name)
            predict(root, OUT / name, paths)
            print(f"{name:20s} accepted: WRONG")
        except Exception as e:
            print(f"{name:20s} {str(e)[:200]}")


main()
