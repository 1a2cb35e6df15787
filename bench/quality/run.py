"""Trains and evaluates everything that docs/results.md has tables of; see README.md.

    python3 bench/quality/run.py PART... --melo MELO --base vit_tiny --data PREPARED --out OUT [--python VENV/bin/python]

Every run leaves OUT/PART/NAME.json and is not done again, so that the command may be stopped and repeated. One process
runs at a time. Needs the standard library only (and, for part pytorch, an interpreter with PyTorch).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import fit

SETS = ["busi", "cxr_pneumonia", "brain_mri", "ham10000"]

# The recipes of torch_peer.py as melo's options.
RECIPES = {
    "peft": ["--no-augment", "--rank", "4", "--alpha", "4", "--lr", "0.002", "--head-init", "zero", "--ema", "0", "--keep", "best"],
    "loravit": ["--no-augment", "--rank", "4", "--alpha", "4", "--lr", "0.001", "--min-lr", "0.000001", "--lr-update", "epoch", "--warmup", "0", "--weight-decay", "0", "--clip", "0",
                "--label-smoothing", "0.1", "--head-init", "uniform", "--ema", "0", "--keep", "best"],
}

# Sites, ranks, scales and rates around the defaults of before the recipe (see before_recipe).
PAPER = ["--rank", "4"]
SITES6, SITES4 = ["--sites", "q,k,v,proj,fc1,fc2"], ["--sites", "q,k,v,proj"]
ABLATION = {
    "default": [],
    "q,v r4 scale 8": PAPER,
    "q,v r4 scale 8 lr 0.004": [*PAPER, "--lr", "0.004"],
    "all six r4 scale 8": [*SITES6, *PAPER],
    "q,v r4 scale 4": [*PAPER, "--alpha", "16"],
    "q,v r8 scale 4": ["--rank", "8", "--alpha", "32"],
    "q,v r16 rslora (scale 4)": ["--rank", "16", "--rslora"],
    "q,v r2 scale 1": ["--rank", "2", "--alpha", "2"],
    "q,v r4 scale 1": [*PAPER, "--alpha", "4"],
    "q,v r8 scale 1": ["--rank", "8", "--alpha", "8"],
    "q,v r16 scale 1": ["--rank", "16", "--alpha", "16"],
    "q,v r32 scale 1": ["--rank", "32", "--alpha", "32"],
    "q,k,v,proj r4 scale 1": [*SITES4, *PAPER, "--alpha", "4"],
    "all six r4 scale 1": [*SITES6, *PAPER, "--alpha", "4"],
    "all six r4 scale 1 lr 0.004": [*SITES6, *PAPER, "--alpha", "4", "--lr", "0.004"],
    "q,v r4 scale 1 lr 0.004": [*PAPER, "--alpha", "4", "--lr", "0.004"],
    "q,v r4 scale 1 lora+ 4": [*PAPER, "--alpha", "4", "--lora-plus", "4"],
    "q,v r4 scale 1 lora+ 16": [*PAPER, "--alpha", "4", "--lora-plus", "16"],
    "q,v r4 scale 1 head uniform": [*PAPER, "--alpha", "4", "--head-init", "uniform"],
}

# What a sweep around the defaults of before the recipe would try, with as many epochs as the defaults have, or others.
SWEEP = {
    "default": (20, []),
    "epochs 3": (3, []),
    "epochs 6": (6, []),
    "epochs 12": (12, []),
    "epochs 40": (40, []),
    "lr 0.001": (20, ["--lr", "0.001"]),
    "lr 0.004": (20, ["--lr", "0.004"]),
    "rank 4": (20, PAPER),
    "rank 16": (20, ["--rank", "16"]),
    "all six sites": (20, SITES6),
}


# What the defaults are compared with: the full and the linear method, and the defaults of before by an older program or, without
# one, by options.
RECIPE = {"linear": ["--method", "linear"], "melo": [], "full": ["--method", "full"]}


def before_recipe(options: list[str]) -> list[str]:
    """The defaults of before where options do not say otherwise: q and v, rank 8, scale (alpha/rank) 8, learning rate 0.002."""
    rank = int(options[options.index("--rank") + 1]) if "--rank" in options else 8
    plain = {"--lr": "0.002", "--head-init": "zero", "--ema": "0", "--keep": "best"}
    if "--rslora" not in options:
        plain["--alpha"] = str(8 * rank)
    return [*options, "--no-mirror", *(x for k, v in plain.items() if k not in options for x in (k, v))]


class Bench:
    def __init__(self, a):
        self.a = a

    def run(self, command: list[str]) -> str:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
        return done.stdout

    def once(self, part: str, name: str, work) -> dict:
        """The document of a run, from before or by work."""
        path = self.a.out / part / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            start = time.time()
            doc = work(path.with_suffix(".safetensors"))
            doc["wall"] = time.time() - start
            path.write_text(json.dumps(doc))
            print(f"{part} {name}: {doc.get('auc', 0):.4f} ({doc['wall']:.0f} s)", flush=True)
        return json.loads(path.read_text())

    def train(self, part: str, name: str, data: Path, seed: int, options: list[str], base: Path | None = None,
              epochs: int | None = None, melo: Path | None = None, answers: bool = False) -> dict:
        """Trains with melo, then measures the test split."""
        a = self.a
        melo = melo or a.melo

        def work(adapter: Path) -> dict:
            command = [melo, "--json", "train", "--base", base or a.base, "--data", data, "--out", adapter, "--seed", seed,
                       "--epochs", epochs or a.epochs, "--image-size", a.image_size, "--restart", *self.workers(), *options]
            trained = json.loads(self.run(command))
            doc = self.evaluate(adapter, data, "f32", adapter.with_suffix(".csv") if answers else None)
            doc |= {"command": " ".join(map(str, command)), "val_auc": trained["validation"]["scores"]["auc"],
                    "parameters": trained["parameters"], "bytes": trained["adapter"]["bytes"], "seconds": trained["seconds"],
                    "epochs": trained["epochs"], "best_epoch": trained["best_epoch"],
                    **{k: trained[k] for k in ("kept", "start", "retreats") if k in trained}}
            if answers:
                adapter.unlink()  # the answers are what is compared
            return doc

        return self.once(part, name, work)

    def workers(self) -> list:
        return ["--workers", self.a.workers] if self.a.workers else []

    def evaluate(self, adapter: Path, data: Path, precision: str, answers: Path | None = None) -> dict:
        text = self.run([self.a.melo, "--json", "eval", "--adapter", adapter, "--data", data, "--precision", precision,
                         "--resamples", self.a.resamples, *self.workers(), *(["--predictions", answers] if answers else [])])
        doc = json.loads(text)
        keep = ("n", "auc", "auc_ci", "accuracy", "balanced_accuracy", "f1", "ece", "brier", "log_loss")
        return {k: doc[k] for k in keep} | {"uncalibrated_ece": doc["calibration"]["uncalibrated"]["ece"]}

    # Parts.

    def pytorch(self) -> None:
        """The same recipe in both programs."""
        a = self.a
        for s in a.sets:
            for recipe, options in RECIPES.items():
                for seed in a.seeds:
                    self.train("pytorch", f"{s}-{recipe}-melo-{seed}", a.data / s, seed, [*options, "--precision", "f32"])
                names = [f"{s}-{recipe}-torch-{seed}" for seed in a.seeds]
                if all((a.out / "pytorch" / f"{n}.json").exists() for n in names):
                    continue
                command = [a.python, Path(__file__).with_name("torch_peer.py"), "--recipe", recipe, "--base", a.base, "--data", a.data / s,
                           "--epochs", a.epochs, "--image-size", a.image_size, "--threads", a.torch_threads, "--seeds", *a.seeds]
                docs = [json.loads(line) for line in self.run(command).splitlines()]
                for name, doc in zip(names, docs):
                    self.once("pytorch", name, lambda _, doc=doc: doc | {"command": " ".join(map(str, command))})

    def claim(self) -> None:
        """melo, linear probe, full fine-tuning, and melo on random weights."""
        a = self.a
        for seed in a.seeds:
            for s in a.sets:
                for method in ("melo", "linear", "full"):
                    self.train("claim", f"{s}-{method}-{seed}", a.data / s, seed, ["--method", method, *(PAPER if method == "melo" else [])])
                self.train("claim", f"{s}-random-{seed}", a.data / s, seed, PAPER, base=a.random)

    def precision(self) -> None:
        """Trained adapters evaluated in every precision, and training on an int8 base."""
        a = self.a
        for seed in a.seeds:
            for s in a.sets:
                for trained, options in (("auto", []), ("int8", ["--precision", "int8"])):
                    self.train("precision", f"{s}-{trained}-{seed}", a.data / s, seed, options)
                    adapter = a.out / "precision" / f"{s}-{trained}-{seed}.safetensors"
                    for p in ("f32", "bf16", "int8"):
                        self.once("precision", f"{s}-{trained}-in-{p}-{seed}", lambda _, p=p: self.evaluate(adapter, a.data / s, p))

    def lowdata(self) -> None:
        """A share of the training images; small shares get more epochs, so that there are enough steps."""
        a = self.a
        for seed in a.seeds:
            for s in a.sets:
                for share, times in ((5, 4), (10, 3), (25, 2)):
                    data = a.data.with_name(f"{a.data.name}-{share}") / s
                    for method in ("melo", "linear"):
                        self.train("lowdata", f"{s}-{share}-{method}-{seed}", data, seed, ["--method", method, *(PAPER if method == "melo" else []), "--patience", "0"], epochs=a.epochs * times)

    def ablation(self) -> None:
        """Sites and ranks, one after the other beside the defaults."""
        a = self.a
        for seed in a.seeds:
            for s in a.sets:
                for name, options in ABLATION.items():
                    self.train("ablation", f"{s}-{name}-{seed}", a.data / s, seed, before_recipe(options))

    def sweep(self) -> None:
        """Learning rate, rank, sites and epochs around the defaults, one at a time."""
        a = self.a
        for seed in a.seeds:
            for name, (epochs, options) in SWEEP.items():
                for s in a.sets:
                    self.train("sweep", f"{s}-{name}-{seed}", a.data / s, seed, before_recipe(options), epochs=epochs)


    def recipe(self) -> None:
        """The defaults against full fine-tuning, the linear probe, and the defaults of before, on every base."""
        a = self.a
        for seed in a.seeds:
            for base in a.bases or [f"{a.base.name}={a.base}"]:
                name, path = base.split("=", 1)
                for s in a.sets:
                    for method, options in RECIPE.items():
                        if method in a.methods:
                            self.train("recipe", f"{name}-{s}-{method}-{seed}", a.data / s, seed, options, base=Path(path), answers=True)
                    if "before" in a.methods:
                        self.train("recipe", f"{name}-{s}-before-{seed}", a.data / s, seed, [] if a.before else before_recipe([]), base=Path(path),
                                   melo=a.before, answers=True)


    def fit(self) -> None:
        """Whether adapters tell images that are not like those of their training."""
        a, docs = self.a, {}
        for method in [m for m in a.methods if m in ("linear", "melo")]:
            for s in a.sets:
                options = ["--method", method, "--no-mirror", "--allow-duplicates"]
                self.train("fit", f"{a.base.name}-{s}-{method}", a.data / s, a.seeds[0], options)
                adapter = a.out / "fit" / f"{a.base.name}-{s}-{method}.safetensors"
                docs[f"{s} {method}"] = self.once("fit", f"{a.base.name}-{s}-{method}-measured", lambda _: fit.measure(self, adapter, s))
        print(fit.table(docs))


def coverage(rounds: int) -> None:
    """Prints how often the intervals that melo prints hold the truth, from the simulation that is a test of package metric."""
    root = Path(__file__).resolve().parents[2]
    test = ["go", "test", "./metric", "-run", "^TestCoverage$", "-count=1", "-v", "-timeout", "1h", "-args", "-rounds", str(rounds)]
    done = subprocess.run(test, cwd=root, capture_output=True, text=True)
    lines = [line.split(": ", 1)[1] for line in done.stdout.splitlines() if "\t" in line and "coverage_test.go" in line]
    if not lines:
        raise SystemExit(done.stdout + done.stderr)
    print(f"Share of 95 % intervals that hold the truth, in %, of {rounds} samples a line; in brackets those that are marked as approximate.\n")
    cells = [[part.split(" ") for part in line.strip().split("\t")] for line in lines]
    names = [" ".join(w for w in c if not w[0].isdigit() and w[0] not in "-(" and w not in ("%", "marked:")) for c in cells[0][1:]]
    print("| samples | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for line in lines:
        first, *rest = line.strip().split("\t")
        print(f"| {first} | " + " | ".join(r[len(n) + 1:] for n, r in zip(names, rest)) + " |")
    if done.returncode:
        raise SystemExit("\n".join(line.strip() for line in done.stdout.splitlines() if "holds the truth" in line) or done.stdout + done.stderr)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("parts", nargs="+", choices=["pytorch", "claim", "precision", "lowdata", "ablation", "sweep", "recipe", "fit", "coverage"])
    p.add_argument("--melo", type=Path, default=Path("melo"))
    p.add_argument("--base", type=Path, help="needed but for part coverage")
    p.add_argument("--random", type=Path, help="the base with random weights, from random_base.py")
    p.add_argument("--data", type=Path, help="what prepare.py wrote")
    p.add_argument("--out", type=Path)
    p.add_argument("--rounds", type=int, default=4000, help="coverage: samples of each line")
    p.add_argument("--python", default=sys.executable)
    p.add_argument("--torch-threads", type=int, default=2)
    p.add_argument("--sets", nargs="*", default=SETS)
    p.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--image-size", type=int, default=112)
    p.add_argument("--workers", type=int, help="of melo")
    p.add_argument("--bases", nargs="*", help="recipe: NAME=PATH of each base; default: --base")
    p.add_argument("--methods", nargs="*", default=["linear", "melo", "full", "before"], help="recipe: what is trained")
    p.add_argument("--images", type=int, default=200, help="fit: at most so many of each kind")
    p.add_argument("--before", type=Path, help="recipe: an older melo, whose defaults are compared")
    p.add_argument("--resamples", type=int, default=2000)
    a = p.parse_args()
    if a.parts == ["coverage"]:
        return coverage(a.rounds)
    if not (a.base and a.data and a.out):
        p.error("--base, --data and --out are needed")
    if a.melo.exists():
        a.melo = a.melo.resolve()  # "./melo" would lose its "./"
    bench = Bench(a)
    for part in a.parts:
        getattr(bench, part)()


if __name__ == "__main__":
    main()
