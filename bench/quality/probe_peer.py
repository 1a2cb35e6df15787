"""The linear probe of melo's recipe in PyTorch and scikit-learn: one JSON document for a set.

    python bench/quality/probe_peer.py --base vit_tiny --data SET [--image-size 112]

Features of transformers' backbone (class token after the last norm), of the images and their mirror images; logistic regression on
standardised features with melo's penalties, the one with the least log loss on validation; answers are those of the mean of both
features. Pillow resizes, so pixels differ a little from melo's where melo follows a processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

sys.path.insert(0, str(Path(__file__).parent))
from torch_peer import load, macro_auc  # noqa: E402

PENALTIES = [10, 3, 1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001]


def features(model, x: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        kinds = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
        return torch.cat([model(pixel_values=b, **kinds).last_hidden_state[:, 0] for b in x.split(32)]).numpy().astype(np.float64)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--image-size", type=int, default=112)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    start = time.time()
    torch.set_num_threads(a.threads)
    hf.utils.logging.set_verbosity_error()
    model = hf.AutoModel.from_pretrained(a.base).eval()
    mean, std = (0.5, 0.5)
    if model.config.model_type == "dinov2":
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    parts, labels = load(a.data, a.image_size, 0.0, 1.0)
    f, y = {}, {}
    for name, (x, t) in parts.items():
        x = (x - mean) / std
        f[name], y[name] = [features(model, x), features(model, x.flip(3))], t.numpy()
    x, t = np.concatenate(f["train"]), np.concatenate([y["train"]] * 2)
    m, s = x.mean(0), x.std(0)
    best = None
    for penalty in PENALTIES:
        fit = LogisticRegression(C=1 / (penalty * len(x)), max_iter=2000, tol=1e-8).fit((x - m) / s, t)
        val = fit.predict_proba((np.mean(f["val"], 0) - m) / s)
        score = log_loss(y["val"], val)
        if best is None or score < best[0]:
            best = score, penalty, fit, val
    score, penalty, fit, val = best
    test = fit.predict_proba((np.mean(f["test"], 0) - m) / s)
    print(json.dumps({"set": a.data.name, "penalty": penalty, "val_auc": macro_auc(val, y["val"]), "auc": macro_auc(test, y["test"]),
                      "accuracy": float((test.argmax(1) == y["test"]).mean()), "n": len(test), "seconds": time.time() - start}))


if __name__ == "__main__":
    main()
