"""Prints the tables of the recipe in docs/results.md: python3 bench/quality/recipe_tables.py OUT/runs [--resamples 1000]

Differences are paired: the same images, and of each seed the same seed. Their intervals are of a bootstrap at two levels: images
are drawn with replacement, the same for both methods, and so are seeds; the mean over pairs of base and set resamples each pair by
itself. A method that does not depend on the seed (linear) has one run for all. Needs numpy.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

SETS = ["busi", "cxr_pneumonia", "brain_mri", "ham10000"]
METHODS = ["linear", "before", "full", "melo"]


def auc(score: np.ndarray, truth: np.ndarray) -> float:
    """Of one label, ties by half."""
    order = np.argsort(score, kind="stable")
    s, t = score[order], truth[order]
    _, first, counts = np.unique(s, return_index=True, return_counts=True)
    ranks = np.repeat(first + (counts + 1) / 2, counts)
    p = t.sum()
    if p in (0, len(t)):
        return float("nan")
    return (ranks[t].sum() - p * (p + 1) / 2) / (p * (len(t) - p))


def macro(prob: np.ndarray, label: np.ndarray) -> float:
    each = [auc(prob[:, c], label == c) for c in range(prob.shape[1])]
    return float(np.nanmean(each[1:] if len(each) == 2 else each))


def accuracy(prob: np.ndarray, label: np.ndarray) -> float:
    return float((prob.argmax(1) == label).mean())


class Answers:
    """Probabilities of every image, by seed."""

    def __init__(self, folder: Path, base: str, s: str, method: str, seeds: list[int]):
        self.docs, self.prob, self.label = {}, {}, None
        for seed in seeds:
            path = folder / f"{base}-{s}-{method}-{seed}.json"
            if not path.exists():
                continue
            self.docs[seed] = json.loads(path.read_text())
            with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as f:
                rows = sorted(csv.DictReader(f), key=lambda r: r["path"])
            names = [c.removeprefix("true:") for c in rows[0] if c.startswith("true:")]
            self.prob[seed] = np.array([[float(r["probability:" + n]) for n in names] for r in rows])
            self.label = np.array([names.index(r["label"]) for r in rows])

    def of(self, seed: int) -> np.ndarray | None:
        return self.prob.get(seed, next(iter(self.prob.values()), None))

    def mean(self, what, at=slice(None), seeds=None) -> float:
        return float(np.mean([what(self.of(s)[at], self.label[at]) for s in (seeds or self.prob)]))


def interval(values) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", type=Path)
    p.add_argument("--resamples", type=int, default=1000)
    p.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    a = p.parse_args()
    folder, rng = a.runs / "recipe", np.random.default_rng(1)
    bases = sorted({f.name.split(f"-{s}-")[0] for s in SETS for f in folder.glob(f"*-{s}-*.json")})
    pairs = {(b, s): {m: Answers(folder, b, s, m, a.seeds) for m in METHODS} for b in bases for s in SETS}
    for what, name in ((macro, "AUC"), (accuracy, "accuracy")):
        print(f"\n| base | set | seeds | epochs | {' | '.join(METHODS)} | melo − full | melo − linear | melo − before |")
        print("|---|---|---|---|" + "---|" * (len(METHODS) + 3))
        draws: dict[str, dict] = {}
        points: dict[str, dict] = {}
        for (b, s), of in pairs.items():
            melo = of["melo"]
            if not melo.prob:
                continue
            cells = [f"{of[m].mean(what):.3f}" if of[m].prob else "-" for m in METHODS]
            diffs = []
            for other in ("full", "linear", "before"):
                seeds = [x for x in melo.prob if x in of[other].prob or other == "linear" and of[other].prob]
                if not seeds:
                    diffs.append("-")
                    continue
                points.setdefault(other, {})[b, s] = melo.mean(what, seeds=seeds) - of[other].mean(what, seeds=seeds)
                n, list_ = len(melo.label), []
                for _ in range(a.resamples):
                    at, drawn = rng.integers(0, n, n), list(rng.choice(seeds, len(seeds)))
                    list_.append(melo.mean(what, at, drawn) - of[other].mean(what, at, drawn))
                draws.setdefault(other, {})[b, s] = list_
                diffs.append(f"{100 * points[other][b, s]:+.1f} ({interval(list_)})")
            epochs = "/".join(sorted({str(d["epochs"]) for d in melo.docs.values()}))
            print(f"| {b} | {s} | {len(melo.prob)} | {epochs} | {' | '.join(cells)} | {' | '.join(diffs)} |")
        print(f"\n{name}, mean over pairs:")
        for other, of in points.items():
            together = np.mean([draws[other][k] for k in of], axis=0)
            worst = min(of, key=of.get)
            print(f"- melo − {other}: {100 * np.mean(list(of.values())):+.2f} points ({interval(together)}), {len(of)} pairs, lowest {100 * of[worst]:+.1f} ({' '.join(worst)})")
    print("\n| base | method | runs | seconds a run | kept linear probe | went back |\n|---|---|---|---|---|---|")
    for b in bases:
        for m in METHODS:
            docs = [d for (base, _), of in pairs.items() if base == b for d in of[m].docs.values()]
            if docs:
                print(f"| {b} | {m} | {len(docs)} | {np.mean([d['seconds'] for d in docs]):.0f} | {sum(d.get('kept') == 'start' and d['epochs'] > 0 for d in docs)} | {sum(len(d.get('retreats', [])) for d in docs)} |")


if __name__ == "__main__":
    main()
