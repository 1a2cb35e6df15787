#!/usr/bin/env python3
"""Prints the results of compare.sh as Markdown: table.py RESULTS EXPORT.json. Ends with 1 if a request failed.

"melo to it" is the median of the rounds' ratios of answers a second, melo's in float32 by the server's.
"""

import collections
import json
import pathlib
import statistics
import sys

median = statistics.median


def read(folder, kind):
    """Results by what their names say, in rounds: KIND.SERVER.ADAPTERS[.PROTOCOL.CLIENTS].ROUND.json."""
    groups = collections.defaultdict(dict)
    for path in sorted(folder.glob(f"{kind}.*.json")):
        _, *key, turn, _ = path.name.split(".")
        groups[tuple(int(k) if k.isdigit() else k for k in key)][int(turn)] = json.loads(path.read_text())
    return groups


def ratio(runs, other):
    """The median of the rounds' ratios of answers a second."""
    both = [r for r in runs.keys() & other.keys() if other[r]["answers_per_second"]]
    return f"{median(runs[r]['answers_per_second'] / other[r]['answers_per_second'] for r in both):.2f}" if both else ""


def load(groups):
    print("| adapters | protocol | clients | server | answers/s (least, most) | melo to it | p50 | p95 | p99 ms | failed |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    failed = 0
    for server, adapters, protocol, clients in sorted(groups, key=lambda k: (*k[1:], k[0])):
        runs = groups[server, adapters, protocol, clients]
        speed = [r["answers_per_second"] for r in runs.values()]
        melo = groups.get(("melo", adapters, protocol, clients), {})
        times = " | ".join(f"{median(r[k] for r in runs.values()):.1f}" for k in ("p50_ms", "p95_ms", "p99_ms"))
        wrong = sum(sum((r["failed"] or {}).values()) for r in runs.values())
        failed += wrong
        print(f"| {adapters} | {protocol} | {clients} | {server} | {median(speed):.2f} ({min(speed):.2f}, {max(speed):.2f}) | "
              f"{ratio(melo, runs) if server != 'melo' else ''} | {times} | {wrong} |")
    return failed


def megabytes(runs, key):
    return f"{median(r[key] for r in runs.values()) / 1e6:.1f}"


def memory(groups, added):
    print("\n| server | adapters | RSS, MB | PSS, MB | one more: s | bytes | RSS, MB | PSS, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for key in sorted(groups, key=lambda k: (k[1], k[0])):
        runs, more = groups[key], added.get(key)
        row = f"| {key[0]} | {key[1]} | {megabytes(runs, 'rss')} | {megabytes(runs, 'pss')} |"
        if more:
            row += f" {median(r['seconds'] for r in more.values()):.3f} | {median(r['bytes'] for r in more.values()):,.0f} |"
            row += f" {megabytes(more, 'rss_growth')} | {megabytes(more, 'pss_growth')} |"
        else:
            row += " | | | |"
        print(row)


def main():
    folder, export = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
    groups = read(folder, "load")
    rounds = max((len(runs) for runs in groups.values()), default=0)
    print(f"Medians of {rounds} rounds. MB are 10^6 bytes.\n")
    failed = load(groups)
    memory(read(folder, "memory"), read(folder, "add"))
    if export:
        print(f"\nBefore Triton can add an adapter, its whole model is made: {median(m['seconds'] for m in export.values()):.1f} s to merge and export.")
    sys.exit(1 if failed or not groups else 0)


if __name__ == "__main__":
    main()
