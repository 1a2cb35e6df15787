"""melo and PyTorch side by side on this machine, alternating round by round. See README.md.

Pure standard library; --python names an interpreter that has torch and timm.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORKLOADS = ("forward 1", "forward 4", "step 8")


class Engine:
    """A process that answers commands; it starts on the first and idles between them."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], log):
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env=os.environ | env, cwd=ROOT)

    def ask(self, command: str) -> dict:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended at {command!r} with code {self.process.wait()}")
        doc = json.loads(line)
        if "error" in doc:
            raise RuntimeError(f"{self.name}: {command!r}: {doc['error']}")
        return doc

    def working_bytes(self, command: str) -> int:
        """The most memory beyond mapped files (RssAnon + RssShmem) that the process holds during a command."""
        status, most, done = Path(f"/proc/{self.process.pid}/status"), 0, threading.Event()

        def sample() -> None:
            nonlocal most
            while True:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
                most = max(most, sum(int(fields[f].split()[0]) for f in ("RssAnon", "RssShmem")) * 1024)
                if done.wait(0.002):
                    return

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            self.ask(command)
        finally:
            done.set()
            sampler.join()
        return most

    def close(self) -> None:
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()


def commands(args, base: Path, workload: str) -> dict[str, list[str]]:
    # PyTorch keeps its random weights: loading a file would only raise its peak memory.
    torch = [args.python, str(HERE / "torch_bench.py"), "--threads", str(args.threads)]
    out = {"melo": [*shlex.split(args.melo), "bench", "--serve-rounds", "--base", str(base), *shlex.split(args.melo_args)]}
    for mode in args.modes.split(","):
        frozen = ["--freezing"] if mode == "freeze" and workload.startswith("forward") else []
        if mode == "freeze" and not frozen:
            continue
        out[f"torch {mode}"] = [*torch, "--mode", "eager" if mode == "eager" else "compile", *frozen]
    return out


def measure(args, base: Path, workload: str, log) -> dict:
    """One workload: warm-up, then rounds in rotating order; every engine in its own process."""
    env = {"GOMAXPROCS": str(args.threads), "OMP_NUM_THREADS": str(args.threads)}
    engines = [Engine(n, c, env, log) for n, c in commands(args, base, workload).items()]
    times: dict[str, list[float]] = {e.name: [] for e in engines}
    try:
        for e in engines:
            for _ in range(args.warmup):
                e.ask(workload)
        for r in range(args.rounds):
            turn = r % len(engines)
            for e in engines[turn:] + engines[:turn]:
                time.sleep(args.pause)  # let the spinning threads of the last one go to sleep
                times[e.name].append(e.ask(workload)["seconds"])
        peaks = {e.name: e.ask("rss")["peak_bytes"] for e in engines}
        working = {e.name: e.working_bytes(workload) for e in engines}
    finally:
        for e in engines:
            e.close()
    return summary(workload, times, peaks, working)


def check(args, base: Path, log, steps: int = 4) -> dict:
    """Both sides compute the same: logits of one base, and losses of training steps from one start."""
    commands = {
        "melo": [*shlex.split(args.melo), "bench", "--serve-rounds", "--base", str(base)],  # f32, whatever is timed
        "torch": [args.python, str(HERE / "torch_bench.py"), "--threads", str(args.threads), "--base", str(base)],
    }
    answers = {}
    for name, command in commands.items():
        engine = Engine(name, command, {"GOMAXPROCS": str(args.threads), "OMP_NUM_THREADS": str(args.threads)}, log)
        try:
            answers[name] = engine.ask(f"check {steps}")
        finally:
            engine.close()
    out = {}
    for what in ("logits", "losses"):
        ours, theirs = answers["melo"][what], answers["torch"][what]
        if len(ours) != len(theirs):
            raise SystemExit(f"check: {len(ours)} {what} of melo, {len(theirs)} of PyTorch")
        out[what] = max(abs(a - b) for a, b in zip(ours, theirs)) / max(map(abs, theirs))
        # Float32 through twelve blocks; AdamW's division by small second moments magnifies it in the losses.
        if not out[what] <= 1e-4:
            raise SystemExit(f"check: {what} differ by {out[what]:.2e} of the largest: {ours[:8]} and {theirs[:8]}")
    out["final_loss"] = answers["torch"]["losses"][-1]
    out["first_loss"] = answers["torch"]["losses"][0]
    return out


def summary(workload: str, times: dict[str, list[float]], peaks: dict[str, int], working: dict[str, int]) -> dict:
    median = {n: statistics.median(t) for n, t in times.items()}
    rivals = [n for n in median if n != "melo"]
    best = min(rivals, key=median.get)
    # Round by round against the best rival: steadier than a ratio of medians on a shared machine.
    paired = statistics.median(b / m for b, m in zip(times[best], times["melo"]))
    return {
        "workload": workload,
        "images_per_second": {n: int(workload.split()[1]) / t for n, t in median.items()},
        "median_seconds": median,
        "spread": {n: (max(t) - min(t)) / median[n] for n, t in times.items()},
        "best_rival": best,
        "speed_ratio": median[best] / median["melo"],
        "paired_speed_ratio": paired,
        "peak_bytes": peaks,
        "memory_share": peaks["melo"] / min(peaks[n] for n in rivals),
        "memory_share_of_best": peaks["melo"] / peaks[best],
        "working_bytes": working,
        "working_share_of_best": working["melo"] / working[best],
        "seconds": times,
    }


def cpu() -> dict:
    """The machine, and which class of the performance tables it belongs to."""
    info = {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    flags: set[str] = set()
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return info | {"class": "unknown"}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "Flags":
            flags = set(value.split())
        elif key in ("Model name", "CPU family", "Model", "L2 cache", "L3 cache"):
            info[key] = value.strip()
    known = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
    info["flags"] = [f for f in known if f in flags]
    if {"avx512_vnni", "avx512_bf16"} <= flags:
        info["class"] = "AVX-512 with BF16 and VNNI"
    elif "avx512_vnni" in flags:
        info["class"] = "AVX-512 with VNNI"
    elif "avx512f" in flags:
        info["class"] = "AVX-512"
    elif {"avx2", "fma"} <= flags:
        info["class"] = "AVX2 and FMA"
    else:
        info["class"] = "NEON" if platform.machine() == "aarch64" else "other"
    return info


def table(machine: dict, results: list[dict]) -> str:
    lines = [f"{machine.get('Model name', '?')}, {machine['cores']} cores, class: {machine['class']}, "
             f"load {machine['load_average']:.1f}", ""]
    for r in results:
        lines.append(f"{r['workload']:<12}{'ms':>10}{'img/s':>9}{'spread':>9}{'peak MB':>10}{'working MB':>12}")
        for n, s in r["median_seconds"].items():
            lines.append(f"  {n:<14}{s * 1e3:>6.0f}{r['images_per_second'][n]:>11.2f}"
                         f"{r['spread'][n]:>8.0%}{r['peak_bytes'][n] / 1e6:>10.0f}{r['working_bytes'][n] / 1e6:>12.0f}")
        lines.append(f"  melo is {r['speed_ratio']:.2f} x {r['best_rival']} (paired {r['paired_speed_ratio']:.2f}), "
                     f"with {r['memory_share_of_best']:.0%} of its peak memory, {r['working_share_of_best']:.0%} of its working memory")
    return "\n".join(lines)


def build_melo(folder: Path) -> str:
    binary = folder / "melo"
    subprocess.run(["go", "build", "-o", str(binary), "./cmd/melo"], cwd=ROOT, check=True, env=os.environ | {"CGO_ENABLED": "0"})
    return str(binary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter with torch and timm")
    parser.add_argument("--melo", help="melo program (built from this tree without)")
    parser.add_argument("--melo-args", default="", help="more arguments of melo bench")
    parser.add_argument("--base", type=Path, help="timm folder of a ViT-B/16 (random weights without)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between engines")
    parser.add_argument("--modes", default="eager,compile", help="of eager,compile,freeze")
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), help='such as "forward 4"')
    parser.add_argument("--json", type=Path, help="write the numbers here, too")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="standard error of all engines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as tmp, args.log.open("w") as log:
        args.melo = args.melo or build_melo(Path(tmp))
        base = args.base
        if base is None:
            base = Path(tmp) / "vit_b16"
            subprocess.run([args.python, str(HERE / "torch_bench.py"), "--export", str(base)], check=True)
        agreement = check(args, base.resolve(), log)
        machine = cpu()
        results = [measure(args, base.resolve(), w, log) for w in args.workloads]
    print(table(machine, results))
    print(f"melo and PyTorch agree: logits within {agreement['logits']:.1e} of the largest; losses of 4 steps "
          f"({agreement['first_loss']:.3f} to {agreement['final_loss']:.3f}) within {agreement['losses']:.1e}")
    if args.json:
        doc = {"machine": machine, "threads": args.threads, "rounds": args.rounds, "agreement": agreement, "results": results}
        args.json.write_text(json.dumps(doc, indent=1) + "\n")


if __name__ == "__main__":
    main()
