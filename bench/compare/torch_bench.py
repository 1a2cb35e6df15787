"""PyTorch's side of the comparison: answers timing commands on standard input, one JSON line each.

    forward B   one inference of B images          {"seconds": x}
    step B      one LoRA training step (r 4, q, v) {"seconds": x}
    check N     logits, and losses of N steps, on inputs and an adapter that a formula gives; needs --base
                {"logits": [...], "losses": [...]}
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

import numpy as np
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

    def __call__(self, images: torch.Tensor) -> float:
        labels = torch.arange(len(images)) % LABELS
        self.optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(self.call(images), labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()


def formula(seed: int, index: int, *shape: int) -> torch.Tensor:
    """The inputs of docs/format/adapter.md's self-test: splitmix64, 24 bits a value, in [-1, 1)."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        at = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(index * n)
        z = np.uint64(seed) + at * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return torch.from_numpy(((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32)).reshape(shape)


def check(base: Path, steps: int) -> dict:
    """What both sides must agree on: see cmd/melo/cmd_bench_rounds.go."""
    images = torch.stack([formula(1, i, 3, 224, 224) for i in range(2)])
    with torch.inference_mode():
        logits = load(base).eval()(images)
    step, seed = Step(base, "eager"), 2
    with torch.no_grad():
        for block in step.model.blocks:
            for a in (block.attn.qkv.a_q, block.attn.qkv.a_v):
                a.weight.copy_(formula(seed, 0, *a.weight.shape) / a.in_features**0.5)
                seed += 1
        head = step.model.head
        head.weight.copy_(formula(seed, 0, *head.weight.shape) / head.in_features**0.5)
        head.bias.zero_()
    return {"logits": logits.flatten().tolist(), "losses": [step(images) for _ in range(steps)]}


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
    if words[0] == "check" and args.base and len(words) == 2:
        return check(args.base, int(words[1]))
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
