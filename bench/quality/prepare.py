"""Divides image sets once, for everyone: OUT/SET/labels.csv with path, label, split and group.

    python3 bench/quality/prepare.py ../shared/data OUT [--train 480 --val 160 --test 400] [--share 0.25]

A set is a folder with labels.csv (path, label, perhaps split and group). A given test split is kept apart; what has
none is divided at random. Labels keep their shares, groups stay on one side, and images whose md5 stands twice are
left out. --train, --val and --test bound the images of a split (0: all of them), so that a slow machine can do every
comparison; --share keeps that part of the training images. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import collections
import csv
import random
from pathlib import Path

SHARES = {"val": 0.15, "test": 0.15}  # of a set without a given split


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "labels.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    times = collections.Counter(r.get("md5") or r["path"] for r in rows)
    return [r for r in rows if times[r.get("md5") or r["path"]] == 1]


def draw(rows: list[dict[str, str]], n: int, rng: random.Random) -> tuple[list, list]:
    """Takes about n rows, label by label, whole groups; returns them and the rest."""
    taken, rest, total = [], [], len(rows)
    for label in sorted({r["label"] for r in rows}):
        units = collections.defaultdict(list)
        for r in rows:
            if r["label"] == label:
                units[r.get("group") or r["path"]].append(r)
        want = round(n * sum(map(len, units.values())) / total)
        have = 0
        for key in rng.sample(sorted(units), len(units)):
            if have < want:
                taken += units[key]
                have += len(units[key])
            else:
                rest += units[key]
    both = {r.get("group") for r in taken if r.get("group")}  # a group may have more than one label
    return taken, [r for r in rest if r.get("group") not in both]


def divide(rows, a, seed: int) -> dict[str, list]:
    rng = random.Random(seed)
    given = [r for r in rows if r.get("split") == "test"]
    rest = [r for r in rows if r.get("split") != "test"]
    size = {"val": round(SHARES["val"] * len(rest)), "test": round(SHARES["test"] * len(rest))}
    for name in size:  # small splits make noisy numbers: take more where the bounds leave images over
        bound = getattr(a, name)
        size[name] = min(bound, len(rest) // 3) if bound else size[name]
    parts = {}
    if given:
        parts["test"] = draw(given, min(a.test or len(given), len(given)), rng)[0]
    else:
        parts["test"], rest = draw(rest, size["test"], rng)
    parts["val"], rest = draw(rest, size["val"], rng)
    parts["train"] = draw(rest, min(a.train or len(rest), len(rest)), rng)[0]
    if a.share < 1:  # at least two of each label, so that there is something to learn
        keep = []
        for label in sorted({r["label"] for r in parts["train"]}):
            of = [r for r in parts["train"] if r["label"] == label]
            keep += rng.sample(of, min(len(of), max(2, round(a.share * len(of)))))
        parts["train"] = keep
    return parts


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=Path, help="folder with one folder a set")
    p.add_argument("out", type=Path)
    p.add_argument("--sets", nargs="*", default=["busi", "cxr_pneumonia", "brain_mri", "ham10000"])
    p.add_argument("--train", type=int, default=480)
    p.add_argument("--val", type=int, default=160)
    p.add_argument("--test", type=int, default=400)
    p.add_argument("--share", type=float, default=1)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    for name in a.sets:
        parts = divide(rows_of(a.data / name), a, a.seed)
        folder = a.out / name
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "images"
        if not link.exists():
            link.symlink_to((a.data / name).resolve())
        with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as f:
            w = csv.writer(f)
            w.writerow(["path", "label", "split", "group"])
            for split in ("train", "val", "test"):
                for r in sorted(parts[split], key=lambda r: r["path"]):
                    w.writerow(["images/" + r["path"], r["label"], split, r.get("group", "")])
        print(name, {s: len(r) for s, r in parts.items()})


if __name__ == "__main__":
    main()
