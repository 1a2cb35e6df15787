"""Does DoRA earn its place? PEFT's DoRA against its LoRA in PyTorch: q and v of the last
blocks, the same base, images, seeds, batches, first matrices and rates; test AUC, and the difference by seed with its standard error.

    python bench/quality/dora.py BASE DATA SET... [--seeds 3] [--epochs 6] [--out FILE]

BASE is a ViT of transformers, DATA what bench/quality/prepare.py wrote. A line a run, then a table.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from PIL import Image
from sklearn.metrics import roc_auc_score


class Upper(torch.nn.Module):
    """The last blocks of a ViT and a head of zeros: what the adapters are beside. What comes before is computed once."""

    def __init__(self, model, blocks, classes):
        super().__init__()
        self.layers, self.norm = model.layers[-blocks:], model.layernorm
        self.head = torch.nn.Linear(model.config.hidden_size, classes)
        torch.nn.init.zeros_(self.head.weight), torch.nn.init.zeros_(self.head.bias)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
        return self.head(self.norm(x)[:, 0])


def base_of(a):
    return transformers.ViTModel.from_pretrained(a.base, add_pooling_layer=False).eval()


def lower(model, x, blocks):
    """What enters the last blocks."""
    with torch.no_grad():
        out = []
        for part in x.split(32):
            h = model.embeddings(part, interpolate_pos_encoding=True)
            for layer in model.layers[:-blocks]:
                h = layer(h)
                h = h[0] if isinstance(h, tuple) else h
            out.append(h)
        return torch.cat(out)


def images_of(root, size):
    sets = {}
    for r in csv.DictReader(open(root / "labels.csv")):
        im = Image.open(root / r["path"]).convert("RGB").resize((size, size), Image.BICUBIC)
        x = (np.asarray(im, np.float32) / 255 - 0.5) / 0.5
        sets.setdefault(r["split"], []).append((x.transpose(2, 0, 1), r["label"]))
    names = sorted({y for s in sets.values() for _, y in s})
    return {k: (torch.from_numpy(np.stack([x for x, _ in v])), torch.tensor([names.index(y) for _, y in v])) for k, v in sets.items()}, names


def auc(model, ask, x, y, classes):
    with torch.no_grad():
        p = torch.cat([torch.softmax(ask(model, b), 1) for b in x.split(64)]).numpy()
    if classes == 2:
        return roc_auc_score(y, p[:, 1])
    return np.mean([roc_auc_score(y == c, p[:, c]) for c in range(classes) if 0 < (y == c).sum() < len(y)])


def run(a, data, names, seed, dora):
    torch.manual_seed(seed)
    model = peft.get_peft_model(Upper(base_of(a), a.blocks, len(names)), peft.LoraConfig(
        r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"], modules_to_save=["head"], use_dora=dora))
    ask = lambda m, x: m(x)
    lora = [p for n, p in model.named_parameters() if p.requires_grad and "lora_" in n]
    rest = [p for n, p in model.named_parameters() if p.requires_grad and "lora_" not in n]
    opt = torch.optim.AdamW([{"params": lora, "lr": a.lr}, {"params": rest, "lr": a.head_lr}], weight_decay=0.01)
    x, y = data["train"]
    steps = a.epochs * (len(x) // a.batch)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, [a.lr, a.head_lr], total_steps=steps, pct_start=0.1)
    order = torch.Generator().manual_seed(seed)
    model.train()
    began = time.process_time()
    for _ in range(a.epochs):
        at = torch.randperm(len(x), generator=order)
        for i in range(len(x) // a.batch):
            pick = at[i * a.batch:(i + 1) * a.batch]
            opt.zero_grad()
            torch.nn.functional.cross_entropy(ask(model, x[pick]), y[pick]).backward()
            opt.step(), plan.step()
    spent = time.process_time() - began
    model.eval()
    return {part: auc(model, ask, *data[part], len(names)) for part in ("val", "test")}, spent


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("base", type=Path)
    p.add_argument("data", type=Path)
    p.add_argument("sets", nargs="+")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--size", type=int, default=112)
    p.add_argument("--batch", type=int, default=24)
    p.add_argument("--blocks", type=int, default=4, help="the last ones, which get adapters")
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--head-lr", type=float, default=3e-3)
    a = p.parse_args()
    torch.set_num_threads(1)
    loaded, base = {}, base_of(a)
    for s in a.sets:
        data, names = images_of(a.data / s, a.size)
        loaded[s] = {k: (lower(base, x, a.blocks), y) for k, (x, y) in data.items()}, names
    rows = {}
    for seed in range(1, a.seeds + 1):
        for s in a.sets:
            for dora in (False, True):
                scores, spent = run(a, *loaded[s], seed, dora)
                rows[s, seed, dora] = scores["test"]
                print(f"{s} seed {seed} {'dora' if dora else 'lora'}: val {scores['val']:.4f} test {scores['test']:.4f}, {spent:.0f} s of processor", flush=True)
    everything = []
    for s in a.sets:
        d = [rows[s, seed, True] - rows[s, seed, False] for seed in range(1, a.seeds + 1)]
        everything += d
        print(f"{s}: LoRA {np.mean([rows[s, i + 1, False] for i in range(a.seeds)]):.4f}, DoRA - LoRA {np.mean(d):+.4f}, standard error {np.std(d, ddof=1) / len(d) ** 0.5:.4f}")
    print(f"all {len(everything)} pairs: {np.mean(everything):+.4f}, standard error {np.std(everything, ddof=1) / len(everything) ** 0.5:.4f}")


main()
