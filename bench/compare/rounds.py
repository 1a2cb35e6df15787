"""Runs one group of engines: they take turns, round by round, and show that they compute the same."""

from __future__ import annotations

import json
import math
import statistics
import time
from pathlib import Path

from engine import Engine, Failed, Unsupported
from plan import LOGITS_WITHIN, LOSSES_WITHIN, STEP_BATCH, Entry, Group, note
from preparation import Preparation


class Run:
    """The engines of a group that are alive, and what became of the others."""

    def __init__(self, group: Group, args, root: Path, env: dict[str, str]):
        self.group, self.args, self.root, self.env = group, args, root, env
        self.engines: dict[str, tuple[Entry, Engine]] = {}
        self.left_out: dict[str, dict] = {}

    def leave_out(self, entry: Entry, error: Exception) -> None:
        status = "unsupported" if isinstance(error, Unsupported) else "failed"
        self.left_out[entry.name] = {"status": status, "reason": str(error)}
        note(f"  {entry.name}: {status}: {error}")
        _, engine = self.engines.pop(entry.name, (None, None))
        if engine:
            engine.close(patience=0.5)

    def start(self, preparation: Preparation) -> None:
        for entry in self.group.entries:
            try:
                preparation.need(*entry.needs)
                self.engines[entry.name] = (entry, Engine(entry.name, entry.command, self.env, self.root))
            except Failed as e:
                self.leave_out(entry, e)

    def each(self, work) -> None:
        """Calls work(name, entry, engine) of everyone who is alive; who fails is left out."""
        for name, (entry, engine) in list(self.engines.items()):
            try:
                work(name, entry, engine)
            except (Unsupported, Failed) as e:
                self.leave_out(entry, e)

    def close(self, patience: float) -> None:
        for _, engine in self.engines.values():
            engine.close(patience)


def run(group: Group, args, root: Path, env: dict[str, str], preparation: Preparation) -> dict:
    note(f"{group.title}")
    run = Run(group, args, root, env)
    patience, rows = 0.5, []
    try:
        run.start(preparation)
        for batch in group.batches:
            rows.append(measure(run, batch))
        agreement = check(run, group.batches[-1], preparation)
        patience = 10
    finally:
        run.close(patience)
    return {"model": group.model, "workload": group.workload, "precision": group.precision, "rows": rows,
            "agreement": agreement, "left_out": run.left_out}


def measure(run: Run, batch: int) -> dict:
    """One row: warm-up, then rounds in rotating order."""
    command, args = f"{run.group.workload} {batch}", run.args
    times: dict[str, list[float]] = {}
    working: dict[str, int] = {}
    peaks: dict[str, int] = {}

    def warm(name: str, _: Entry, engine: Engine) -> None:
        begin = time.monotonic()
        first = engine.ask(command)["seconds"]
        for _ in range(args.warmup - 1):
            engine.ask(command)
        _, working[name] = engine.sampled(command)
        times[name] = []
        note(f"  {name}: {command}: ready after {time.monotonic() - begin:.1f} s, first {first:.2f} s")

    def once(name: str, _: Entry, engine: Engine) -> None:
        time.sleep(args.pause)  # let the spinning threads of the last one go to sleep
        times[name].append(engine.ask(command)["seconds"])

    def rss(name: str, _: Entry, engine: Engine) -> None:
        peaks[name] = engine.ask("rss")["peak_bytes"]

    run.each(warm)
    begin, done = time.monotonic(), 0
    while done < args.rounds and (done < args.min_rounds or time.monotonic() - begin < args.seconds):
        names = list(run.engines)
        turn = done % len(names) if names else 0
        run.engines = {n: run.engines[n] for n in names[turn:] + names[:turn]}
        run.each(once)
        run.engines = {n: run.engines[n] for n in names if n in run.engines}
        done += 1
    run.each(rss)
    return {"batch": batch, "rounds": done, "engines": {
        n: {"precision": e.precision, "ours": e.ours, "median_seconds": statistics.median(times[n]),
            "images_per_second": batch / statistics.median(times[n]),
            "spread": (max(times[n]) - min(times[n])) / statistics.median(times[n]),
            "peak_bytes": peaks[n], "working_bytes": working[n], "seconds": times[n]}
        for n, (e, _) in run.engines.items()}}


def check(run: Run, batch: int, preparation: Preparation) -> dict:
    """How far everyone's logits or losses are from PyTorch's in float32."""
    out: dict[str, dict] = {}
    logits = run.group.workload == "forward"
    if not logits and batch != STEP_BATCH:
        return out  # the reference is of that batch
    what = "logits" if logits else "losses"
    try:
        preparation.need("base", what)
    except Failed as e:
        note(f"  nothing to compare with: {e}")
        return out
    want = json.loads((preparation.folder / f"{what}.json").read_text())
    within = LOGITS_WITHIN if logits else LOSSES_WITHIN

    def one(name: str, entry: Entry, engine: Engine) -> None:
        got = engine.ask(f"logits {batch}" if logits else f"losses {batch} {len(want)}")[what]
        away = relative(got, want[:len(got)])
        out[name] = {"what": what, "difference": away, "within": within[entry.precision], "ok": away <= within[entry.precision]}
        note(f"  {name}: {what} differ by {away:.1e}")

    run.each(one)
    return out


def relative(got: list[float], want: list[float]) -> float:
    if not got or len(got) != len(want) or not all(map(math.isfinite, got)):
        return math.inf
    return math.dist(got, want) / math.hypot(*want)
