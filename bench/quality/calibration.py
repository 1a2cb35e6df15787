"""Compares ways to calibrate, fitted on validation answers and judged on test answers; see README.md.

    python3 bench/quality/calibration.py FOLDER

FOLDER has NAME-val.csv and NAME-test.csv for each adapter, as melo eval --split val|test --predictions writes them, of labels that exclude each
other. Prints, for validation sizes 40, 80 and all, the difference in log loss and calibration error to one temperature: mean over adapters with its
standard error. Needs numpy, scipy and scikit-learn.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp
from sklearn.isotonic import IsotonicRegression

DRAWS = 20  # of a smaller validation set


def read(path: Path):
    """Logits [n, labels] and true labels [n]."""
    rows = list(csv.DictReader(path.open()))
    labels = [k[len("logit:"):] for k in rows[0] if k.startswith("logit:")]
    return (np.array([[float(r[f"logit:{n}"]) for n in labels] for r in rows]),
            np.array([[int(r[f"true:{n}"]) for n in labels] for r in rows]).argmax(1))


def softmax(z):
    return np.exp(z - logsumexp(z, axis=1, keepdims=True))


def loss(p, y):
    return -np.log(np.clip(p[np.arange(len(y)), y], 1e-12, 1))


def temperature(z, y, spread=None):
    """Log of the temperature, 0 where there is no best one, as melo has it; with a spread, that of a normal prior around 0."""
    def cost(t):
        return loss(softmax(z * np.exp(-t)), y).sum() + (0 if spread is None else t * t / (2 * spread**2))
    t = minimize_scalar(cost, bounds=(-3, 3), method="bounded").x
    return 0.0 if abs(t) > 2.99 else t


def scaled(z, y, spread, each):
    """One temperature or one a label, and a bias a label, all with a normal prior around doing nothing."""
    k = z.shape[1]
    m = k if each else 1

    def apply(q, z):
        return softmax(z * np.exp(-q[:m]) + q[m:])
    q = minimize(lambda q: loss(apply(q, z), y).sum() + (q**2).sum() / (2 * spread**2), np.zeros(m + k)).x
    return lambda z: apply(q, z)


def isotonic(z, y):
    """Isotonic regression of each label against the rest, normalised; a hundredth of the uncalibrated answer keeps it from 0."""
    fits = [IsotonicRegression(out_of_bounds="clip").fit(softmax(z)[:, k], y == k) for k in range(z.shape[1])]

    def apply(z):
        p = softmax(z)
        q = np.stack([f.predict(p[:, k]) for k, f in enumerate(fits)], 1)
        q = q / np.maximum(q.sum(1, keepdims=True), 1e-9)
        q = 0.99 * q + 0.01 * p
        return q / q.sum(1, keepdims=True)
    return apply


METHODS = {
    "none": lambda z, y: softmax,
    "temperature": lambda z, y: (lambda t: lambda x: softmax(x * np.exp(-t)))(temperature(z, y)),
    "temperature, shrunk (0.5)": lambda z, y: (lambda t: lambda x: softmax(x * np.exp(-t)))(temperature(z, y, 0.5)),
    "temperature, shrunk (0.35)": lambda z, y: (lambda t: lambda x: softmax(x * np.exp(-t)))(temperature(z, y, 0.35)),
    "temperature and bias, shrunk (0.35)": lambda z, y: scaled(z, y, 0.35, False),
    "vector scaling, shrunk (0.35)": lambda z, y: scaled(z, y, 0.35, True),
    "isotonic": isotonic,
}


def ece(p, y, bins=10):
    confidence, right = p.max(1), p.argmax(1) == y
    total = 0.0
    for b in range(bins):
        member = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if member.any():
            total += member.mean() * abs(confidence[member].mean() - right[member].mean())
    return total


def main() -> None:
    results = {n: {} for n in ("40", "80", "all")}
    names = sorted(p.name[: -len("-test.csv")] for p in Path(sys.argv[1]).glob("*-test.csv"))
    for name in names:
        zv, yv = read(Path(sys.argv[1]) / f"{name}-val.csv")
        zt, yt = read(Path(sys.argv[1]) / f"{name}-test.csv")
        for size in results:
            n = len(yv) if size == "all" else int(size)
            for method, fit in METHODS.items():
                scores = []
                for draw in range(1 if size == "all" else DRAWS):
                    part = np.random.default_rng(draw).permutation(len(yv))[:n]
                    p = fit(zv[part], yv[part])(zt)
                    scores.append((loss(p, yt).mean(), ece(p, yt)))
                results[size].setdefault(method, []).append(np.mean(scores, axis=0))
    print(f"{len(names)} adapters: {', '.join(names)}\n")
    print("| validation images | method | log loss less temperature's | calibration error less temperature's | better |\n|---|---|---|---|---|")
    for size, by in results.items():
        for method, scores in by.items():
            if method == "temperature":
                continue
            d = np.array(scores) - np.array(by["temperature"])
            se = d.std(axis=0, ddof=1) / len(d) ** 0.5
            print(f"| {size} | {method} | {d[:, 0].mean():+.4f} ± {se[0]:.4f} | {d[:, 1].mean():+.4f} ± {se[1]:.4f} | {(d[:, 0] < 0).sum()} of {len(d)} |")


if __name__ == "__main__":
    main()
