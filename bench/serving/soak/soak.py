#!/usr/bin/env python3
"""Serves for a long time near capacity while adapters come and go, and looks for what grows.

    go build -o bin/melo ./cmd/melo && go build -o bin/load ./bench/serving/load
    go run ./bench/serving/adapters -base BASE -out pool -n 200
    bench/serving/soak/soak.py --melo bin/melo --load bin/load --base BASE --pool pool --images 'scans/*.png' \
        --minutes 30 --out soak

Starts a server with a token file, an audit log and too little memory for all adapters; measures its capacity in a closed
loop; asks at a share of that in an open loop; meanwhile unloads and loads adapters, publishes them over the wire,
replaces files that are being asked, and drops damaged ones. Samples /proc and /metrics. Ends the server with SIGTERM
under load and checks that everything was answered and written down. Needs Python's standard library and Linux.
"""
import argparse, csv, glob, json, os, random, re, shutil, signal, subprocess, sys, threading, time, urllib.error, urllib.request, base64


def fail(text):
    sys.exit("soak: " + text)


class Server:
    def __init__(self, a, folder, out):
        self.log = open(os.path.join(out, "server.log"), "w")
        tokens = os.path.join(out, "tokens")
        made = json.loads(subprocess.check_output([a.melo, "--json", "token", "new", "--name", "soak", "--role", "operator"]))
        with open(tokens, "w") as f:
            f.write(made["line"] + "\n")
        self.token = made["token"]
        self.audit = os.path.join(out, "audit.jsonl")
        self.process = subprocess.Popen(
            [a.melo, "--json", "serve", "--base", a.base, "--adapters", folder, "--precision", a.precision, "--workers", str(a.workers),
             "--adapter-memory", a.memory, "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--tokens", tokens,
             "--audit-log", self.audit, "--log-level", "warn", "--state-file", os.path.join(out, "state.json"), "--rescan", "1s"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        text = ""
        while not text.rstrip().endswith("\n}"):
            line = self.process.stdout.readline()
            if not line:
                fail("the server ended: see server.log")
            text += line
        self.document = json.loads(text)
        self.url = self.document["http"]

    def ask(self, method, path, body=None, timeout=30):
        r = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                   headers={"Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(r, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()

    def metrics(self):
        status, text = self.ask("GET", "/metrics")
        if status != 200:
            fail(f"/metrics answered {status}")
        found = {}
        for line in text.decode().splitlines():
            m = re.match(r"([a-z_]+)(\{[^}]*\})? ([-+0-9.eE]+)$", line)
            if m:
                key = m[1] + (m[2] or "")
                found[key] = float(m[3])
        return found

    def sample(self, start):
        pid = self.process.pid
        status = open(f"/proc/{pid}/status").read()
        kib = lambda name: int(re.search(name + r":\s+(\d+)", status)[1])
        m = self.metrics()
        return {"seconds": round(time.monotonic() - start, 1), "rss_mib": kib("VmRSS") / 1024, "anonymous_mib": kib("RssAnon") / 1024,
                "threads": kib("Threads"), "fds": len(os.listdir(f"/proc/{pid}/fd")), "goroutines": int(m["go_goroutines"]),
                "heap_mib": m["go_memstats_heap_inuse_bytes"] / 2**20, "adapters_mib": m["melo_adapters_resident_bytes"] / 2**20,
                "resident": int(m["melo_adapters_resident"]), "connections": int(m['melo_connections{listener="http"}']),
                "answered": int(m['melo_requests_total{outcome="ok"}']), "overloaded": int(m['melo_requests_total{outcome="overloaded"}']),
                "loads": int(m["melo_adapter_loads_total"]), "evictions": int(m["melo_adapter_evictions_total"]),
                "cpu_seconds": round(m["process_cpu_seconds_total"], 1)}


def churn(server, folder, pool, asked, stop, counts):
    """Adapters come and go: those that nobody asks for, and the files of those that are being asked."""
    rng = random.Random(1)

    def expect(what, status, *good):
        counts[what] = counts.get(what, 0) + 1
        if status not in good:
            counts.setdefault("unexpected", []).append(f"{what}: {status}")

    def replace(name, source):
        part = os.path.join(folder, ".part-" + name)
        with open(part, "wb") as f:
            f.write(source)
        os.replace(part, os.path.join(folder, name + ".safetensors"))

    while not stop.wait(0.5):
        kind, name = rng.randrange(6), f"churn-{rng.randrange(20):02d}"
        try:
            if kind == 0:
                data = rng.choice(pool)
                status, _ = server.ask("POST", f"/v2/repository/models/{name}/load",
                                       {"parameters": {"file:1/model.safetensors": base64.b64encode(data).decode()}})
                expect("published", status, 200)
            elif kind == 1:
                status, _ = server.ask("POST", f"/v2/repository/models/{name}/unload", {})
                expect("unloaded", status, 200, 404)
            elif kind == 2:
                status, _ = server.ask("POST", f"/v2/repository/models/{name}/load", {})
                expect("loaded", status, 200, 404)
            elif kind == 3:
                replace(rng.choice(asked), rng.choice(pool))
                expect("replaced", 200, 200)
            elif kind == 4:
                path = os.path.join(folder, "damaged.safetensors")
                data = rng.choice(pool)
                with open(path, "wb") as f:
                    f.write(data[: rng.randrange(len(data))])
                expect("damaged", 200, 200)
            else:
                for x in glob.glob(os.path.join(folder, "churn-*.safetensors"))[:1] + [os.path.join(folder, "damaged.safetensors")]:
                    if os.path.exists(x):
                        os.remove(x)
                expect("removed", 200, 200)
        except OSError as e:
            if not stop.is_set():
                counts.setdefault("unexpected", []).append(f"{kind}: {e}")


def slope(rows, key):
    """Least squares, per hour."""
    n = len(rows)
    x, y = [r["seconds"] / 3600 for r in rows], [r[key] for r in rows]
    mx, my = sum(x) / n, sum(y) / n
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("melo", "load", "base", "pool", "images", "out"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--share", type=float, default=0.9, help="of capacity")
    p.add_argument("--rate", type=float, default=0, help="requests a second, instead of a share of capacity")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--adapters", type=int, default=128, help="that are asked")
    p.add_argument("--memory", default="16MiB", help="for adapters")
    p.add_argument("--precision", default="f32")
    p.add_argument("--every", type=float, default=10, help="seconds between samples")
    a = p.parse_args()
    folder = os.path.join(a.out, "adapters")
    shutil.rmtree(a.out, ignore_errors=True)
    os.makedirs(folder)
    pool = [open(p, "rb").read() for p in sorted(glob.glob(os.path.join(a.pool, "*.safetensors")))[: 2 * a.adapters]]
    if len(pool) < a.adapters:
        fail(f"{len(pool)} adapters in {a.pool}, expected at least {a.adapters}")
    asked = [f"task-{i:04d}" for i in range(a.adapters)]
    for name, source in zip(asked, pool):
        with open(os.path.join(folder, name + ".safetensors"), "wb") as f:
            f.write(source)

    server = Server(a, folder, a.out)

    def load(*args, **kw):
        return subprocess.Popen([a.load, "-target", server.url, "-token", server.token, "-adapters", f"task-%04d:{a.adapters}",
                                 "-images", a.images, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **kw)

    def result(process, path):
        _, errors = process.communicate()
        if process.returncode != 0:
            fail("load: " + errors)
        return json.load(open(path))

    rate, capacity = a.rate, None
    if not rate:
        path = os.path.join(a.out, "capacity.json")
        capacity = result(load("-clients", "8", "-duration", "30s", "-out", path), path)
        rate = a.share * capacity["answers_per_second"]
    print(f"soak: capacity {capacity and capacity['answers_per_second']}, asking {rate:.1f} a second for {a.minutes:g} minutes", flush=True)

    start, rows, stop, counts = time.monotonic(), [], threading.Event(), {}
    churning = threading.Thread(target=churn, args=(server, folder, pool, asked, stop, counts))
    churning.start()
    path = os.path.join(a.out, "load.json")
    running = load("-rate", f"{rate:.2f}", "-pick", "zipf", "-duration", f"{a.minutes * 60:.0f}s", "-out", path)
    with open(os.path.join(a.out, "samples.csv"), "w") as f:
        w = None
        while running.poll() is None:
            row = server.sample(start)
            rows.append(row)
            if w is None:
                w = csv.DictWriter(f, row.keys())
                w.writeheader()
            w.writerow(row)
            f.flush()
            time.sleep(a.every)
    stop.set()
    churning.join()
    answered = result(running, path)
    time.sleep(12)  # idle: what was for requests is gone
    rest = server.sample(start)

    # SIGTERM under load: whatever was let in is answered.
    last = load("-clients", "8", "-warm", "0s", "-duration", "6s", "-out", os.path.join(a.out, "term.json"))
    time.sleep(2)
    before = server.metrics()
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(60)
    last.communicate()
    verified = subprocess.run([a.melo, "--json", "audit", "verify", server.audit], stdout=subprocess.PIPE, text=True)
    entries = sum(1 for line in open(server.audit) if '"action":"predict"' in line)

    steady = rows[len(rows) // 3:]
    table = ["| what | after a third of the time | at the end | least to most | slope an hour |", "|---|---|---|---|---|"]
    for key, unit in (("rss_mib", "MiB"), ("anonymous_mib", "MiB"), ("heap_mib", "MiB"), ("adapters_mib", "MiB"), ("goroutines", ""), ("fds", ""), ("threads", ""), ("connections", "")):
        v = [r[key] for r in steady]
        table.append(f"| {key} | {v[0]:.1f} | {v[-1]:.1f} | {min(v):.1f} to {max(v):.1f} | {slope(steady, key):+.2f} {unit} |")
    summary = {"capacity": capacity, "rate": rate, "load": answered, "churn": counts, "first": rows[0], "last": rows[-1], "idle": rest,
               "slopes_per_hour": {k: slope(steady, k) for k in ("rss_mib", "anonymous_mib", "heap_mib", "goroutines", "fds")},
               "sigterm": {"exit": code, "answered_before": before['melo_requests_total{outcome="ok"}']},
               "audit": {"verified": verified.returncode == 0, "predictions": entries, "report": json.loads(verified.stdout)}}
    json.dump(summary, open(os.path.join(a.out, "summary.json"), "w"), indent=2)
    with open(os.path.join(a.out, "table.md"), "w") as f:
        f.write("\n".join(table) + "\n")
    print("\n".join(table))
    print(json.dumps({k: summary[k] for k in ("rate", "load", "churn", "idle", "sigterm", "audit")}, indent=2))


if __name__ == "__main__":
    main()
