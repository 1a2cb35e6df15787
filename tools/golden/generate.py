"""Writes testdata/golden: `python tools/golden/generate.py [--only KIND ...]`. See README.md."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import shutil
import warnings
from pathlib import Path

import torch
import transformers

import adapters
import losses
import training
from common import Hooked, SEED, Spec, file_grads, objective, randn, run, store
from families import FAMILIES
from kinds import KINDS

ROOT = Path(__file__).resolve().parents[2] / "testdata" / "golden"
SCALE = 2.0  # alpha 8 over rank 4
RANKS = {"proj": 3, "fc1": 5}  # odd ranks in the set of all sites; the rest have 4


def lora_case(spec: Spec, name: str, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """One adapter set: A, B, outputs and gradients.

    lora: q and v of every block; loraall: all six sites; loralast: q and v of the last block.
    """
    depth = len(spec.blocks)
    wanted = ("q", "k", "v", "proj", "fc1", "fc2") if name == "loraall" else ("q", "v")
    sites = {
        f"block.{k}.{s}": spec.sites(k)[s]
        for k in range(depth - 1 if name == "loralast" else 0, depth)
        for s in wanted
    }
    ab = {}
    for key, site in sites.items():
        r = RANKS.get(key.split(".")[-1], 4) if name == "loraall" else 4
        ab[f"{key}.A"] = randn(spec.kind, name, key, "A", shape=(r, site.d_in), std=site.d_in**-0.5)
        ab[f"{key}.B"] = randn(spec.kind, name, key, "B", shape=(site.d_out, r), std=0.3)
    leaves = {k: v.double().requires_grad_() for k, v in ab.items()}
    spec.model.zero_grad()
    with Hooked(sites, leaves, SCALE):
        taps = run(spec, x)
    out, _, loss = objective(taps, spec.kind)
    loss.backward()
    tensors = {f"{name}.{k}": v for k, v in leaves.items()}
    tensors |= {f"{name}.grad.{k}": v.grad for k, v in leaves.items()}
    tensors[f"{name}{out.removeprefix('tap.')}"] = taps[out]
    if spec.head is not None:
        tensors |= {f"{name}.grad.head.{n}": p.grad for n, p in spec.head.named_parameters()}
    return tensors


def write_kind(spec: Spec, folder: Path) -> None:
    folder.mkdir(parents=True)
    spec.model.eval().requires_grad_(True)
    spec.write(spec.model, folder)
    spec.model.double()
    x = randn(spec.kind, "input", shape=(2, 3, spec.image, spec.image))
    taps = run(spec, x.double())
    out, dout, loss = objective(taps, spec.kind)
    tensors = {"input": x, **taps, f"d{out.removeprefix('tap.')}": dout}
    if spec.weight_grads:
        loss.backward()
        tensors |= {f"grad.{k}": v for k, v in file_grads(spec).items()}
    for name in spec.lora_sets:
        tensors |= lora_case(spec, name, x.double())
    store(folder / "golden.safetensors", tensors, {"kind": spec.kind, "notes": spec.notes, "lora_scale": str(SCALE)})
    check_reload(spec, folder, x.double())
    scale = taps[out].abs().max().item()
    print(f"{spec.kind:22s} {sum(f.stat().st_size for f in folder.iterdir()) / 1024:6.0f} KiB  max|{out}| {scale:.2f}")


def check_reload(spec: Spec, folder: Path, x: torch.Tensor) -> None:
    """The library must load the folder by itself and give the same output."""
    again = spec.reload(folder).eval().double()
    with torch.no_grad():
        want, got = main_output(spec.call(spec.model, x)), main_output(spec.call(again, x))
    if (want - got).abs().max() > 1e-12:
        raise ValueError(f"{spec.kind}: the reloaded folder differs")


def main_output(out) -> torch.Tensor:
    if isinstance(out, torch.Tensor):
        return out
    return out.logits if hasattr(out, "logits") else out[0]


def write_manifest() -> None:
    packages = ("torch", "timm", "transformers", "peft", "safetensors", "numpy")
    files = {
        p.relative_to(ROOT).as_posix(): {
            "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
            "bytes": p.stat().st_size,
        }
        for p in sorted(ROOT.rglob("*"))
        if p.is_file() and p.name != "manifest.json"
    }
    doc = {
        "python": platform.python_version(),
        "packages": {p: importlib.metadata.version(p) for p in packages},
        "seed": SEED,
        "files": files,
    }
    (ROOT / "manifest.json").write_text(json.dumps(doc, indent=1) + "\n")
    print(f"{len(files)} files, {sum(f['bytes'] for f in files.values()) / 2**20:.2f} MiB")


def main() -> None:
    kinds = KINDS | FAMILIES
    jobs = {k: (lambda d, k=k: write_kind(kinds[k](), d)) for k in kinds}
    jobs |= training.JOBS | adapters.JOBS | losses.JOBS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(jobs), help="rewrite these alone")
    chosen = parser.parse_args().only or list(jobs)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in chosen:
        torch.manual_seed(SEED)
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        jobs[name](folder)
    write_manifest()


if __name__ == "__main__":
    main()
