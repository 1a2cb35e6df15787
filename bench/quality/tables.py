"""Prints the tables of docs/results.md from what run.py left: python3 bench/quality/tables.py OUT/runs [PART...]."""

from __future__ import annotations

import argparse
import collections
import json
import statistics
from pathlib import Path

SETS = ["busi", "cxr_pneumonia", "brain_mri", "ham10000"]


def load(folder: Path) -> dict[str, dict[str, list[dict]]]:
    """Documents by set, then by what was done, one a seed."""
    out: dict = {s: collections.defaultdict(list) for s in SETS}
    for path in sorted(folder.glob("*.json")):
        s = next((s for s in SETS if path.stem.startswith(s + "-")), None)
        if s:
            what, _, seed = path.stem[len(s) + 1:].rpartition("-")
            out[s][what].append(json.loads(path.read_text()) | {"seed": int(seed)})
    return out


def mean_sd(values: list[float]) -> str:
    sd = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {sd:.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def cell(docs: list[dict], key: str = "auc") -> str:
    return mean_sd([d[key] for d in docs]) if docs else ""


def table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for r in rows:
        print("| " + " | ".join(r) + " |")
    print()


def times(data: dict, names) -> None:
    for name in names:
        walls = [d.get("wall", d.get("seconds", 0)) for s in SETS for d in data[s].get(name, [])]
        trains = [d["seconds"] for s in SETS for d in data[s].get(name, []) if "seconds" in d]
        if walls:
            print(f"- {name}: {len(walls)} runs, training {sum(trains) / max(len(trains), 1):.0f} s each, {sum(walls) / 60:.0f} min in all")
    print()


def pytorch(data: dict) -> None:
    rows = []
    for s in SETS:
        for recipe in ("peft", "loravit"):
            ours, peer = data[s].get(f"{recipe}-melo", []), data[s].get(f"{recipe}-torch", [])
            if ours and peer:
                diff = statistics.mean(d["auc"] for d in ours) - statistics.mean(d["auc"] for d in peer)
                noise = (sum(statistics.variance([d["auc"] for d in x]) / len(x) for x in (ours, peer) if len(x) > 1)) ** 0.5
                rows.append([s, recipe, cell(ours), cell(peer), f"{diff:+.3f}", f"{noise:.3f}", cell(ours, "val_auc"), cell(peer, "val_auc")])
    table(["set", "recipe", "melo", "PyTorch", "difference", "its standard error", "val: melo", "val: PyTorch"], rows)


def claim(data: dict) -> None:
    methods = ("melo", "linear", "full", "random")
    table(["set", *methods, "melo - linear", "melo - full"], [
        [s, *(cell(data[s].get(m, [])) for m in methods), paired(data[s], "melo", "linear"), paired(data[s], "melo", "full")] for s in SETS])
    print("Accuracy, and calibration error before and after temperatures:\n")
    table(["set", *(f"{m}: accuracy" for m in methods[:3]), *(f"{m}: ECE" for m in methods[:3])], [
        [s, *(cell(data[s].get(m, []), "accuracy") for m in methods[:3]),
         *(f"{cell(data[s].get(m, []), 'uncalibrated_ece')}, {cell(data[s].get(m, []), 'ece')}" for m in methods[:3])] for s in SETS])
    rows = []
    for m in methods[:3]:
        docs = [d for s in SETS for d in data[s].get(m, []) if s == "busi"]
        if docs:
            p = docs[0]["parameters"]
            rows.append([m, f"{p['trained']:,}", f"{p['head']:,}", f"{100 * p['share']:.2f} %", f"{docs[0]['bytes']:,}"])
    table(["method (busi)", "trained", "head", "share of the base", "bytes of the file"], rows)


def paired(of: dict, a: str, b: str, key: str = "auc") -> str:
    """Mean difference over the seeds that both have, with its standard error."""
    x, y = ({d["seed"]: d[key] for d in of.get(n, [])} for n in (a, b))
    diffs = [x[k] - y[k] for k in x if k in y]
    if not diffs:
        return ""
    if len(diffs) == 1:
        return f"{diffs[0]:+.3f}"
    return f"{statistics.mean(diffs):+.3f} ± {statistics.stdev(diffs) / len(diffs) ** 0.5:.3f}"


def precision(data: dict) -> None:
    rows = []
    for s in SETS:
        for trained, words in (("auto", "bf16"), ("int8", "int8")):
            base = f"{trained}-in-f32"
            if data[s].get(base):
                rows.append([s, words, cell(data[s][base]), *(paired4(data[s], f"{trained}-in-{p}", base) for p in ("bf16", "int8"))])
    table(["set", "trained in", "AUC in f32", "bf16 - f32", "int8 - f32"], rows)
    table(["set", "trained in int8 - in bf16, both evaluated in f32"], [[s, paired(data[s], "int8-in-f32", "auto-in-f32")] for s in SETS])


def paired4(of: dict, a: str, b: str) -> str:
    """The differences of each seed, in points of AUC."""
    x, y = ({d["seed"]: d["auc"] for d in of.get(n, [])} for n in (a, b))
    return ", ".join(f"{100 * (x[k] - y[k]):+.2f}" for k in sorted(x) if k in y)


def lowdata(data: dict, whole: dict) -> None:
    rows = []
    for s in SETS:
        for m in ("melo", "linear"):
            rows.append([s, m, *(cell(data[s].get(f"{share}-{m}", [])) for share in (5, 10, 25)), cell(whole[s].get(m, []))])
    table(["set", "method", "5 %", "10 %", "25 %", "100 %"], rows)


def ablation(data: dict) -> None:
    names = list(dict.fromkeys(n for s in SETS for n in data[s]))
    names.sort(key=lambda n: n != "default")
    sets = [s for s in SETS if data[s]]
    rows = []
    for n in names:
        docs = [data[s].get(n, []) for s in sets]
        if all(docs):
            p = docs[0][0]["parameters"]
            rows.append([n, f"{p['trained']:,}", *(mean_sd([d["val_auc"] for d in x]) for x in docs),
                         *(f"{statistics.mean(statistics.mean(d[k] for d in x) for x in docs):.4f}" for k in ("val_auc", "auc")),
                         f"{statistics.mean(d['seconds'] for x in docs for d in x):.0f}"])
    table(["setting", "trained", *(f"{s}, val" for s in sets), "mean, val", "mean, test", "s"], rows)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("runs", type=Path)
    p.add_argument("parts", nargs="*", default=["pytorch", "claim", "precision", "lowdata", "ablation"])
    a = p.parse_args()
    for part in a.parts:
        data = load(a.runs / part)
        if not any(data.values()):
            continue
        print(f"### {part}\n")
        if part == "lowdata":
            lowdata(data, load(a.runs / "claim"))
        else:
            globals()[part](data)
        times(data, dict.fromkeys(n for s in SETS for n in data[s]))


if __name__ == "__main__":
    main()
