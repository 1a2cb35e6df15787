"""Writes metric/testdata/golden.json: what scikit-learn and scipy make of small predictions.

Run by hand from the repository root, with the packages of requirements.txt:

    python tools/golden_metric/golden.py metric/testdata/golden.json

Probabilities are whole thousandths (with many ties) and logits whole 64ths, so that both sides start from the
same numbers. What neither package has (DeLong's test, the calibration error, a bootstrap over patients) is
computed here by its definition, in the plainest way.
"""

import json
import math
import sys
from importlib.metadata import version
from itertools import groupby

import numpy as np
from scipy import optimize, special, stats
from sklearn import metrics

rng = np.random.default_rng(20)
BINS = 15


def thousandths(logits, step):
    """Softmax of the rows in thousandths that add up to 1000, multiples of step but for the last."""
    p = np.round(1000 / step * special.softmax(logits, axis=1)).astype(int) * step
    p[:, -1] = 1000 - p[:, :-1].sum(axis=1)
    return p


def calibration_error(confidence, right):
    n, total = len(confidence), 0.0
    for b in range(BINS):
        low, high = b / BINS, (b + 1) / BINS
        inside = (confidence > low) & (confidence <= high) if b else (confidence <= high)
        if inside.any():
            total += inside.sum() / n * abs(confidence[inside].mean() - right[inside].mean())
    return total


def exclusive(classes, n):
    truth = rng.integers(classes, size=n)
    truth[:classes] = range(classes)
    k = thousandths(rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[truth], 20)
    p = k / 1000
    assert (k >= 0).all()
    one = np.eye(classes, dtype=int)[truth]
    top = p.argmax(axis=1)
    report = [metrics.classification_report(one[:, c], top == c, output_dict=True, zero_division=0) for c in range(classes)]
    return {
        "thousandths": k.tolist(), "class": truth.tolist(),
        "auc": metrics.roc_auc_score(truth, p[:, 1]) if classes == 2 else metrics.roc_auc_score(truth, p, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(truth, top),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, top),
        "f1": metrics.f1_score(truth, top, average="macro"),
        "log_loss": metrics.log_loss(truth, np.clip(p, 2.0**-52, 1)) if (p[range(n), truth] > 0).all() else None,
        "brier": metrics.brier_score_loss(truth, p[:, 1]) if classes == 2 else metrics.brier_score_loss(truth, p, scale_by_half=False),
        "ece": calibration_error(p.max(axis=1), top == truth),
        "confusion": metrics.confusion_matrix(truth, top).tolist(),
        "label_auc": [metrics.roc_auc_score(one[:, c], p[:, c]) for c in range(classes)],
        "average_precision": [metrics.average_precision_score(one[:, c], p[:, c]) for c in range(classes)],
        "sensitivity": [r["1"]["recall"] for r in report],
        "specificity": [r["0"]["recall"] for r in report],
        "precision": [r["1"]["precision"] for r in report],
        "negative_precision": [r["0"]["precision"] for r in report],
    }


def multilabel(labels, n):
    truth = (rng.random((n, labels)) < np.linspace(0.15, 0.6, labels)).astype(int)
    k = np.round(50 * special.expit(rng.normal(size=(n, labels)) * 1.5 + 2 * truth - 1)).astype(int) * 20
    p, thresholds = k / 1000, np.array([0.2, 0.5, 0.6, 0.74])[:labels]
    decided = p >= thresholds
    each = range(labels)
    return {
        "thousandths": k.tolist(), "truth": truth.tolist(), "thresholds": thresholds.tolist(),
        "auc": metrics.roc_auc_score(truth, p, average="macro"),
        "accuracy": 1 - metrics.hamming_loss(truth, decided),
        "balanced_accuracy": float(np.mean([metrics.balanced_accuracy_score(truth[:, c], decided[:, c]) for c in each])),
        "f1": metrics.f1_score(truth, decided, average="macro"),
        "brier": float(np.mean([metrics.brier_score_loss(truth[:, c], p[:, c]) for c in each])),
        "ece": float(np.mean([calibration_error(p[:, c], truth[:, c]) for c in each])),
        "label_auc": [metrics.roc_auc_score(truth[:, c], p[:, c]) for c in each],
        "average_precision": [metrics.average_precision_score(truth[:, c], p[:, c]) for c in each],
        "sensitivity": [metrics.recall_score(truth[:, c], decided[:, c]) for c in each],
        "specificity": [metrics.recall_score(truth[:, c], decided[:, c], pos_label=0) for c in each],
        "precision": [metrics.precision_score(truth[:, c], decided[:, c]) for c in each],
        "negative_precision": [metrics.precision_score(truth[:, c], decided[:, c], pos_label=0) for c in each],
    }


def curves(n):
    truth = rng.random(n) < 0.4
    k = np.clip(np.round(rng.normal(size=n) * 15 + 12 * truth + 50), 0, 100).astype(int) * 10
    p = k / 1000
    fpr, tpr, thresholds = metrics.roc_curve(truth, p, drop_intermediate=False)
    precision, recall, _ = metrics.precision_recall_curve(truth, p)
    return {
        "thousandths": k.tolist(), "truth": truth.astype(int).tolist(),
        "fpr": fpr.tolist(), "tpr": tpr.tolist(), "thresholds": thresholds[1:].tolist(),
        "precision": precision[::-1][1:].tolist(), "recall": recall[::-1][1:].tolist(),
        "youden": float(thresholds[np.argmax(tpr - fpr)]),
        "sensitivity_at_specificity": [[s, tpr[1 - fpr >= s].max()] for s in (0.5, 0.8, 0.9, 0.95, 1)],
        "specificity_at_sensitivity": [[s, (1 - fpr)[tpr >= s].max()] for s in (0.5, 0.8, 0.9, 0.95, 1)],
    }


def placements(score, truth):
    """DeLong's components by comparing all pairs."""
    pos, neg = score[truth], score[~truth]
    psi = (pos[:, None] > neg[None]) + 0.5 * (pos[:, None] == neg[None])
    return psi.mean(), psi.mean(axis=1), psi.mean(axis=0)


def delong(n):
    truth = rng.random(n) < 0.35
    common = rng.normal(size=n)
    ka = np.round(10 * (common + 1.2 * truth)).astype(int)
    kb = np.round(10 * (0.7 * common + 0.7 * rng.normal(size=n) + 0.8 * truth)).astype(int)
    a, b = placements(ka, truth), placements(kb, truth)
    m, k = truth.sum(), n - truth.sum()
    s = np.cov(np.array([a[1], b[1]])) / m + np.cov(np.array([a[2], b[2]])) / k
    half = stats.norm.ppf(0.975) * math.sqrt(s[0, 0])
    z = (a[0] - b[0]) / math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    return {"a": ka.tolist(), "b": kb.tolist(), "truth": truth.astype(int).tolist(), "auc": [a[0], b[0]],
            "variance": [s[0, 0], s[1, 1]], "interval": [max(0, a[0] - half), min(1, a[0] + half)],
            "p": 2 * stats.norm.sf(abs(z))}


def least(loss):
    r = optimize.minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-12})
    return math.exp(r.x)


def temperatures(n):
    truth = rng.integers(4, size=n)
    k = np.round(64 * (3 * rng.normal(size=(n, 4)) + 4 * np.eye(4)[truth])).astype(int)
    z = k / 64
    positive = rng.random(n) < 0.3
    kb = np.round(64 * (0.4 * rng.normal(size=n) + 0.5 * (2 * positive - 1))).astype(int)
    zb, sign = kb / 64, 2 * positive - 1
    return {
        "softmax": {"logits": k.ravel().tolist(), "class": truth.tolist(),
                    "t": least(lambda u: -special.log_softmax(z / math.exp(u), axis=1)[range(n), truth].mean())},
        "sigmoid": {"logits": kb.tolist(), "truth": positive.astype(int).tolist(),
                    "t": least(lambda u: -special.log_expit(sign * zb / math.exp(u)).mean())},
    }


def bootstraps(n, groups):
    """Ends of intervals from very many resamples, and the standard error that the estimates have."""
    truth = rng.random(n) < 0.5
    patient = np.sort(rng.integers(groups, size=n))
    shift = 0.8 * rng.normal(size=groups)
    k = np.clip(np.round(500 + 150 * (rng.normal(size=n) + shift[patient] + 1.2 * truth)), 0, 1000).astype(int)
    right = (k >= 500) == truth
    r = stats.bootstrap((right,), np.mean, n_resamples=50000, method="percentile", vectorized=True, rng=np.random.default_rng(1))
    units = [[i for i, _ in g] for _, g in groupby(enumerate(patient), key=lambda x: x[1])]
    draws, at = [], np.random.default_rng(2)
    for _ in range(10000):
        i = np.concatenate([units[u] for u in at.integers(len(units), size=len(units))])
        draws.append(metrics.roc_auc_score(truth[i], k[i]))
    return {"thousandths": k.tolist(), "truth": truth.astype(int).tolist(), "patient": [f"p{p}" for p in patient.tolist()],
            "accuracy": {"interval": [r.confidence_interval.low, r.confidence_interval.high], "se": r.standard_error},
            "auc_by_patient": {"interval": np.quantile(draws, [0.025, 0.975]).tolist(), "se": float(np.std(draws))}}


def paired(n):
    """The difference of the mean AUCs of two runs each, on resamples of the samples (percentile intervals)."""
    own = np.random.default_rng(21)
    truth = own.random(n) < 0.4
    common = own.normal(size=n)
    runs = [np.clip(np.round(500 + 100 * (common + 0.9 * own.normal(size=n) + gain * truth)), 0, 1000).astype(int)
            for gain in (1.6, 1.5, 1.2, 1.2)]

    def difference(a, b, c, d, t):
        t = t.astype(bool)
        auc = [placements(x, t)[0] if 0 < t.sum() < len(t) else math.nan for x in (a, b, c, d)]
        return (auc[0] + auc[1]) / 2 - (auc[2] + auc[3]) / 2

    r = stats.bootstrap((*runs, truth), difference, n_resamples=20000, paired=True, vectorized=False, method="percentile",
                        rng=np.random.default_rng(3))
    d = r.bootstrap_distribution
    return {"thousandths": [k.tolist() for k in runs], "truth": truth.astype(int).tolist(),
            "auc": [metrics.roc_auc_score(truth, k) for k in runs],
            "difference": {"interval": [r.confidence_interval.low, r.confidence_interval.high], "se": r.standard_error},
            "p": 2 * min((d <= 0).mean(), (d >= 0).mean())}


golden = {
    "versions": {p: version(p) for p in ("numpy", "scikit-learn", "scipy")},
    "multiclass": exclusive(3, 80), "binary": exclusive(2, 60), "multilabel": multilabel(4, 70),
    "curve": curves(60), "delong": delong(80), "temperature": temperatures(120), "bootstrap": bootstraps(120, 40), "paired": paired(90),
}
with open(sys.argv[1], "w") as f:
    json.dump(golden, f, separators=(",", ":"), default=lambda x: x.item())
    f.write("\n")
