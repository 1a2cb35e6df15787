"""Shared pieces of the golden writer: seeded tensors, hooks, and files.

Everything is computed in float64 from float32 weights and stored as float32, so that a golden
carries one rounding and no accumulated error.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch
from safetensors.torch import load_file, save_file
from torch import nn

SEED = 20231114  # date of the paper's first version


def generator(*keys: object) -> torch.Generator:
    """A generator seeded by names, so that adding a tensor moves no other tensor."""
    text = "/".join(str(k) for k in (SEED, *keys))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def randn(*keys: object, shape, std: float = 1.0) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=generator(*keys)) * std


def randomise(model: nn.Module, kind: str) -> None:
    """Gives every parameter a value far from its initial one (no zeros, no ones, no symmetry)."""
    norms = {
        f"{name}.weight"
        for name, m in model.named_modules()
        if isinstance(m, nn.LayerNorm)
    }
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(_value(kind, name, p, name in norms))


def _value(kind: str, name: str, p: torch.Tensor, is_norm_gain: bool) -> torch.Tensor:
    r = randn(kind, name, shape=p.shape)
    leaf = name.rsplit(".", 1)[-1]
    if is_norm_gain:
        return 1 + 0.3 * r
    if leaf in ("gamma", "lambda1"):  # LayerScale
        return 0.6 + 0.3 * r
    if leaf == "bias":
        return 0.2 * r
    if leaf == "weight" and p.ndim >= 2 and "position_embedding" not in name:
        return r * (1.2 / math.sqrt(p[0].numel()))
    return 0.5 * r  # class, register and mask tokens, position embeddings


@dataclass
class Site:
    """One place for an adapter: a Linear, and the output rows it owns when it is fused."""

    module: nn.Module
    rows: slice = field(default_factory=lambda: slice(None))

    @property
    def d_in(self) -> int:
        return self.module.in_features

    @property
    def d_out(self) -> int:
        return len(range(*self.rows.indices(self.module.out_features)))


@dataclass
class Spec:
    """What the writer must know about one kind of tiny model."""

    kind: str
    model: nn.Module
    image: int  # size of the stored input; differs from the checkpoint's when resized
    patch: Callable[[nn.Module], nn.Module]  # its output becomes tap.patch
    blocks: list[nn.Module]
    sites: Callable[[int], dict[str, Site]]
    # (last block output, library output) -> taps "norm", "pooled", "logits", ...
    finish: Callable[[torch.Tensor, object], dict[str, torch.Tensor]]
    call: Callable[[nn.Module, torch.Tensor], object]
    write: Callable[[nn.Module, Path], None]
    reload: Callable[[Path], nn.Module]  # the library's own loader
    notes: str
    head: nn.Module | None = None
    lora_sets: tuple[str, ...] = ("lora",)
    weight_grads: bool = True


def as_tokens(y: torch.Tensor) -> torch.Tensor:
    """[B,d,h,w] of a convolution -> [B,h*w,d]; tokens pass through."""
    return y.flatten(2).transpose(1, 2) if y.ndim == 4 else y


def first(y):
    return y[0] if isinstance(y, tuple) else y


def run(spec: Spec, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """One forward; returns every tap by name, still attached to the graph."""
    taps: dict[str, torch.Tensor] = {}
    handles = [
        spec.patch(spec.model).register_forward_hook(
            lambda m, i, y: taps.__setitem__("tap.patch", as_tokens(y))
        )
    ]
    for k, block in enumerate(spec.blocks):
        handles.append(
            block.register_forward_hook(
                lambda m, i, y, k=k: taps.__setitem__(f"tap.block.{k}", first(y))
            )
        )
    try:
        out = spec.call(spec.model, x)
    finally:
        for h in handles:
            h.remove()
    last = taps[f"tap.block.{len(spec.blocks) - 1}"]
    for name, t in spec.finish(last, out).items():
        taps[name if name == "logits" else f"tap.{name}"] = t
    return taps


def objective(taps: dict[str, torch.Tensor], kind: str) -> tuple[str, torch.Tensor, torch.Tensor]:
    """loss = sum(out * weight): returns (name of out, weight, loss)."""
    name = "logits" if "logits" in taps else "tap.pooled"
    weight = randn(kind, "dout", shape=taps[name].shape).double()
    return name, weight, (taps[name] * weight).sum()


class Hooked:
    """Own LoRA by hooks: y += scale * (x A^T) B^T on the site's rows; A [r,in], B [out,r]."""

    def __init__(self, sites: dict[str, Site], ab: dict[str, torch.Tensor], scale: float):
        self.handles = []
        for name, site in sites.items():
            a, b = ab[f"{name}.A"], ab[f"{name}.B"]
            self.handles.append(
                site.module.register_forward_hook(self._hook(site, a, b, scale))
            )

    @staticmethod
    def _hook(site: Site, a: torch.Tensor, b: torch.Tensor, scale: float):
        def hook(module, inputs, y):
            delta = scale * (inputs[0] @ a.T) @ b.T
            rows = range(*site.rows.indices(y.shape[-1]))
            left, right = rows.start, y.shape[-1] - rows.stop
            return y + nn.functional.pad(delta, (left, right))

        return hook

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for h in self.handles:
            h.remove()


def file_grads(spec: Spec) -> dict[str, torch.Tensor]:
    """Gradients under the names of the file: saved by the library itself from a copy of the model."""
    shadow = copy.deepcopy(spec.model)
    with torch.no_grad():
        for p, s in zip(spec.model.parameters(), shadow.parameters()):
            s.copy_(p.grad if p.grad is not None else torch.full_like(p, math.nan))
    with tempfile.TemporaryDirectory() as tmp:
        spec.write(shadow.float(), Path(tmp))
        found = load_file(Path(tmp) / "model.safetensors")
    return {k: v for k, v in found.items() if not v.isnan().any()}


def store(path: Path, tensors: dict[str, torch.Tensor], meta: dict[str, str] | None = None) -> None:
    """Writes float64 as float32, integers as int64, and refuses anything that is not finite."""
    out = {}
    for name, t in tensors.items():
        t = t.detach()
        t = t.float() if t.is_floating_point() else t.long()
        if not torch.isfinite(t).all():
            raise ValueError(f"{path}: {name} is not finite")
        out[name] = t.contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(out, path, metadata=meta)
    if meta:
        sort_metadata(path)


def sort_metadata(path: Path) -> None:
    """safetensors writes metadata in random order; sorted, the file's hash means something."""
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(raw[:8] + text.ljust(n) + raw[8 + n :])
