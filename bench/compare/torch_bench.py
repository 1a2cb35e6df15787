"""PyTorch's side of the comparison: answers timing commands on standard input, one JSON line each.

    forward B   one inference of B images          {"seconds": x}
    step B      one LoRA training step (r 4, q, v) {"seconds": x}
    rss         peak resident memory so far        {"peak_bytes": n}
    quit

`--export DIR` instead writes the random model as a timm folder (config.json, model.safetensors) for all engines.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import timm
import torch
from torch import nn

ARCH, RANK, LABELS = "vit_base_patch16_224", 4, 14


class LoRAQKV(nn.Module):
    """A frozen fused qkv with low-rank deltas on the q and v columns (scale 1)."""

    def __init__(self, qkv: nn.Linear):
        super().__init__()
        d = qkv.in_features
        self.qkv, self.d = qkv, d
        self.a_q, self.a_v = (nn.Linear(d, RANK, bias=False) for _ in range(2))
        self.b_q, self.b_v = (nn.Linear(RANK, d, bias=False) for _ in range(2))
        for b in (self.b_q, self.b_v):
            nn.init.zeros_(b.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.qkv(x)
        y[:, :, : self.d] += self.b_q(self.a_q(x))
        y[:, :, -self.d :] += self.b_v(self.a_v(x))
        return y


def export(folder: Path) -> None:
    from timm.models import _hub

    torch.manual_seed(0)
    _hub.save_for_hf(timm.create_model(ARCH, num_classes=LABELS), folder, safe_serialization=True)


def load(base: Path | None) -> nn.Module:
    if base is None:
        return timm.create_model(ARCH, num_classes=LABELS)
    return timm.create_model(f"local-dir:{base}", pretrained=True)


class Forward:
    def __init__(self, base: Path | None, mode: str):
        self.model = load(base).eval().requires_grad_(False)
        self.call = compiled(self.model, mode)

    def __call__(self, images: torch.Tensor) -> None:
        with torch.inference_mode() if self.call is self.model else torch.no_grad():
            self.call(images)


class Step:
    def __init__(self, base: Path | None, mode: str):
        model = load(base).requires_grad_(False)
        for block in model.blocks:
            block.attn.qkv = LoRAQKV(block.attn.qkv)
        model.head = nn.Linear(model.num_features, LABELS)
        self.model = model.train()
        self.optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        self.call = compiled(self.model, mode)

    def __call__(self, images: torch.Tensor) -> None:
        labels = torch.arange(len(images)) % LABELS
        self.optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(self.call(images), labels).backward()
        self.optimiser.step()


def compiled(model: nn.Module, mode: str):
    return model if mode == "eager" else torch.compile(model, dynamic=False)


def peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def answer(words: list[str], args, work: dict) -> dict:
    if words[0] == "rss":
        return {"peak_bytes": peak_bytes()}
    kinds = {"forward": Forward, "step": Step}
    if words[0] not in kinds or len(words) != 2:
        return {"error": f"unknown command {' '.join(words)!r}"}
    if words[0] not in work:
        work[words[0]] = kinds[words[0]](args.base, args.mode)
    images = torch.randn(int(words[1]), 3, 224, 224)
    start = time.perf_counter()
    work[words[0]](images)
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--freezing", action="store_true", help="inductor folds and packs weights (inference, compile)")
    parser.add_argument("--base", type=Path, help="timm folder; random weights without")
    parser.add_argument("--export", type=Path, metavar="DIR")
    args = parser.parse_args()
    if args.export:
        export(args.export)
        return
    torch.set_num_threads(args.threads)
    if args.freezing:
        import torch._inductor.config as inductor

        inductor.freezing = True
    work: dict = {}
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        print(json.dumps(answer(words or [""], args, work)), flush=True)


if __name__ == "__main__":
    main()
