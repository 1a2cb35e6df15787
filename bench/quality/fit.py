"""How well an adapter tells images that are not like those of its training: other tasks' images, and its own ones changed.

Used by run.py (part fit). Run by itself it makes the changed images, and needs Pillow:

    python3 bench/quality/fit.py FOLDER IMAGE...     # FOLDER/CHANGE/NUMBER.png
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

CHANGES = ["inverted", "rotated", "darkened", "half", "crop", "recoloured", "blank"]


def change(folder: Path, images: list[str]) -> None:
    from PIL import Image, ImageOps

    for k, name in enumerate(images):
        with Image.open(name) as f:
            image = f.convert("L" if f.mode in ("1", "L", "I", "I;16", "F") else "RGB")
        if image.mode == "RGB" and image.tobytes() == image.convert("L").convert("RGB").tobytes():
            image = image.convert("L")  # grey, stored in colour
        w, h = image.size
        grey = image.mode == "L"
        level = 255 * k // max(len(images) - 1, 1)
        changed = {
            "inverted": ImageOps.invert(image), "rotated": image.rotate(90, expand=True), "darkened": image.point(lambda v: v // 3),
            "half": image.crop((0, 0, w // 2, h)), "crop": image.crop((3 * w // 8, 3 * h // 8, 5 * w // 8, 5 * h // 8)),
            "recoloured": ImageOps.colorize(image, "black", "#ffd0a0") if grey else image.convert("L").convert("RGB"),
            "blank": Image.new(image.mode, image.size, level if grey else (level,) * 3),
        }
        for what, picture in changed.items():
            (folder / what).mkdir(parents=True, exist_ok=True)
            picture.save(folder / what / f"{k:03d}.png")


def images(data: Path, split: str, n: int) -> list[Path]:
    """At most n images of a split, evenly."""
    with open(data / "labels.csv", newline="", encoding="utf-8") as f:
        rows = [data / r["path"] for r in csv.DictReader(f) if r["split"] == split]
    return [rows[i * len(rows) // min(n, len(rows))] for i in range(min(n, len(rows)))]


def auc(own: list[float], other: list[float]) -> float:
    """The share of pairs in which the other image has the greater score."""
    wins = sum((o > x) + (o == x) / 2 for x in own for o in other)
    return wins / (len(own) * len(other))


def scores(bench, adapter: Path, files: list[Path]) -> list[dict]:
    doc = json.loads(bench.run([bench.a.melo, "--json", "predict", "--adapter", adapter, *bench.workers(), *files]))
    return [r["fit"] for r in doc["results"]]


def measure(bench, adapter: Path, name: str) -> dict:
    """What the adapter of a set says about its own test images and all others."""
    a = bench.a
    changed = a.out / "fit" / "changed" / name
    own_files = images(a.data / name, "test", a.images)
    if not (changed / "blank").exists():
        bench.run([a.python, __file__, changed, *own_files])
    own = scores(bench, adapter, own_files)
    own_scores = [f["score"] for f in own]
    doc = {"n": len(own), "refused": sum(f["unlike"] for f in own) / len(own), "others": {}}
    others = {f"set {s}": images(a.data / s, "test", a.images) for s in a.sets if s != name}
    others |= {c: sorted((changed / c).glob("*.png")) for c in CHANGES}
    for what, files in others.items():
        fits = scores(bench, adapter, files)
        doc["others"][what] = {"n": len(fits), "auc": auc(own_scores, [f["score"] for f in fits]), "accepted": sum(not f["unlike"] for f in fits) / len(fits)}
    return doc


def table(docs: dict[str, dict]) -> str:
    """AUROC and, in brackets, the share that is accepted, in percent; a column an adapter."""
    lines = ["| image | " + " | ".join(docs) + " |", "|---|" + "---|" * len(docs),
             "| its own test split: refused | " + " | ".join(f"{100 * d['refused']:.1f} % of {d['n']}" for d in docs.values()) + " |"]
    for what in dict.fromkeys(w for d in docs.values() for w in d["others"]):
        cells = [d["others"].get(what) for d in docs.values()]
        lines.append(f"| {what} | " + " | ".join(f"{c['auc']:.4f} ({100 * c['accepted']:.0f})" if c else "" for c in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    change(Path(sys.argv[1]), sys.argv[2:])
