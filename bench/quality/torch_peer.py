"""Trains adapters in PyTorch on the same images as melo, and prints one JSON document a seed.

    python bench/quality/torch_peer.py --recipe peft|loravit --base vit_tiny --data SET --seeds 1 2 3 [--epochs 6] [--image-size 112]

peft: transformers' ViT with peft's LoRA on q and v (r 4, alpha 4) and a new classifier that begins at zero; AdamW
(decay 0.01 of matrices), 1 epoch of warm-up, cosine by step, gradients clipped to norm 1. These are melo's defaults
without augmentation.

loravit: the recipe of LoRA-ViT's scripts as its README and code describe it, written anew: factors beside q and v with
the scale alpha // r, A from kaiming-uniform(sqrt 5), B zero, PyTorch's own Linear as head; Adam without decay, cosine
by epoch to 1e-6, label smoothing 0.1, neither warm-up nor clipping.

Both keep the epoch with the best macro AUC on validation. Images are decoded and resized by Pillow once; position
embeddings are resized by transformers.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

RANK = 4


def load(folder: Path, side: int, mean: float = 0.5, std: float = 0.5) -> tuple[dict, list[str]]:
    with open(folder / "labels.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    labels = sorted({r["label"] for r in rows})
    parts = {}
    for split in ("train", "val", "test"):
        chosen = [r for r in rows if r["split"] == split]
        images = np.stack([
            np.asarray(Image.open(folder / r["path"]).convert("RGB").resize((side, side), Image.Resampling.BILINEAR), np.float32)
            for r in chosen])
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
        parts[split] = x.contiguous(), torch.tensor([labels.index(r["label"]) for r in chosen])
    return parts, labels


class LoRA(nn.Module):
    """A linear map with factors beside it, as LoRA-ViT wraps q and v."""

    def __init__(self, base: nn.Linear, rank: int, alpha: int):
        super().__init__()
        self.base, self.scale = base, alpha // rank
        self.a, self.b = nn.Linear(base.in_features, rank, bias=False), nn.Linear(rank, base.out_features, bias=False)
        nn.init.kaiming_uniform_(self.a.weight, a=math.sqrt(5))
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.base(x) + self.scale * self.b(self.a(x))


def model_for(recipe: str, base: Path, classes: int) -> nn.Module:
    model = hf.ViTForImageClassification.from_pretrained(base, num_labels=classes, ignore_mismatched_sizes=True)
    model.requires_grad_(False)
    model.classifier = nn.Linear(model.config.hidden_size, classes)
    if recipe == "peft":
        from peft import LoraConfig, get_peft_model
        nn.init.zeros_(model.classifier.weight)
        nn.init.zeros_(model.classifier.bias)
        return get_peft_model(model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["q_proj", "v_proj"],
                                                modules_to_save=["classifier"]))
    for block in model.vit.layers:
        block.attention.q_proj = LoRA(block.attention.q_proj, RANK, RANK)
        block.attention.v_proj = LoRA(block.attention.v_proj, RANK, RANK)
    return model


def macro_auc(prob: np.ndarray, y: np.ndarray) -> float:
    """Mean over labels of one against the rest, as melo's; labels without positives or negatives are left out."""
    if prob.shape[1] == 2:
        return float(roc_auc_score(y == 1, prob[:, 1]))
    each = [roc_auc_score(y == c, prob[:, c]) for c in range(prob.shape[1]) if 0 < (y == c).sum() < len(y)]
    return float(np.mean(each))


def logits_of(model, x, batch: int = 64) -> torch.Tensor:
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(pixel_values=b, interpolate_pos_encoding=True).logits for b in x.split(batch)])


def measure(model, part) -> dict:
    z, y = logits_of(model, part[0]), part[1].numpy()
    p = torch.softmax(z.double(), 1).numpy()
    return {"auc": macro_auc(p, y), "accuracy": float((p.argmax(1) == y).mean())}


def optimiser(recipe: str, params, a, per_epoch: int):
    if recipe == "loravit":
        opt = torch.optim.Adam([p for _, p in params], lr=a.lr or 1e-3)
        return opt, torch.optim.lr_scheduler.CosineAnnealingLR(opt, a.epochs, eta_min=1e-6), False
    decay = [p for n, p in params if p.ndim > 1]
    rest = [p for n, p in params if p.ndim == 1]
    opt = torch.optim.AdamW([{"params": decay}, {"params": rest, "weight_decay": 0.0}], lr=a.lr or 2e-3, weight_decay=0.01)
    warm, total = per_epoch, a.epochs * per_epoch

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return (1 + math.cos(math.pi * min(1, (step - warm) / max(total - warm, 1)))) / 2

    return opt, torch.optim.lr_scheduler.LambdaLR(opt, rate), True


def train(a, parts, labels: list[str], seed: int) -> dict:
    start = time.time()
    torch.manual_seed(seed)
    model = model_for(a.recipe, a.base, len(labels))
    params = [(n, q) for n, q in model.named_parameters() if q.requires_grad]
    x, y = parts["train"]
    opt, schedule, by_step = optimiser(a.recipe, params, a, math.ceil(len(x) / a.batch))
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1 if a.recipe == "loravit" else 0.0)
    best, kept, history = -1.0, None, []
    for _ in range(a.epochs):
        model.train()
        total = 0.0
        for at in torch.randperm(len(x)).split(a.batch):
            opt.zero_grad()
            loss = loss_of(model(pixel_values=x[at], interpolate_pos_encoding=True).logits, y[at])
            loss.backward()
            if a.recipe == "peft":
                nn.utils.clip_grad_norm_([q for _, q in params], 1.0)
            opt.step()
            total += loss.item() * len(at)
            if by_step:
                schedule.step()
        if not by_step:
            schedule.step()
        val = measure(model, parts["val"])
        history.append({"loss": total / len(x), "val_auc": val["auc"]})
        if val["auc"] > best:
            best, kept = val["auc"], copy.deepcopy({n: q.detach() for n, q in params})
    with torch.no_grad():
        for n, q in params:
            q.copy_(kept[n])
    test = measure(model, parts["test"])
    return {"seed": seed, "auc": test["auc"], "accuracy": test["accuracy"], "val_auc": best, "n": len(parts["test"][1]),
            "trained": sum(q.numel() for _, q in params), "seconds": time.time() - start, "history": history}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--recipe", choices=["peft", "loravit"], required=True)
    p.add_argument("--base", type=Path, required=True)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--seeds", type=int, nargs="+", default=[1])
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float)
    p.add_argument("--image-size", type=int, default=112)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    hf.utils.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    torch.set_num_threads(a.threads)
    parts, labels = load(a.data, a.image_size)
    for seed in a.seeds:
        print(json.dumps(train(a, parts, labels, seed)), flush=True)


if __name__ == "__main__":
    main()
