"""Who takes part in which row of the comparison, and by which command."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRECISIONS = ("f32", "bf16", "int8")
MODELS = ("ti", "s", "b", "l")
STEP_BATCH = 8

# The steps of prepare.py, and what each makes last: it is there when the step is done.
MADE = {"base": "base", "logits": "logits.json", "losses": "losses.json", "onnx": "model.onnx", "onnx-int8": "int8.onnx",
        "openvino-int8": "int8.xml", "adapter": "image.png"}

# How far the logits (relative, L2) and the losses (relative) of an honest engine are from PyTorch's in float32,
# on random weights: rounding of 24, 8 and 7 bits through twelve blocks, with room.
LOGITS_WITHIN = {"f32": 1e-3, "bf16": 0.05, "int8": 0.3}
LOSSES_WITHIN = {"f32": 1e-3, "bf16": 0.05, "int8": 0.1}


@dataclass
class Entry:
    """One engine in one mode."""

    name: str
    command: list[str]
    precision: str
    needs: tuple[str, ...] = ("base",)  # steps of prepare.py
    ours: bool = False


@dataclass
class Group:
    """Engines that take turns on one workload of one model."""

    model: str
    workload: str  # "forward" or "step"
    precision: str
    batches: list[int]
    entries: list[Entry] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.workload} {self.precision}, ViT-{self.model.capitalize()}"


def melo(args, folder: Path, precision: str, name: str) -> Entry:
    command = [args.melo, "bench", "--serve-rounds", "--base", str(folder / "base"), "--precision", precision, "--threads", str(args.threads)]
    if args.isa:
        command += ["--kernels", args.isa]
    return Entry(name, command, precision, ours=True)


def torch(args, folder: Path, name: str, precision: str, *options: str) -> Entry:
    command = [args.python, str(HERE / "torch_peer.py"), "--threads", str(args.threads), "--base", str(folder / "base"), *options]
    return Entry(name, command, precision)


def ort(args, folder: Path, precision: str, file: str, *needs: str) -> Entry:
    command = [args.python, str(HERE / "ort_peer.py"), "--threads", str(args.threads), "--model", str(folder / file)]
    return Entry(f"onnxruntime {precision}", command, precision, ("base", "onnx", *needs))


def openvino(args, folder: Path, precision: str, file: str, hint: str, *needs: str) -> Entry:
    command = [args.python, str(HERE / "openvino_peer.py"), "--threads", str(args.threads), "--model", str(folder / file), "--precision", hint]
    return Entry(f"openvino {precision}", command, precision, ("base", "onnx", *needs))


def forward(args, folder: Path, precision: str) -> list[Entry]:
    ours = melo(args, folder, precision, f"melo {precision}")
    if precision == "f32":
        peers = [torch(args, folder, "torch f32 eager", precision), torch(args, folder, "torch f32 compile", precision, "--mode", "compile"),
                 ort(args, folder, precision, "model.onnx"), openvino(args, folder, precision, "model.onnx", "f32")]
        if args.freezing:
            peers.append(torch(args, folder, "torch f32 freezing", precision, "--mode", "compile", "--freezing"))
    elif precision == "bf16":
        peers = [torch(args, folder, "torch bf16 eager", precision, "--weights", "bf16"),
                 torch(args, folder, "torch bf16 compile", precision, "--weights", "bf16", "--mode", "compile"),
                 torch(args, folder, "torch autocast eager", precision, "--autocast"),
                 openvino(args, folder, precision, "model.onnx", "bf16")]
        if args.freezing:
            peers.append(torch(args, folder, "torch bf16 freezing", precision, "--weights", "bf16", "--mode", "compile", "--freezing"))
    else:
        peers = [torch(args, folder, "torch int8 dynamic", precision, "--weights", "int8"),
                 torch(args, folder, "torch int8 dynamic onednn", precision, "--weights", "int8", "--quantized", "onednn"),
                 ort(args, folder, precision, "int8.onnx", "onnx-int8"),
                 openvino(args, folder, precision, "int8.xml", "auto", "openvino-int8")]
    return [ours, *peers]


def step(args, folder: Path, precision: str, int8_base: bool) -> list[Entry]:
    ours = [melo(args, folder, precision, f"melo {precision}")]
    if int8_base:
        ours.append(melo(args, folder, "int8", "melo int8 base"))
    options = {"f32": {"f32": ()}, "bf16": {"autocast": ("--autocast",), "bf16 base": ("--autocast", "--weights", "bf16")}}[precision]
    peers = []
    for name, more in options.items():
        for mode in ("eager", "compile"):
            peers.append(torch(args, folder, f"peft {name} {mode}", precision, "--mode", mode, *more))
        if args.plain_lora:
            peers.append(torch(args, folder, f"torch {name} by hand", precision, "--lora", "plain", *more))
    return [*ours, *peers]


def groups(args, folders: dict[str, Path], has_bf16: bool) -> list[Group]:
    """Every row that was asked for. melo with an int8 base stands beside the best training that the machine has."""
    out = []
    for model in args.models:
        for precision in args.precisions:
            if "forward" in args.workloads:
                out.append(Group(model, "forward", precision, args.batches, forward(args, folders[model], precision)))
        for precision in args.precisions:
            best = "bf16" if has_bf16 and "bf16" in args.precisions else "f32"
            if "step" in args.workloads and precision != "int8":
                entries = step(args, folders[model], precision, precision == best and "int8" in args.precisions)
                out.append(Group(model, "step", precision, [args.step_batch], entries))
    for group in out:
        if args.isa:  # ONNX Runtime has no switch
            group.entries = [e for e in group.entries if "onnxruntime" not in e.name]
        group.entries = [e for e in group.entries if not args.engines or any(word in e.name for word in args.engines)]
    return [g for g in out if g.entries]


def prepare_command(args, what: str, model: str, folder: Path) -> list[str]:
    return [args.python, str(HERE / "prepare.py"), what, str(folder), "--model", model, "--threads", str(args.threads)]


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
