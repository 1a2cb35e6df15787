#!/usr/bin/env python3
"""What the comparison asks of a running server besides load: both speak the Open Inference Protocol, version 2.

    ask.py check --url URL --tensors DIR --reference FILE NAME...   logits equal to those in FILE, which the first call writes
    ask.py memory --pid PID                                         of the server and its children, in bytes
    ask.py add --url URL --tensors DIR --pid PID NAME FROM TO       one more: FROM is copied into TO, loaded and asked
"""

import argparse
import array
import json
import pathlib
import shutil
import time
import urllib.request


def post(url, head, body=b""):
    """Sends a JSON head and binary tensors; returns the answer's."""
    head = json.dumps(head).encode()
    request = urllib.request.Request(url, head + body, {"Inference-Header-Content-Length": str(len(head))} if body else {})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.loads(response.read() or b"{}")


def logits(url, name, path):
    """Asks for the logits of a prepared image."""
    data = path.read_bytes()
    side = round((len(data) / 12) ** 0.5)
    head = {"inputs": [{"name": "pixel_values", "datatype": "FP32", "shape": [1, 3, side, side], "parameters": {"binary_data_size": len(data)}}],
            "outputs": [{"name": "logits", "parameters": {"binary_data": False}}]}
    return array.array("f", post(f"{url}/v2/models/{name}/infer", head, data)["outputs"][0]["data"]).tolist()


def check(args):
    images = sorted(args.tensors.glob("*.f32"))[:3]
    answers = {f"{name} {p.name}": logits(args.url, name, p) for name in args.names for p in images}
    known = json.loads(args.reference.read_text()) if args.reference.exists() else {}
    worst = 0.0
    for question, answer in answers.items():
        expected = known.setdefault(question, answer)
        difference = max(abs(a - b) for a, b in zip(answer, expected, strict=True)) / max(map(abs, expected))
        worst = max(worst, difference)
    args.reference.write_text(json.dumps(known, indent=1) + "\n")
    print(f"logits of {len(answers)} questions differ by at most {worst:.1e} of the largest")
    if not worst <= args.tolerance:
        raise SystemExit(f"that is more than {args.tolerance:.0e}: the servers do not have the same models")


def tree(pid):
    """The process and all that come of it."""
    pids = [pid]
    for p in pids:
        for task in pathlib.Path(f"/proc/{p}/task").glob("*/children"):
            pids += map(int, task.read_text().split())
    return pids


def memory(pid):
    """Resident pages: counted in each process that has them, and each once (a page of two processes half in each)."""
    sums = {"Rss": 0, "Pss": 0}
    for p in tree(pid):
        for line in pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
            key, _, rest = line.partition(":")
            if key in sums:
                sums[key] += int(rest.split()[0]) * 1024
    return {"rss": sums["Rss"], "pss": sums["Pss"]}


def size(path):
    return sum(f.stat().st_size for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())


def add(args):
    source, to = args.source, args.folder / args.source.name
    image = min(args.tensors.glob("*.f32"))
    before = memory(args.pid)
    start = time.perf_counter()
    (shutil.copytree if source.is_dir() else shutil.copy)(source, to)
    post(f"{args.url}/v2/repository/models/{args.name}/load", {})
    logits(args.url, args.name, image)
    took = time.perf_counter() - start
    after = memory(args.pid)
    return {"seconds": took, "bytes": size(to), "rss_growth": after["rss"] - before["rss"], "pss_growth": after["pss"] - before["pss"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_subparsers(dest="what", required=True)
    c, m, a = what.add_parser("check"), what.add_parser("memory"), what.add_parser("add")
    for q in (c, a):
        q.add_argument("--url", required=True)
        q.add_argument("--tensors", type=pathlib.Path, required=True)
    c.add_argument("--reference", type=pathlib.Path, required=True)
    c.add_argument("--tolerance", type=float, default=1e-4)
    c.add_argument("names", nargs="+")
    for q in (m, a):
        q.add_argument("--pid", type=int, required=True)
    a.add_argument("name")
    a.add_argument("source", type=pathlib.Path)
    a.add_argument("folder", type=pathlib.Path)
    args = p.parse_args()
    if args.what == "check":
        check(args)
    else:
        print(json.dumps(add(args) if args.what == "add" else memory(args.pid)))


if __name__ == "__main__":
    main()
