"""Places of maps of `melo explain` by Quantus (Hedström et al., arXiv 2202.06861): `python quantus_check.py MELO ADAPTER TASK`. TASK is
one of the demo's with one finding a picture (tb, breast, blood), ADAPTER is of that task. Draws test pictures with masks, explains each for its own
answer, and prints for each method Quantus' pointing game, relevance mass and rank accuracy on the maps at the picture's own size, the area
of the findings (the mass of a map that says nothing), and the largest difference of mass and pointing to the same computed here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import quantus
import torch
from PIL import Image

PICTURES = 120  # three tenths of them are test pictures


class Nothing(torch.nn.Module):
    """Stands where Quantus wants a model: places need none."""

    def forward(self, x):
        return torch.zeros(len(x), 2)


def main(melo: str, adapter: str, task: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        subprocess.run([melo, "demo", "--write", data, "--tasks", task, "--pictures", str(PICTURES), "--masks", "--seed", "99"], check=True, capture_output=True)
        masks = {p.stem: np.array(Image.open(p)) > 127 for p in (data / "masks" / task / "test").glob("*.png")}
        images = sorted(p for p in (data / task).rglob("*.png") if p.stem in masks)
        for method in ("gradcam", "attribution", "rollout", "occlusion"):
            out = Path(folder) / method
            text = subprocess.run([melo, "--json", "explain", "--adapter", adapter, "--method", method, "--out", out, *images], check=True, capture_output=True).stdout
            results = json.loads(text)["results"]
            a = np.stack([np.maximum(np.nan_to_num(np.load(r["arrays"])["full"]), 0) for r in results])[:, None]
            s = np.stack([masks[Path(r["image"]).stem] for r in results])[:, None]
            keep = a.reshape(len(a), -1).sum(1) > 0
            a, s = a[keep], s[keep]
            x, y = np.repeat(a, 3, axis=1), np.zeros(len(a), dtype=int)
            score = {}
            for name, metric in (("pointing", quantus.PointingGame), ("mass", quantus.RelevanceMassAccuracy), ("rank", quantus.RelevanceRankAccuracy)):
                score[name] = np.array(metric(abs=False, normalise=False, disable_warnings=True)(model=Nothing(), x_batch=x, y_batch=y, a_batch=a, s_batch=s), dtype=float)
            flat, inside = a.reshape(len(a), -1), s.reshape(len(s), -1)
            mass = (flat * inside).sum(1) / flat.sum(1)
            hit = np.array([i[f == f.max()].any() for f, i in zip(flat, inside)])
            print(f"| {task} | {method} | {len(a)} | {score['pointing'].mean():.2f} | {score['mass'].mean():.2f} ({inside.mean():.2f}) | {score['rank'].mean():.2f} | "
                  f"{max(np.abs(mass - score['mass']).max(), np.abs(hit - score['pointing']).max()):.1e} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
