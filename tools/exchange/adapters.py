"""Makes small PEFT adapters of the kinds that people hold, with the real packages, and compares what melo makes of them,
straight from the folder, with what the packages do: from an image file of odd size to logits.

    go build -o melo ./cmd/melo
    python tools/exchange/adapters.py ./melo FOLDER [NAME...]

A NAME "random:SEED:COUNT" draws so many kinds at random, several of PEFT's options together; what is refused of these is
listed for a person to judge. A line an adapter: the largest difference of the logits, relative to the largest; or why it was refused. What is wrong, or
refused without being expected to, fails. `predict`, `convert --merge` (loaded again by the package) and `serve` are asked.
"""

import json
import random
import subprocess
import sys
import time
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import peft
import timm
import timm.data
import torch
import transformers as tf
from PIL import Image
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
tf.utils.logging.set_verbosity_error()
tf.utils.logging.disable_progress_bar()
MELO, OUT = sys.argv[1], Path(sys.argv[2])
ONLY = set(sys.argv[3:])
SMALL = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8)
NAMES = ["benign", "malignant", "normal"]
LABELS = dict(id2label=dict(enumerate(NAMES)), label2id={v: k for k, v in enumerate(NAMES)})


def shake(model, match=None, seed=1):
    """Every parameter whose name has match, far from its initial value."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if match is None or match in n:
                r = torch.randn(p.shape, generator=g)
                if "magnitude" in n:
                    p.mul_(1 + 0.3 * r.abs())
                elif p.ndim < 2:
                    p.copy_(r * 0.3 + (1 if "norm" in n and n.endswith("weight") else 0))
                else:
                    p.copy_(r / p[0].numel() ** 0.5)
    return model.eval()


def hf(cls, config, processor):
    def make(d):
        shake(cls(config)).save_pretrained(d)
        processor.save_pretrained(d)
    return make, lambda d: cls.from_pretrained(d).eval(), lambda m, x: m(x).logits, \
        lambda d: (lambda p: lambda im: p(im, return_tensors="pt")["pixel_values"])(tf.AutoImageProcessor.from_pretrained(d))


def timm_base(name, **kw):
    args = dict(img_size=32, patch_size=8, embed_dim=48, depth=3, num_heads=4, num_classes=3) | kw

    def make(d):
        timm.models.save_for_hf(shake(timm.create_model(name, **args)), d, model_config={"pretrained_cfg": {"input_size": [3, 32, 32]}, "label_names": NAMES})

    def prepare(d):
        m = timm.create_model(f"local-dir:{d}", pretrained=True)
        t = timm.data.create_transform(**timm.data.resolve_model_data_config(m), is_training=False)
        return lambda im: t(im)[None]
    return make, lambda d: timm.create_model(f"local-dir:{d}", pretrained=True).eval(), lambda m, x: m(x), prepare


VIT = tf.ViTImageProcessor(size={"height": 32, "width": 32})
DINO = tf.BitImageProcessor(size={"shortest_edge": 33}, crop_size={"height": 28, "width": 28})
BASES = {
    "vit": hf(tf.ViTForImageClassification, tf.ViTConfig(**SMALL, **LABELS), VIT),
    "deit2": hf(tf.DeiTForImageClassificationWithTeacher, tf.DeiTConfig(**SMALL, **LABELS), VIT),
    "dinov2": hf(tf.Dinov2ForImageClassification, tf.Dinov2Config(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=42, patch_size=7, **LABELS), DINO),
    "swiglu": hf(tf.Dinov2WithRegistersForImageClassification, tf.Dinov2WithRegistersConfig(
        hidden_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=42, patch_size=7, use_swiglu_ffn=True, **LABELS), DINO),
    "clip": hf(tf.CLIPForImageClassification, tf.CLIPConfig(vision_config=dict(SMALL), text_config=dict(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50), **LABELS),
        tf.CLIPImageProcessor(size={"shortest_edge": 33}, crop_size={"height": 32, "width": 32})),
    "timm": timm_base("vit_base_patch16_224"),
    "timmreg": timm_base("vit_small_patch14_reg4_dinov2"),
    "timmavg": timm_base("vit_base_patch16_224", global_pool="avg"),
    "siglip": hf(tf.SiglipForImageClassification, tf.SiglipConfig(vision_config=dict(SMALL), text_config=dict(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50), **LABELS), tf.SiglipImageProcessor(size={"height": 32, "width": 32})),
    "beit": hf(tf.BeitForImageClassification, tf.BeitConfig(**SMALL, use_relative_position_bias=True, **LABELS), VIT),
    "data2vec": hf(tf.Data2VecVisionForImageClassification, tf.Data2VecVisionConfig(**SMALL, use_shared_relative_position_bias=True, **LABELS), VIT),
    "ijepa": hf(tf.IJepaForImageClassification, tf.IJepaConfig(**SMALL, **LABELS), VIT),
    "msn": hf(tf.ViTMSNForImageClassification, tf.ViTMSNConfig(**SMALL, **LABELS), VIT),
    "timmsiglip": timm_base("vit_base_patch16_siglip_224"),
    "timmdinov3": timm_base("vit_small_patch16_dinov3"),
    "timmdinov3plus": timm_base("vit_small_plus_patch16_dinov3"),
    "timmeva": timm_base("eva02_base_patch14_448"),
    "timmevasmall": timm_base("eva02_small_patch14_224"),
    "timmbeit": timm_base("beitv2_base_patch16_224"),
}
QV, HEAD = ["q_proj", "v_proj"], ["classifier"]
# name: base, arguments of LoraConfig, what is done to the folder afterwards
KINDS = {
    "qv": ("vit", dict(target_modules=QV, modules_to_save=HEAD)),
    "headless": ("vit", dict(target_modules=QV)),
    "all_linear": ("vit", dict(target_modules="all-linear")),
    "all_linear_saved": ("vit", dict(target_modules="all-linear", modules_to_save=HEAD)),
    "classifier": ("vit", dict(target_modules=["q_proj", "classifier"])),
    "classifier_only": ("vit", dict(target_modules=HEAD)),
    "rslora": ("vit", dict(target_modules=["q_proj", "fc1", "fc2"], use_rslora=True, modules_to_save=HEAD)),
    "patterns": ("vit", dict(target_modules=["q_proj", "k_proj", "o_proj"], rank_pattern={"layers.1.attention.q_proj": 7, "k_proj": 3},
                             alpha_pattern={r".*\.0\..*q_proj": 11, "o_proj": 3})),
    "patterns_head": ("vit", dict(target_modules=["q_proj", "classifier"], rank_pattern={"classifier": 2}, alpha_pattern={"classifier": 9})),
    "regex": ("vit", dict(target_modules=r".*layers\.(0|2)\.attention\.(q|k)_proj", modules_to_save=HEAD)),
    "exclude": ("vit", dict(target_modules="all-linear", exclude_modules=["classifier", "vit.layers.1.mlp.fc1"])),
    "exclude_regex": ("vit", dict(target_modules=QV, exclude_modules=r".*\.1\..*", modules_to_save=HEAD)),
    "layers": ("vit", dict(target_modules=QV, layers_to_transform=[0, 2], modules_to_save=HEAD)),
    "layers_one": ("vit", dict(target_modules=QV, layers_to_transform=1, layers_pattern="layers")),
    "bias_lora": ("vit", dict(target_modules=QV, bias="lora_only", modules_to_save=HEAD)),
    "bias_lora_headless": ("vit", dict(target_modules=["q_proj", "fc1", "classifier"], bias="lora_only")),
    "bias_all": ("vit", dict(target_modules=QV, bias="all", modules_to_save=HEAD)),
    "bias_all_headless": ("vit", dict(target_modules=QV, bias="all")),
    "lora_bias": ("vit", dict(target_modules=QV, lora_bias=True, modules_to_save=HEAD)),
    "lora_bias_head": ("vit", dict(target_modules=["fc2", "classifier"], lora_bias=True)),
    "dora": ("vit", dict(target_modules=QV, use_dora=True, modules_to_save=HEAD)),
    "dora_all": ("vit", dict(target_modules="all-linear", use_dora=True, use_rslora=True)),
    "dora_bias": ("vit", dict(target_modules=["fc1", "k_proj"], use_dora=True, bias="lora_only")),
    "patch": ("vit", dict(target_modules=["projection", "q_proj"], modules_to_save=HEAD)),
    "patch_dora": ("vit", dict(target_modules=["projection", "q_proj"], use_dora=True, modules_to_save=HEAD)),
    "saved_norm": ("vit", dict(target_modules=QV, modules_to_save=["classifier", "layernorm"])),
    "saved_norms": ("vit", dict(target_modules=QV, modules_to_save=["classifier", "layernorm_before"])),
    "saved_patch": ("vit", dict(target_modules=QV, modules_to_save=["patch_embeddings"])),
    "dora_patterns": ("vit", dict(target_modules=["q_proj", "fc2"], use_dora=True, rank_pattern={"fc2": 3}, alpha_pattern={"fc2": 5}, modules_to_save=HEAD)),
    "saved_block": ("vit", dict(target_modules=["layers.0.attention.q_proj"], modules_to_save=["layers.2.mlp.fc1"])),
    "gaussian": ("vit", dict(target_modules=QV, init_lora_weights="gaussian", modules_to_save=HEAD)),
    "orthogonal": ("vit", dict(target_modules=QV, init_lora_weights="orthogonal", modules_to_save=HEAD)),
    "alpha_float": ("vit", dict(target_modules=QV, lora_alpha=2.5, modules_to_save=HEAD)),
    "deit_two": ("deit2", dict(target_modules=QV, modules_to_save=["cls_classifier", "distillation_classifier"])),
    "deit_headless": ("deit2", dict(target_modules=QV)),
    "deit_adapted": ("deit2", dict(target_modules=["q_proj", "cls_classifier", "distillation_classifier"])),
    "deit_one_adapted": ("deit2", dict(target_modules=["q_proj", "cls_classifier"])),
    "deit_one_saved": ("deit2", dict(target_modules=["q_proj"], modules_to_save=["distillation_classifier"])),
    "deit_all_linear": ("deit2", dict(target_modules="all-linear")),
    "dinov2_qv": ("dinov2", dict(target_modules=QV, modules_to_save=HEAD)),
    "dinov2_all": ("dinov2", dict(target_modules="all-linear", use_dora=True)),
    "dinov2_patch": ("dinov2", dict(target_modules=["projection", "fc2"], bias="all")),
    "swiglu_all": ("swiglu", dict(target_modules="all-linear")),
    "swiglu_gate": ("swiglu", dict(target_modules=["gate_proj", "k_proj"], modules_to_save=HEAD)),
    "swiglu_dora": ("swiglu", dict(target_modules=["gate_proj", "down_proj"], use_dora=True)),
    "swiglu_bias": ("swiglu", dict(target_modules=["up_proj", "k_proj"], bias="lora_only")),
    "clip_all": ("clip", dict(target_modules="all-linear", exclude_modules=r".*text_model.*")),
    "clip_qv": ("clip", dict(target_modules=QV, modules_to_save=HEAD)),
    "clip_patch": ("clip", dict(target_modules=["patch_embedding", "q_proj"], exclude_modules=r".*text_model.*")),
    "timm_qkv": ("timm", dict(target_modules=["qkv"], modules_to_save=["head"])),
    "timm_headless": ("timm", dict(target_modules=["qkv", "fc1"])),
    "timm_head": ("timm", dict(target_modules=["attn.proj", "head"])),
    "timm_all": ("timm", dict(target_modules="all-linear")),
    "timm_proj": ("timm", dict(target_modules=["proj"], modules_to_save=["head"])),  # patch_embed.proj, too
    "timm_patch_dora": ("timm", dict(target_modules=["patch_embed.proj", "qkv"], use_dora=True)),
    "timm_bias": ("timm", dict(target_modules=["qkv", "fc2"], bias="lora_only", modules_to_save=["head"])),
    "timm_bias_all": ("timm", dict(target_modules=["qkv"], bias="all")),
    "timm_lora_bias": ("timm", dict(target_modules=["qkv"], lora_bias=True)),
    "timm_saved": ("timm", dict(target_modules=["qkv"], modules_to_save=["head", "norm", "cls_token"])),
    "timm_reg": ("timmreg", dict(target_modules=["qkv", "proj"], modules_to_save=["head"])),
    "timm_reg_dora": ("timmreg", dict(target_modules=["qkv", "fc1"], use_dora=True, modules_to_save=["head"])),
    **{f"{b}_qv": (b, dict(target_modules=QV if b != "data2vec" else ["query", "value"], modules_to_save=HEAD)) for b in ("siglip", "beit", "data2vec", "ijepa", "msn")},
    **{f"{b}_all": (b, dict(target_modules="all-linear", exclude_modules=r".*text_model.*")) for b in ("siglip", "beit", "data2vec", "ijepa", "msn")},
    **{f"{b}_dora": (b, dict(target_modules=["fc1", "projection"] if b != "data2vec" else ["intermediate.dense"], use_dora=True, modules_to_save=HEAD))
       for b in ("beit", "data2vec", "ijepa", "msn")},
    "siglip_dora": ("siglip", dict(target_modules=["fc2", "patch_embedding", "classifier"], use_dora=True, exclude_modules=r".*text_model.*|.*\.head\..*")),
    "beit_norm": ("beit", dict(target_modules=QV, modules_to_save=["classifier", "pooler.layernorm", "layernorm_after"])),
    **{f"{b}_q": (b, dict(target_modules=["qkv"], modules_to_save=["head"])) for b in ("timmsiglip", "timmdinov3", "timmdinov3plus", "timmevasmall", "timmbeit")},
    **{f"{b}_all": (b, dict(target_modules="all-linear")) for b in ("timmsiglip", "timmdinov3", "timmdinov3plus", "timmeva", "timmevasmall", "timmbeit")},
    **{f"{b}_dora": (b, dict(target_modules=["fc2", "attn.proj", "patch_embed.proj"], use_dora=True, modules_to_save=["head"]))
       for b in ("timmsiglip", "timmdinov3", "timmdinov3plus", "timmeva", "timmbeit")},
    "timmsiglip_pool": ("timmsiglip", dict(target_modules=["attn_pool.q", "attn_pool.kv", "attn_pool.mlp.fc1"], modules_to_save=["head"])),
    "timmsiglip_pool_dora": ("timmsiglip", dict(target_modules=["kv", "attn_pool.proj"], use_dora=True)),
    "timmeva_qv": ("timmeva", dict(target_modules=QV, modules_to_save=["head"])),
    "timmeva_gate": ("timmeva", dict(target_modules=["fc1_x", "k_proj"], bias="lora_only", modules_to_save=["head", "mlp.norm"])),
    "timm_avg": ("timmavg", dict(target_modules=["qkv"], modules_to_save=["head", "fc_norm"])),
}
# timm multiplies with the weight of these modules without calling them, so that PEFT's matrices beside them do nothing
BYPASSED = {"timmevasmall_q", "timmevasmall_all", "timmbeit_q", "timmbeit_all"}


def drawn(seed, count):
    """Kinds that are drawn at random: several of PEFT's options together."""
    r = random.Random(seed)
    short = {"vit": ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2", "projection"], "timm": ["qkv", "attn.proj", "fc1", "fc2", "patch_embed.proj"]}
    short |= {"msn": short["vit"], "ijepa": short["vit"], "beit": short["vit"], "deit2": short["vit"], "dinov2": short["vit"],
              "swiglu": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
              "data2vec": ["query", "key", "value", "intermediate.dense", "output.dense"],
              "timmreg": short["timm"], "timmavg": short["timm"], "timmdinov3": short["timm"], "timmsiglip": short["timm"] + ["attn_pool.q", "attn_pool.kv"],
              "timmeva": ["q_proj", "k_proj", "v_proj", "attn.proj", "fc1_g", "fc1_x", "fc2"]}
    heads = {"deit2": ["cls_classifier", "distillation_classifier"]}
    norms = {"vit": "layernorm_before", "timm": "norm1", "beit": "layernorm_after", "timmeva": "mlp.norm", "dinov2": "norm2", "msn": "layernorm"}
    for i in range(count):
        base = r.choice(list(short))
        blocks = "blocks" if base.startswith("timm") else "layer" if base in ("dinov2", "swiglu", "data2vec") else "layers"
        head = heads.get(base, ["head"] if base.startswith("timm") else ["classifier"])
        names = r.sample(short[base], r.randint(1, 3))
        kw = dict(r=r.choice([1, 2, 4, 7]), lora_alpha=r.choice([1, 4, 6, 16, 2.5]), target_modules=names)
        form = r.random()
        if form < 0.2:
            kw["target_modules"] = r".*" + blocks + r"\.(" + "|".join(r.sample(["0", "1", "2"], 2)) + r")\..*(" + "|".join(n.replace(".", r"\.") for n in names) + ")"
        elif form < 0.3:
            kw["target_modules"] = "all-linear"
        if r.random() < 0.3:
            kw["rank_pattern"] = {r.choice([names[0], rf"{blocks}\.1\..*", f"{blocks}.2.*" + names[0].split(".")[-1], rf"^.*{blocks}\.0\..*"]): r.choice([2, 3, 5])}
        if r.random() < 0.3:
            kw["alpha_pattern"] = {r.choice([names[-1], rf".*\.{r.randint(0, 2)}\..*", f"(?:{blocks}).1.+"]): r.choice([2, 9, 0.5])}
        if r.random() < 0.25:
            kw["use_rslora"] = True
        if r.random() < 0.2:
            kw["use_dora"] = True
        elif r.random() < 0.15:
            kw["lora_bias"] = True
        if r.random() < 0.25:
            kw["bias"] = r.choice(["lora_only", "all"])
        if r.random() < 0.6:
            kw["modules_to_save"] = head + ([norms[base]] if base in norms and r.random() < 0.2 else [])
        elif r.random() < 0.4 and isinstance(kw["target_modules"], list):
            kw["target_modules"] = names + head
        if r.random() < 0.2 and isinstance(kw["target_modules"], list):
            kw["layers_to_transform"] = r.choice([[0, 2], 1, [1, 2]])
            if r.random() < 0.5:
                kw["layers_pattern"] = r.choice([blocks, [blocks, "other"]])
        if r.random() < 0.2:
            kw["exclude_modules"] = r.choice([[names[0]] if len(names) > 1 else ["nothing"], rf".*\.{r.randint(0, 2)}\.mlp.*"])
        if r.random() < 0.3:
            kw["init_lora_weights"] = r.choice(["gaussian", "orthogonal", False, "eva", "loftq"][:3])
        if r.random() < 0.1:
            kw["fan_in_fan_out"] = True
        yield f"random{seed}-{i}", base, kw


def edit(**fields):
    def do(d, sd):
        c = json.loads((d / "adapter_config.json").read_text())
        c.update(fields)
        (d / "adapter_config.json").write_text(json.dumps(c))
        return sd
    return do


def renamed(f):
    return lambda d, sd: {f(k): v for k, v in sd.items()}


P = "base_model.model."
# name: kind, what is done to the folder, whether the numbers stay; None: must be refused
CHANGES = {
    "as_bin": ("qv", lambda d, sd: sd, True),
    "as_half": ("qv", lambda d, sd: {k: v.half() for k, v in sd.items()}, 3e-3),
    "as_bf16": ("classifier", lambda d, sd: {k: v.bfloat16() for k, v in sd.items()}, 2e-2),
    "wrapped_module": ("qv", renamed(lambda k: k.replace(P, P + "module.") if "classifier" not in k else k), True),
    "wrapped_compiled": ("headless", renamed(lambda k: k.replace(P, P + "_orig_mod.")), True),
    "adapter_name": ("headless", renamed(lambda k: k.replace(".weight", ".default.weight")), None),
    "extra": ("qv", lambda d, sd: sd | {P + "vit.layers.7.attention.q_proj.lora_A.weight": torch.ones(4, 48)}, None),
    "extra_other": ("qv", lambda d, sd: sd | {"hello": torch.ones(4)}, None),
    "missing": ("qv", lambda d, sd: {k: v for k, v in sd.items() if "layers.1.attention.v_proj.lora_B" not in k}, None),
    "missing_pair": ("qv", lambda d, sd: {k: v for k, v in sd.items() if "layers.1.attention.v_proj" not in k}, None),
    "missing_head": ("qv", lambda d, sd: {k: v for k, v in sd.items() if "classifier" not in k}, None),
    "missing_magnitude": ("dora", lambda d, sd: {k: v for k, v in sd.items() if "magnitude" not in k}, None),
    "missing_bias": ("bias_lora", lambda d, sd: {k: v for k, v in sd.items() if "q_proj.base_layer.bias" not in k}, None),
    "nan": ("qv", lambda d, sd: {k: v * float("nan") if "lora_B" in k else v for k, v in sd.items()}, None),
    "fan_in_fan_out": ("qv", edit(fan_in_fan_out=True), None),
    "pissa_raw": ("qv", edit(init_lora_weights="pissa"), None),
    "replication": ("qv", edit(layer_replication=[[0, 2], [1, 3]]), None),
    "unknown_field": ("qv", edit(use_something_new=True), None),
    "trainable_tokens": ("qv", edit(trainable_token_indices=[1]), None),
    "magnitude_unsaid": ("dora", edit(use_dora=False), None),
    "bias_unsaid": ("bias_lora", edit(bias="none"), None),
    "no_type": ("qv", edit(peft_type=None), None),
    "other_rank": ("qv", edit(r=5), None),
    "other_base": ("dinov2_qv", lambda d, sd: sd, None),  # asked on the base of "qv"
    "lookahead": ("qv", edit(target_modules=r"(?!x).*(q|v)_proj"), True),
}
OTHERS = {"loha": peft.LoHaConfig, "lokr": peft.LoKrConfig, "adalora": peft.AdaLoraConfig, "vera": peft.VeraConfig, "ia3": peft.IA3Config, "oft": peft.OFTConfig,
          "boft": peft.BOFTConfig, "fourier": peft.FourierFTConfig, "hra": peft.HRAConfig, "vblora": peft.VBLoRAConfig, "xlora": None, "ln": peft.LNTuningConfig,
          "bone": getattr(peft, "BoneConfig", None), "miss": getattr(peft, "MissConfig", None), "randlora": getattr(peft, "RandLoraConfig", None),
          "c3a": getattr(peft, "C3AConfig", None), "waveft": getattr(peft, "WaveFTConfig", None)}


class Refused(Exception):
    pass


def melo(*args):
    r = subprocess.run([MELO, *map(str, args)], capture_output=True, text=True)
    if r.returncode:
        if "panic" in r.stderr:
            raise RuntimeError(r.stderr[:400])
        raise Refused(r.stderr.strip().splitlines()[-1])
    return r.stdout


def predict(base, adapter, paths):
    doc = json.loads(melo("--json", "predict", "--base", base, "--adapter", adapter, *paths))
    if doc["labels"] != NAMES:
        raise RuntimeError(f"labels {doc['labels']}")
    return np.array([r["logits"] for r in doc["results"]])


def apart(got, want):
    return abs(np.asarray(got) - want).max() / abs(want).max()


class Run:
    def __init__(self):
        OUT.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(3)
        self.paths, self.images, self.bad, self.done = [], [], 0, {}
        for w, h in [(301, 260), (61, 90)]:
            self.paths.append(OUT / f"p{w}.png")
            Image.fromarray(rng.integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), dtype=np.uint8)).resize((w, h)).save(self.paths[-1])
            self.images.append(Image.open(self.paths[-1]).convert("RGB"))
        self.served = OUT / "served"
        self.bases = {}

    def base(self, name):
        if name not in self.bases:
            make, load, ask, prepare = BASES[name]
            d = OUT / "bases" / name
            d.mkdir(parents=True, exist_ok=True)
            make(d)
            p = prepare(d)
            with torch.no_grad():
                x = torch.cat([p(im) for im in self.images])
            self.bases[name] = (d, load, ask, x)
        return self.bases[name]

    def say(self, name, text, ok):
        self.bad += not ok
        print(f"{name:22s} {text}{'' if ok else '   WRONG'}", flush=True)

    def make(self, name):
        """Writes the folder of a kind; returns it with the base and the logits."""
        if name in self.done:
            return self.done[name]
        base, kw = KINDS[name]
        if name.startswith("random"):
            print(f"{name}: {base} {kw}", flush=True)
        root, load, ask, x = self.base(base)
        torch.manual_seed(0)
        model = load(root)
        m = peft.get_peft_model(model, peft.LoraConfig(**(dict(r=4, lora_alpha=6) | kw)))
        shake(m, "lora_")
        if "modules_to_save" in kw:
            shake(m, "modules_to_save")
        if kw.get("bias"):
            g = torch.Generator().manual_seed(4)
            with torch.no_grad():
                for n, p in m.named_parameters():
                    if n.endswith("bias") and p.requires_grad:
                        p.add_(0.3 * torch.randn(p.shape, generator=g))
        d = OUT / "adapters" / name
        m.eval().save_pretrained(d)
        again = peft.PeftModel.from_pretrained(load(root), d).eval()
        with torch.no_grad():
            want = ask(again, x).numpy()
            assert apart(ask(m, x).numpy(), want) < 1e-5, "PEFT itself does not read what it wrote"
        self.done[name] = (d, root, base, want, again, ask, x)
        return self.done[name]

    def kind(self, name):
        d, root, base, want, again, ask, x = self.make(name)
        try:
            got = apart(predict(root, d, self.paths), want)
            text, ok = f"{got:.1e}", got < 1e-4
        except Refused as e:
            text, ok = f"refused: {str(e)[-230:]}", name in BYPASSED or name.startswith("random")
        self.say(name, "predict " + text, ok)
        if not ok or "refused" in text:
            return
        out = OUT / "merged" / name
        out.parent.mkdir(exist_ok=True)
        try:
            melo("convert", "--merge", "--base", root, d, out)
            if "architecture" in json.loads((out / "config.json").read_text()):
                back, ask = timm.create_model(f"local-dir:{out}", pretrained=True).eval(), lambda m, x: m(x)
            else:
                back = BASES[base][1](out)
            with torch.no_grad():
                got = apart(ask(back, x).numpy(), want)
            self.say(name, f"merged  {got:.1e}", got < 1e-4)
        except Refused as e:
            self.say(name, f"merge refused: {str(e)[-200:]}", base in ("deit2", "dinov2", "swiglu", "timmreg"))

    def change(self, name):
        kind, f, keep = CHANGES[name]
        src, root, base, want, *_ = self.make(kind)
        d = OUT / "changed" / name
        d.mkdir(parents=True, exist_ok=True)
        (d / "adapter_config.json").write_text((src / "adapter_config.json").read_text())
        sd = f(d, load_file(src / "adapter_model.safetensors"))
        if name.startswith("as_bin"):
            torch.save(sd, d / "adapter_model.bin")
        else:
            save_file(sd, d / "adapter_model.safetensors")
        if name == "other_base":
            root = self.base("vit")[0]
        try:
            got = apart(predict(root, d, self.paths), want)
            self.say(name, f"{got:.1e}", keep is not None and got < (1e-4 if keep is True else keep))
        except Refused as e:
            self.say(name, f"refused: {str(e)[-230:]}", keep is None)

    def converted(self, name, init):
        """PiSSA and OLoRA change the base; PEFT can write the difference to the original as plain LoRA."""
        root, load, ask, x = self.base("vit")
        torch.manual_seed(0)
        m = peft.get_peft_model(load(root), peft.LoraConfig(r=4, lora_alpha=6, target_modules=QV, init_lora_weights=init))
        first = OUT / "adapters" / f"{name}_init"
        m.peft_config["default"].init_lora_weights = True
        m.save_pretrained(first)
        m.peft_config["default"].init_lora_weights = init
        g = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for n, p in m.named_parameters():
                if "lora_" in n:
                    p.add_(0.1 * torch.randn(p.shape, generator=g))
            want = ask(m.eval(), x).numpy()
        d = OUT / "adapters" / name
        m.save_pretrained(d, path_initial_model_for_weight_conversion=first)
        again = peft.PeftModel.from_pretrained(load(root), d).eval()
        with torch.no_grad():
            assert apart(ask(again, x).numpy(), want) < 1e-4, "PEFT itself does not"
        got = apart(predict(root, d, self.paths), want)
        self.say(name, f"{got:.1e}", got < 1e-4)

    def several(self):
        """Two adapters in one model: the first at the root, the other in a folder of its name."""
        root, load, ask, x = self.base("vit")
        m = peft.get_peft_model(load(root), peft.LoraConfig(r=4, lora_alpha=6, target_modules=QV, modules_to_save=HEAD))
        m.add_adapter("other", peft.LoraConfig(r=2, lora_alpha=6, target_modules=["k_proj"], modules_to_save=HEAD))
        shake(m, "lora_"), shake(m, "modules_to_save")
        d = OUT / "adapters" / "several"
        m.save_pretrained(d)
        for name, path in [("default", d), ("other", d / "other")]:
            m.set_adapter(name)
            with torch.no_grad():
                want = ask(m.eval(), x).numpy()
            got = apart(predict(root, path, self.paths), want)
            self.say("several " + name, f"{got:.1e}", got < 1e-4)

    def other(self, name, cls):
        root, load, *_ = self.base("vit")
        extra = {"adalora": {"total_step": 10}, "ia3": {"feedforward_modules": []}, "boft": {"boft_block_size": 4}, "vblora": {"num_vectors": 4, "vector_length": 4},
                 "fourier": {"n_frequency": 10}, "oft": {"oft_block_size": 4}, "c3a": {"block_size": 4}, "waveft": {"n_frequency": 10}, "bone": {"r": 4}, "miss": {"r": 4}}.get(name, {})
        d = OUT / "others" / name
        try:
            target = ["layernorm_before"] if name == "ln" else QV
            peft.get_peft_model(load(root), cls(target_modules=target, **extra)).save_pretrained(d)
        except Exception as e:
            print(f"{name:22s} the package does not make it: {type(e).__name__} {str(e)[:100]}")
            return
        try:
            predict(root, d, self.paths)
            self.say(name, "accepted", False)
        except Refused as e:
            self.say(name, f"refused: {str(e)[-150:]}", name.split("_")[0].lower()[:3] in str(e).lower() or "LayerNorm" in str(e))

    def serve(self):
        """Every adapter of the plain base in one watched folder."""
        root = self.base("vit")[0]
        folder = OUT / "served"
        subprocess.run(["rm", "-rf", folder])
        folder.mkdir()
        kinds = [n for n in self.done if self.done[n][2] == "vit"]
        for n in kinds:
            (folder / n).symlink_to(self.done[n][0].resolve())
        port = 18417
        p = subprocess.Popen([MELO, "serve", "--base", str(root), "--adapters", str(folder), "--listen", f"127.0.0.1:{port}", "--grpc-listen", "off"],
                             stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready")
                    break
                except OSError:
                    time.sleep(0.05)
            for n in kinds:
                try:
                    got = apart(np.array([r["logits"] for r in json.loads(melo(
                        "--json", "predict", "--server", f"http://127.0.0.1:{port}", "--adapter", n, *self.paths))["results"]]), self.done[n][3])
                    self.say(n, f"served  {got:.1e}", got < 1e-4)
                except Refused as e:
                    self.say(n, f"not served: {str(e)[-200:]}", False)
        finally:
            p.terminate()
            p.wait()


def main():
    run = Run()

    def attempt(name, f, *args):
        if ONLY and name not in ONLY:
            return
        try:
            f(*args)
        except Refused as e:
            run.say(name, f"refused: {e}", False)
        except Exception as e:
            made = name.startswith("random") and isinstance(e, (ValueError, peft.tuners.tuners_utils.NoMatchingPeftModuleError)) if hasattr(
                peft.tuners.tuners_utils, "NoMatchingPeftModuleError") else name.startswith("random") and "odules" in str(e)
            run.say(name, f"{'the package does not make it' if made else 'FAILED'} {type(e).__name__}: {str(e)[:300]}", made)
    for word in [w for w in ONLY if w.startswith("random:")]:  # random:SEED:COUNT
        _, seed, count = word.split(":")
        for name, base, kw in drawn(int(seed), int(count)):
            KINDS[name] = base, kw
            ONLY.add(name)
    for name in KINDS:
        attempt(name, run.kind, name)
    for name in CHANGES:
        attempt(name, run.change, name)
    attempt("pissa", run.converted, "pissa", "pissa")
    attempt("olora", run.converted, "olora", "olora")
    attempt("several", run.several)
    for name, cls in OTHERS.items():
        if cls:
            attempt(name, run.other, name, cls)
    attempt("serve", run.serve)
    sys.exit(run.bad > 0)


main()
