"""Loads adapters that melo wrote into the real packages and compares what they give.

    check_adapters.py peft    FOLDER --base BASE --expect FILE
    check_adapters.py loravit FILE   --base BASE --expect FILE --alpha 4 [--blocks 0,1,2]
    check_adapters.py all     DIR

FILE given to --expect holds `input` [B,3,H,W] and `logits` [B,C] as melo computed them, or `features` [B,F] if
there is no head. BASE is a folder in timm's or Hugging Face's layout. DIR is what `go run ./tools/exchange DIR`
wrote, with a list of comparisons. PEFT folders in the names of transformers 4 need transformers < 5, those of
transformers 5 need that: run this in an environment of each; the printed lines name the versions. Exit code 1
above --tolerance, which is relative to the largest number.
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

GENERATION = "hf5" if int(hf.__version__.split(".")[0]) >= 5 else "hf4"


def load_base(folder: Path, labels: int | None) -> torch.nn.Module:
    """The model that the folder's config names; with a new head if labels is not None."""
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        if labels is not None:
            model.reset_classifier(labels)
        return model
    name, more = config["architectures"][0], {}
    if labels is not None:
        more = {"num_labels": labels, "ignore_mismatched_sizes": True}
        if not name.endswith(("ForImageClassification", "WithTeacher")):
            name = {"vit": "ViT", "deit": "DeiT", "beit": "Beit", "siglip": "Siglip"}[config["model_type"]] + "ForImageClassification"
    return getattr(hf, name).from_pretrained(folder, **more)


def output_of(model: torch.nn.Module, x: torch.Tensor, logits: bool) -> torch.Tensor:
    """Logits; or the features before a head or CLIP's projection."""
    inner = getattr(model, "base_model", model)
    if not logits and type(getattr(inner, "model", inner)).__name__.startswith("Siglip"):
        return model(x).pooler_output
    if not logits and type(getattr(inner, "model", inner)).__name__.startswith("CLIP"):
        clip = getattr(inner, "model", inner)
        clip = getattr(clip, "vision_model", clip)
        return clip(x).pooler_output
    out = model(x)
    if isinstance(out, torch.Tensor):
        return out
    return out.logits if logits else out.last_hidden_state[:, 0]


def check_peft(args, x: torch.Tensor, labels: int | None) -> torch.Tensor:
    if labels is not None and not has_head(args.adapter):
        print("note: the folder has no head (modules_to_save); the base's own is used", file=sys.stderr)
    base = load_base(args.base, labels).double()
    model = peft.PeftModel.from_pretrained(base, args.adapter).double().eval()
    loaded = {k: v for k, v in model.state_dict().items() if "lora_" in k}
    stored = load_file(args.adapter / "adapter_model.safetensors")
    if sum(v.numel() for v in loaded.values()) != sum(v.numel() for k, v in stored.items() if "lora_" in k):
        raise SystemExit("peft did not load every LoRA tensor of the file")
    if not any(v.abs().max() > 0 for k, v in loaded.items() if "lora_B" in k):
        raise SystemExit("every loaded B is zero: the names did not match")
    return output_of(model, x, labels is not None)


def has_head(folder: Path) -> bool:
    return bool(json.loads((folder / "adapter_config.json").read_text()).get("modules_to_save"))


def check_loravit(args, x: torch.Tensor, labels: int) -> torch.Tensor:
    from adapters import loravit_logits

    tensors = {k: v for k, v in load_file(args.adapter).items() if not k.endswith("_bias")}  # LoRA-ViT has none
    model = load_base(args.base, labels).double().eval()
    blocks = args.blocks or list(range(len(model.blocks)))
    used = {f"w_{p}_{i:03d}" for p in "ab" for i in range(2 * len(blocks))}
    other = {k for k in tensors if k not in used and not k.startswith("fc_")}
    if other or not used <= set(tensors):
        raise SystemExit(f"unexpected {sorted(other)}, missing {sorted(used - set(tensors))}")
    rank = tensors["w_a_000"].shape[0]
    return loravit_logits(model, tensors, blocks, args.alpha // rank, x)


def compare(args) -> float:
    """Prints one line and returns the difference relative to the largest number."""
    expect = load_file(args.expect)
    want = expect["logits" if "logits" in expect else "features"].double()
    check = check_peft if args.kind == "peft" else check_loravit
    with torch.no_grad():
        got = check(args, expect["input"].double(), want.shape[1] if "logits" in expect else None)
    error, largest = (got - want).abs().max().item(), want.abs().max().item()
    print(json.dumps({"adapter": str(args.adapter), "max_abs_difference": error, "max_abs": largest,
                      "peft": peft.__version__, "transformers": hf.__version__, "timm": timm.__version__}))
    return error / largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("peft", "loravit", "all"))
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--expect", type=Path)
    parser.add_argument("--alpha", type=int, default=4)
    parser.add_argument("--blocks", type=lambda s: [int(b) for b in s.split(",")])
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    if args.kind != "all":
        if not args.base or not args.expect:
            parser.error("--base and --expect are required")
        sys.exit(compare(args) > args.tolerance)
    errors = []
    for c in json.loads((args.adapter / "checks.json").read_text()):
        if c.get("names") in ("hf4", "hf5") and c["names"] != GENERATION:
            continue
        one = argparse.Namespace(kind=c["kind"], adapter=Path(c["adapter"]), base=Path(c["base"]), expect=Path(c["expect"]),
                                 alpha=c.get("alpha"), blocks=c.get("blocks"))
        errors.append(compare(one))
    print(json.dumps({"compared": len(errors), "max_relative_difference": max(errors)}))
    sys.exit(max(errors) > args.tolerance)


if __name__ == "__main__":
    main()
