"""What the peers of the comparison share: the line protocol (README.md), inputs that a formula gives, reading weights."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

LABELS, RANK = 14, 4
CHECKED = 2  # images whose logits are compared


class Unsupported(Exception):
    """What was asked for does not exist here: the engine is left out, by name."""


class Peer:
    """What answers the protocol; a subclass has what its engine can do."""

    def prepare(self, work: str, batch: int) -> None:
        """Makes what `work` ("forward" or "step") needs; not timed."""

    def forward(self, images: np.ndarray) -> np.ndarray:
        """The logits [B, LABELS] of images [B, 3, 224, 224]."""
        raise Unsupported("no inference in this mode")

    def step(self, images: np.ndarray) -> float:
        """One training step; its loss before the update."""
        raise Unsupported("cannot train")

    def restart(self) -> None:
        """Puts the adapter, the head and the optimiser to where `losses` begins."""
        raise Unsupported("cannot train")


def formula(seed: int, index: int, *shape: int) -> np.ndarray:
    """The inputs of docs/format/adapter.md's self-test: splitmix64, 24 bits a value, in [-1, 1)."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        at = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(index * n)
        z = np.uint64(seed) + at * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32).reshape(shape)


def check_images(batch: int) -> np.ndarray:
    return np.stack([formula(1, i, 3, 224, 224) for i in range(batch)])


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a safetensors file, read and not mapped: nothing is in memory twice."""
    out = {}
    with path.open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
        header.pop("__metadata__", None)
        for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            if t["dtype"] != "F32":
                raise SystemExit(f"{path}: {name} is {t['dtype']}, expected F32")
            f.seek(8 + size + t["data_offsets"][0])
            out[name] = np.fromfile(f, np.float32, int(np.prod(t["shape"]))).reshape(t["shape"])
    return out


def cpu_flags() -> set[str]:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def need_bf16() -> None:
    """Without the instructions bf16 is emulated, and one step takes minutes."""
    if not {"avx512_bf16", "amx_bf16"} & cpu_flags():
        raise Unsupported("this CPU has no BF16 instructions")


def peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def answer(peer: Peer, words: list[str]) -> dict:
    numbers = [int(w) for w in words[1:]]
    match words[0], numbers:
        case "rss", []:
            return {"peak_bytes": peak_bytes()}
        case "forward" | "step", [batch]:
            peer.prepare(words[0], batch)
            images = np.random.default_rng(1).standard_normal((batch, 3, 224, 224), dtype=np.float32)
            work = peer.forward if words[0] == "forward" else peer.step
            start = time.perf_counter()
            work(images)
            return {"seconds": time.perf_counter() - start}
        case "logits", [batch]:
            peer.prepare("forward", batch)
            return {"logits": np.asarray(peer.forward(check_images(batch))[:CHECKED], np.float64).flatten().tolist()}
        case "losses", [batch, steps]:
            peer.prepare("step", batch)
            peer.restart()
            images = check_images(batch)
            return {"losses": [peer.step(images) for _ in range(steps)]}
    return {"error": f"unknown command {' '.join(words)!r}"}


def serve(make) -> None:
    """Answers commands on standard input until `quit`. make() returns the Peer; its errors become answers."""
    peer, missing = None, None
    try:
        peer = make()
    except (Unsupported, ImportError) as e:
        missing = str(e)
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        try:
            if missing is not None:
                raise Unsupported(missing)
            doc = answer(peer, words or [""])
        except Unsupported as e:
            doc = {"unsupported": str(e)}
        except Exception as e:  # the table names what failed and goes on without it
            doc = {"error": f"{type(e).__name__}: {e}".splitlines()[0][:300]}
        print(json.dumps(doc), flush=True)
