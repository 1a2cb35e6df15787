"""Loads an adapter that melo wrote into the real packages and compares logits.

    check_adapters.py peft    FOLDER --base BASE --expect FILE
    check_adapters.py loravit FILE   --base BASE --expect FILE --alpha 4 [--blocks 0,1,2]

FILE given to --expect holds `input` [B,3,H,W] and `logits` [B,C] as melo computed them. BASE is a folder in
timm's or Hugging Face's layout. PEFT folders in the names of transformers 4 need transformers < 5: run this
with such an environment; the printed line names the versions. Exit code 1 above --tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import peft
import timm
import torch
import transformers as hf
from safetensors.torch import load_file

HF_CLASSES = {
    "vit": "ViTForImageClassification",
    "deit": "DeiTForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
}


def load_base(folder: Path, labels: int) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        model.reset_classifier(labels)
        return model
    cls = getattr(hf, HF_CLASSES[config["model_type"]])
    return cls.from_pretrained(folder, num_labels=labels, ignore_mismatched_sizes=True)


def logits_of(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    out = model(x)
    return out if isinstance(out, torch.Tensor) else out.logits


def check_peft(args, x: torch.Tensor, labels: int) -> torch.Tensor:
    if not has_head(args.adapter):
        print("note: the folder has no head (modules_to_save); the base's own is used", file=sys.stderr)
    base = load_base(args.base, labels).double()
    model = peft.PeftModel.from_pretrained(base, args.adapter).double().eval()
    loaded = {k: v for k, v in model.state_dict().items() if "lora_" in k}
    stored = load_file(args.adapter / "adapter_model.safetensors")
    if sum(v.numel() for v in loaded.values()) != sum(v.numel() for k, v in stored.items() if "lora_" in k):
        raise SystemExit("peft did not load every LoRA tensor of the file")
    if not any(v.abs().max() > 0 for k, v in loaded.items() if "lora_B" in k):
        raise SystemExit("every loaded B is zero: the names did not match")
    return logits_of(model, x)


def has_head(folder: Path) -> bool:
    return bool(json.loads((folder / "adapter_config.json").read_text()).get("modules_to_save"))


def check_loravit(args, x: torch.Tensor, labels: int) -> torch.Tensor:
    from adapters import loravit_logits

    tensors = load_file(args.adapter)
    model = load_base(args.base, labels).double().eval()
    blocks = args.blocks or list(range(len(model.blocks)))
    used = {f"w_{p}_{i:03d}" for p in "ab" for i in range(2 * len(blocks))}
    other = {k for k in tensors if k not in used and not k.startswith("fc_")}
    if other or not used <= set(tensors):
        raise SystemExit(f"unexpected {sorted(other)}, missing {sorted(used - set(tensors))}")
    rank = tensors["w_a_000"].shape[0]
    return loravit_logits(model, tensors, blocks, args.alpha // rank, x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("peft", "loravit"))
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--expect", type=Path, required=True)
    parser.add_argument("--alpha", type=int, default=4)
    parser.add_argument("--blocks", type=lambda s: [int(b) for b in s.split(",")])
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    hf.utils.logging.set_verbosity_error()

    expect = load_file(args.expect)
    want = expect["logits"].double()
    check = check_peft if args.kind == "peft" else check_loravit
    with torch.no_grad():
        got = check(args, expect["input"].double(), want.shape[1])
    error = (got - want).abs().max().item()
    print(json.dumps({"adapter": str(args.adapter), "max_abs_logit_difference": error,
                      "max_abs_logit": want.abs().max().item(), "peft": peft.__version__,
                      "transformers": hf.__version__, "timm": timm.__version__}))
    sys.exit(error > args.tolerance)


if __name__ == "__main__":
    main()
