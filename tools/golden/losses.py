"""Focal losses and their gradients, by autograd: softmax and sigmoid, with weights and label smoothing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from common import generator, randn, store

KIND, N, CLASSES = "loss_focal", 6, 4
GAMMAS = (0.5, 1.0, 2.0, 5.0)
SMOOTHING, WEIGHTS = 0.1, (1.0, 2.0, 0.5, 1.5)


def softmax_focal(z, labels, gamma, smoothing, weights):
    logp = F.log_softmax(z, dim=1)
    t = F.one_hot(labels, CLASSES).double() * (1 - smoothing) + smoothing / CLASSES
    terms = weights * t * (1 - logp.exp()) ** gamma * -logp
    return terms.sum() / weights[labels].sum()


def sigmoid_focal(z, present, gamma, smoothing, weights):
    y = present * (1 - smoothing) + smoothing / 2
    p = torch.sigmoid(z)
    terms = weights * y * (1 - p) ** gamma * -F.logsigmoid(z) + (1 - y) * p**gamma * -F.logsigmoid(-z)
    return terms.mean()


def check_plain(z, present, gamma) -> None:
    """Without smoothing and weights the sigmoid form is torchvision's, where that is installed."""
    try:
        from torchvision.ops import sigmoid_focal_loss
    except ImportError:
        return
    want = sigmoid_focal_loss(z, present, alpha=-1, gamma=gamma, reduction="mean")
    got = sigmoid_focal(z, present, gamma, 0.0, torch.ones(CLASSES).double())
    if (want - got).abs() > 1e-12:
        raise ValueError(f"sigmoid focal loss, gamma {gamma}: {got}, torchvision says {want}")


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    z = randn(KIND, "logits", shape=(N, CLASSES), std=2.0)
    labels = torch.randint(0, CLASSES, (N,), generator=generator(KIND, "labels"))
    present = torch.randint(0, 2, (N, CLASSES), generator=generator(KIND, "present")).double()
    weights = torch.tensor(WEIGHTS).double()
    tensors = {"logits": z, "labels": labels, "present": present}
    for gamma in GAMMAS:
        check_plain(z.double(), present, gamma)
        for name, f, target in (("softmax", softmax_focal, labels), ("sigmoid", sigmoid_focal, present)):
            for how, smoothing, w in (("plain", 0.0, torch.ones(CLASSES).double()), ("full", SMOOTHING, weights)):
                leaf = z.double().requires_grad_()
                loss = f(leaf, target, gamma, smoothing, w)
                loss.backward()
                tensors[f"{name}.{how}.{gamma:g}.loss"] = loss.detach().reshape(1)
                tensors[f"{name}.{how}.{gamma:g}.grad"] = leaf.grad
    store(folder / "golden.safetensors", tensors, {"smoothing": str(SMOOTHING), "weights": " ".join(map(str, WEIGHTS))})
    print(f"{KIND:22s} {len(tensors)} tensors")


JOBS = {KIND: write}
