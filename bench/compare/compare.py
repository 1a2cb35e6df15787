"""melo beside PyTorch, ONNX Runtime and OpenVINO on this machine, alternating round by round. See README.md.

Pure standard library; --python names an interpreter that has the packages of requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import report
import rounds
import start
from engine import Engine, Failed, Unsupported
from plan import HERE, MODELS, PRECISIONS, STEP_BATCH, groups, melo, note
from preparation import Preparation

ROOT = HERE.parents[1]
WORKLOADS = ("forward", "step", "start", "adapters")


def build_melo(folder: Path) -> str:
    binary = folder / "melo"
    subprocess.run(["go", "build", "-o", str(binary), "./cmd/melo"], cwd=ROOT, check=True, env=os.environ | {"CGO_ENABLED": "0"})
    return str(binary)


def resident_adapters(args, model: str, bits: int, folder: Path, env: dict[str, str]) -> dict:
    """The memory that args.adapters adapters of 32 or 16 bits take beside their base."""
    entry = melo(args, folder, "f32", "melo")
    engine = Engine(entry.name, entry.command, env, ROOT)
    try:
        answer = engine.ask(f"adapters {args.adapters} {bits}")
    finally:
        engine.close()
    note(f"adapters, ViT-{model.capitalize()}: {args.adapters} of {bits} bits take {answer['bytes'] / 1e9:.3f} GB")
    return {"model": model, "adapters": args.adapters, "bits": bits, "bytes": answer["bytes"]}


def compare(args, work: Path) -> dict:
    for name in ("tmp", "inductor"):
        (work / name).mkdir(parents=True, exist_ok=True)
    env = {"GOMAXPROCS": str(args.threads), "OMP_NUM_THREADS": str(args.threads), "TMPDIR": str(work / "tmp"),
           "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"), "ONNXRUNTIME_DISABLE_TELEMETRY": "1", "OPENVINO_TELEMETRY_DISABLED": "1"}
    if args.isa:
        env |= {"ONEDNN_MAX_CPU_ISA": args.isa.upper(), "DNNL_MAX_CPU_ISA": args.isa.upper(), "ATEN_CPU_CAPABILITY": args.isa,
                "MKL_ENABLE_INSTRUCTIONS": args.isa.upper()}
    tempfile.tempdir = str(work / "tmp")
    args.melo = str(Path(args.melo).resolve()) if args.melo else build_melo(work)
    about = machine.describe()
    doc = {"machine": about, "versions": machine.versions(args.python), "melo": melo_version(args.melo), "threads": args.threads,
           "isa": args.isa, "results": [], "adapters": []}
    folders = {m: work / m for m in args.models}
    prepared = {m: Preparation(args, m, folders[m], env) for m in args.models}
    for group in groups(args, folders, "avx512_bf16" in about.get("flags", ()) and not args.isa):
        doc["results"].append(rounds.run(group, args, ROOT, env, prepared[group.model]))
    for model in args.models:
        if "start" in args.workloads:
            doc["results"].append(start.run(args, model, ROOT, env, prepared[model]))
        if "adapters" in args.workloads:
            prepared[model].need("base")
            doc["adapters"] += [resident_adapters(args, model, bits, folders[model], env) for bits in (32, 16)]
    for result in doc["results"]:
        report.add_ratios(result)
    doc["problems"] = report.problems(doc["results"])
    return doc


def melo_version(program: str) -> str:
    done = subprocess.run([program, "--json", "version"], capture_output=True, text=True, check=True)
    doc = json.loads(done.stdout)
    return f"{doc.get('version', '')} {doc.get('revision', '')[:12]}".strip()


def stop(number: int, frame) -> None:
    """Ends by an exception, so that engines are ended and folders removed on the way out."""
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    raise SystemExit(128 + number)


def words(allowed: tuple[str, ...]):
    def parse(text: str) -> list[str]:
        out = [w for w in text.split(",") if w]
        for w in out:
            if w not in allowed:
                raise argparse.ArgumentTypeError(f"{w!r}: expected any of {','.join(allowed)}")
        return [w for w in allowed if w in out]

    return parse


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter with the packages of the peers")
    parser.add_argument("--melo", help="melo program (built from this tree without)")
    parser.add_argument("--models", type=words(MODELS), default=["b"], metavar="ti,s,b,l", help="default: b")
    parser.add_argument("--precisions", type=words(PRECISIONS), default=list(PRECISIONS), metavar="f32,bf16,int8")
    parser.add_argument("--batches", type=lambda t: sorted(map(int, t.split(","))), default=[1, 4, 16], metavar="1,4,16")
    parser.add_argument("--workloads", type=words(WORKLOADS), default=list(WORKLOADS), metavar=",".join(WORKLOADS))
    parser.add_argument("--engines", type=lambda t: t.split(","), default=[], metavar="WORD,...", help="only engines whose names contain one of these")
    parser.add_argument("--step-batch", type=int, default=STEP_BATCH, help="another than 8 is timed without the check of losses")
    parser.add_argument("--adapters", type=int, default=1000, help="number of resident adapters")
    parser.add_argument("--freezing", action="store_true", help="also inductor's weight freezing (inference)")
    parser.add_argument("--plain-lora", action="store_true", help="also steps with LoRA written by hand on timm's network")
    parser.add_argument("--isa", choices=("avx2",), help="let every engine use AVX2 at most, where that can be told to it: an older machine's "
                        "instructions, not its speed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15, help="most rounds of a row")
    parser.add_argument("--min-rounds", type=int, default=5, help="least rounds of a row, however long they take")
    parser.add_argument("--seconds", type=float, default=20, help="a row takes no more rounds after this time")
    parser.add_argument("--start-rounds", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=1, help="warm-up rounds before the one in which memory is sampled; neither is timed")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between engines")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="networks and compiled code are kept here for the next run (about 2 GB for ViT-B)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here, too")
    args = parser.parse_args()
    if min(args.batches) < 1 or args.min_rounds < 1 or args.rounds < args.min_rounds or args.warmup < 1 or args.start_rounds < 1:
        parser.error("batches, --warmup, --start-rounds and --min-rounds are at least 1, --rounds at least --min-rounds")
    return args


def main() -> int:
    args = options()
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, stop)
    try:
        if args.keep:
            doc = compare(args, args.keep.resolve())
        else:
            with tempfile.TemporaryDirectory(prefix="melo-compare-") as folder:
                doc = compare(args, Path(folder))
    except (Failed, Unsupported) as e:
        raise SystemExit(f"compare: {e}")
    table = report.markdown(doc)
    print(table, end="")
    if args.json:
        args.json.write_text(json.dumps(doc, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(table)
    return 1 if doc["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
