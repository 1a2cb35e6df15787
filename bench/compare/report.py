"""Ratios and the Markdown table."""

from __future__ import annotations

import statistics


def add_ratios(result: dict) -> None:
    """For each engine of ours in each row: beside the best rival, by the medians and round by round."""
    for row in result["rows"]:
        row["ratios"] = {}
        rivals = {n: e for n, e in row["engines"].items() if not e["ours"] and result["agreement"].get(n, {}).get("ok", True)}
        if not rivals:
            continue
        best = min(rivals, key=lambda n: rivals[n]["median_seconds"])
        least = min(e["peak_bytes"] for e in rivals.values())
        for name, e in row["engines"].items():
            if e["ours"]:
                row["ratios"][name] = {
                    "best_rival": best,
                    "speed": rivals[best]["median_seconds"] / e["median_seconds"],
                    # Steadier than a ratio of medians on a shared machine.
                    "paired_speed": statistics.median(b / m for b, m in zip(rivals[best]["seconds"], e["seconds"])),
                    "peak_share_of_best": e["peak_bytes"] / rivals[best]["peak_bytes"],
                    "peak_share_of_least": e["peak_bytes"] / least,
                }


def problems(results: list[dict]) -> list[str]:
    """What makes a run unfit to be quoted: failures, and who computed something else."""
    out = []
    for r in results:
        where = f"{r['workload']} {r['precision']}, ViT-{r['model'].capitalize()}"
        out += [f"{where}: {n}: {why['reason']}" for n, why in r["left_out"].items() if why["status"] == "failed"]
        out += [f"{where}: {n}: {a['what']} differ by {a['difference']:.1e} from PyTorch's in f32, expected up to {a['within']:g}"
                for n, a in r["agreement"].items() if not a["ok"]]
    return out


def markdown(doc: dict) -> str:
    m = doc["machine"]
    lines = [f"{m.get('Model name', '?')}, {m['cores']} cores, class: {m['class']}{', told to use ' + doc['isa'].upper() + ' at most' if doc.get('isa') else ''}; {doc['threads']} threads; "
             f"load at the start {m['load_average']:.1f}",
             "", "Versions: " + ", ".join(f"{n} {v}" for n, v in doc["versions"].items()) + f"; melo {doc['melo']}", ""]
    for workload, title in (("forward", "Inference"), ("step", "LoRA step (r 4 on q and v, head; forward, loss, backward, AdamW)"),
                            ("start", "From process start to first answer (one image, adapter; page cache warm)")):
        results = [r for r in doc["results"] if r["workload"] == workload]
        if results:
            lines += [f"### {title}", "", *engine_table(results), "", *ratio_table(results), ""]
    for a in doc["adapters"]:
        lines += [f"{a['adapters']} resident adapters in {a['bits']} bits (r 4 on q and v, 14 labels) of ViT-{a['model'].capitalize()}: {a['bytes'] / 1e9:.3f} GB", ""]
    for r in doc["results"]:
        for n, why in r["left_out"].items():
            lines.append(f"- {r['workload']} {r['precision']}, ViT-{r['model'].capitalize()}: {n}: {why['status']}: {why['reason']}")
    if doc["problems"]:
        lines += ["", "**Not to be quoted:**", "", *(f"- {p}" for p in doc["problems"])]
    return "\n".join(lines).rstrip() + "\n"


def engine_table(results: list[dict]) -> list[str]:
    lines = ["| model | batch | engine | ms | img/s | spread | peak MB | working MB | differs from f32 by |",
             "|---|---|---|---|---|---|---|---|---|"]
    for r in results:
        for row in r["rows"]:
            for n, e in row["engines"].items():
                a = r["agreement"].get(n)
                name = f"**{n}**" if e["ours"] else n
                working = f"{e['working_bytes'] / 1e6:.0f}" if e["working_bytes"] else ""
                away = f"{a['difference']:.1e}" if a else ""
                lines.append(f"| {r['model']} | {row['batch']} | {name} | {e['median_seconds'] * 1e3:.1f} | {e['images_per_second']:.2f} | "
                             f"{e['spread']:.0%} | {e['peak_bytes'] / 1e6:.0f} | {working} | "
                             f"{away} |")
    return lines


def ratio_table(results: list[dict]) -> list[str]:
    lines = ["| model | batch | engine | best rival | speed | speed, paired | share of its peak memory | of the least peak |",
             "|---|---|---|---|---|---|---|---|"]
    for r in results:
        for row in r["rows"]:
            for n, x in row["ratios"].items():
                lines.append(f"| {r['model']} | {row['batch']} | {n} | {x['best_rival']} | {x['speed']:.2f} | {x['paired_speed']:.2f} | "
                             f"{x['peak_share_of_best']:.0%} | {x['peak_share_of_least']:.0%} |")
    return lines
