"""Writes metric/testdata/intervals.json: what scipy, statsmodels and scikit-learn make of intervals, tests and indices.

Run by hand from the repository root, with the packages of requirements.txt and statsmodels:

    python tools/golden_metric/intervals.py metric/testdata/intervals.json

What no package has (DeLong's variance over patients by Obuchowski 1997, Newcombe's fifth method for an AUC, the corrected
resampled t-test) is computed here by its definition, in the plainest way.
"""

import json
import math
import sys
from importlib.metadata import version

import numpy as np
import statsmodels.api as sm
from scipy import optimize, stats
from sklearn import metrics
from statsmodels.stats import multitest, proportion

rng = np.random.default_rng(63)


def wilson():
    return [[k, n, *proportion.proportion_confint(k, n, method="wilson")] for k, n in [(0, 7), (38, 38), (3, 10), (57, 60), (150, 200)]]


def student():
    return [[p, df, stats.t.ppf(p, df)] for p in (0.6, 0.9, 0.975, 0.995) for df in (1, 2, 3.5, 9, 40, 1000)]


def hanley(t, m, n):
    s = (m + n) / 2 - 1
    return t * (1 - t) / (m * n) * (1 + s * (1 - t) / (2 - t) + s * t / (1 + t))


def newcombe(auc, m, n):
    z = stats.norm.ppf(0.975)
    f = lambda t: (auc - t) ** 2 - z * z * hanley(t, m, n)
    low = 0 if auc == 0 else optimize.brentq(f, 1e-12, auc - 1e-12 if auc < 1 else 1 - 1e-12)
    high = 1 if auc == 1 else optimize.brentq(f, auc + 1e-12, 1 - 1e-12)
    return [auc, m, n, low, high]


def clustered(n, patients):
    """Obuchowski's variance of the AUC of images of patients."""
    patient = rng.integers(patients, size=n)
    truth = rng.random(n) < 0.4
    k = np.round(10 * (rng.normal(size=n) + rng.normal(size=patients)[patient] + 1.2 * truth)).astype(int)
    psi = (k[truth][:, None] > k[~truth][None]) + 0.5 * (k[truth][:, None] == k[~truth][None])
    auc, v10, v01 = psi.mean(), psi.mean(axis=1), psi.mean(axis=0)
    m, q = truth.sum(), (~truth).sum()
    ids = np.unique(patient)
    x = np.array([v10[patient[truth] == i].sum() - auc * (truth & (patient == i)).sum() for i in ids])
    y = np.array([v01[patient[~truth] == i].sum() - auc * (~truth & (patient == i)).sum() for i in ids])
    i10, i01, i = len(set(patient[truth])), len(set(patient[~truth])), len(ids)
    s10, s01 = i10 / ((i10 - 1) * m) * (x**2).sum(), i01 / ((i01 - 1) * q) * (y**2).sum()
    s11 = i / (i - 1) * (x * y).sum()
    variance = s10 / m + s01 / q + 2 * s11 / (m * q)
    half = stats.t.ppf(0.975, min(i10, i01) - 1) * math.sqrt(variance) / (auc * (1 - auc))
    logit = math.log(auc / (1 - auc))
    return {"score": k.tolist(), "truth": truth.astype(int).tolist(), "patient": [f"p{p}" for p in patient.tolist()], "auc": auc, "variance": variance,
            "units": [i10, i01], "interval": [1 / (1 + math.exp(half - logit)), 1 / (1 + math.exp(-half - logit))]}


def agreement(classes, n):
    truth = rng.integers(classes, size=n)
    decided = np.where(rng.random(n) < 0.7, truth, rng.integers(classes, size=n))
    return {"classes": classes, "truth": truth.tolist(), "decided": decided.tolist(), "mcc": metrics.matthews_corrcoef(truth, decided),
            "kappa": metrics.cohen_kappa_score(truth, decided), "quadratic": metrics.cohen_kappa_score(truth, decided, weights="quadratic")}


def recalibration(n):
    """Logistic regression of the truth on the logit, and on an intercept beside the logit (calibration in the large)."""
    z = np.round(64 * rng.normal(size=n) * 1.8) / 64
    truth = rng.random(n) < 1 / (1 + np.exp(-(0.7 * z - 0.4)))
    fit = sm.GLM(truth, sm.add_constant(z), family=sm.families.Binomial()).fit(tol=1e-14)
    large = sm.GLM(truth, np.ones(n), offset=z, family=sm.families.Binomial()).fit(tol=1e-14)
    return {"logit": z.tolist(), "truth": truth.astype(int).tolist(), "slope": fit.params[1], "intercept": fit.params[0],
            "slope_se": fit.bse[1], "in_the_large": large.params[0], "in_the_large_se": large.bse[0]}


def benefit(n):
    truth = rng.random(n) < 0.3
    k = np.clip(np.round(20 * (0.3 + 0.2 * rng.normal(size=n) + 0.3 * truth)), 0, 20).astype(int)
    at = [0.05, 0.1, 0.25, 0.5, 0.7]
    return {"twentieths": k.tolist(), "truth": truth.astype(int).tolist(), "at": at,
            "model": [((k / 20 >= t) & truth).mean() - ((k / 20 >= t) & ~truth).mean() * t / (1 - t) for t in at],
            "all": [truth.mean() - (1 - truth.mean()) * t / (1 - t) for t in at]}


def holm():
    p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.03]
    return {"p": p, "adjusted": multitest.multipletests(p, method="holm")[1].tolist()}


def folds():
    d = np.round(rng.normal(0.01, 0.02, size=10), 3)
    share = 0.25  # test over training images
    t = d.mean() / math.sqrt((1 / len(d) + share) * d.var(ddof=1))
    half = stats.t.ppf(0.975, len(d) - 1) * math.sqrt((1 / len(d) + share) * d.var(ddof=1))
    return {"differences": d.tolist(), "share": share, "p": 2 * stats.t.sf(abs(t), len(d) - 1), "interval": [d.mean() - half, d.mean() + half]}


golden = {
    "versions": {p: version(p) for p in ("numpy", "scikit-learn", "scipy", "statsmodels")},
    "wilson": wilson(), "student": student(), "newcombe": [newcombe(*a) for a in [(1.0, 1, 9), (1.0, 10, 40), (0.9, 25, 25), (0.6, 5, 80)]],
    "clustered": clustered(160, 50), "agreement": [agreement(2, 60), agreement(4, 90)], "recalibration": recalibration(150),
    "benefit": benefit(80), "holm": holm(), "folds": folds(),
}
with open(sys.argv[1], "w") as f:
    json.dump(golden, f, separators=(",", ":"), default=lambda x: x.item())
    f.write("\n")
