"""Ten-step optimisation goldens: the LoRA-ViT recipe on a tiny Hugging Face ViT.

Recipe (facts of the method's published code): base frozen, LoRA on q and v with scale
alpha // r, A from kaiming-uniform(sqrt 5), B zero, a fresh Linear head with bias, cross-entropy
with label smoothing 0.1.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import transformers as hf
from torch import nn

from common import Hooked, generator, randn, randomise, store
from kinds import hf_sites, vit_config

KIND, CLASSES, BATCH, STEPS, RANK = "train", 3, 4, 10, 4


def base() -> nn.Module:
    model = hf.ViTForImageClassification(hf.ViTConfig(**vit_config(
        hidden_size=32, num_attention_heads=2, intermediate_size=64, num_labels=CLASSES)))
    randomise(model, KIND)
    return model.eval()


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    """Images with a class-dependent offset, so that there is something to learn."""
    labels = torch.randint(0, CLASSES, (STEPS, BATCH), generator=generator(KIND, "labels"))
    images = randn(KIND, "images", shape=(STEPS, BATCH, 3, 16, 16))
    means = randn(KIND, "means", shape=(CLASSES, 3, 16, 16), std=0.5)
    return images + means[labels], labels


def fresh_head() -> nn.Linear:
    """torch's own initialisation: U(+-1/sqrt(d)) for weight and bias."""
    head, bound = nn.Linear(32, CLASSES), 1 / math.sqrt(32)
    with torch.no_grad():
        for name, p in head.named_parameters():
            p.copy_((torch.rand(p.shape, generator=generator(KIND, "head", name)) * 2 - 1) * bound)
    return head


def adapters(model: nn.Module) -> dict[str, torch.Tensor]:
    out = {}
    for k in range(len(model.vit.layers)):
        for s in ("q", "v"):
            g = generator(KIND, "A", k, s)
            # kaiming_uniform(a=sqrt 5) of a [r,d] matrix is U(+-1/sqrt(d)).
            out[f"block.{k}.{s}.A"] = (torch.rand((RANK, 32), generator=g) * 2 - 1) / math.sqrt(32)
            out[f"block.{k}.{s}.B"] = torch.zeros(32, RANK)
    return out


def write_base(folder: Path) -> None:
    model = base()
    model.save_pretrained(folder)
    images, labels = batches()
    store(folder / "golden.safetensors", {"images": images, "labels": labels},
          {"notes": "base and batches [step, batch, ...] of the train_* cases"})


def write_run(folder: Path, method: str, optimiser: str) -> None:
    model = base().double()
    model.classifier = fresh_head().double()
    model.requires_grad_(method == "full")
    model.classifier.requires_grad_(True)
    ab = {k: v.double().requires_grad_() for k, v in adapters(model).items()} if method == "melo" else {}
    tensors = {f"init.{k}": v.detach().clone() for k, v in ab.items()}
    tensors |= {f"init.head.{k}": v.detach().clone() for k, v in model.classifier.named_parameters()}

    params = [*ab.values(), *(p for p in model.parameters() if p.requires_grad)]
    if optimiser == "adamw":
        opt = torch.optim.AdamW(params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
        sched, per_epoch = None, STEPS
    else:  # Adam without decay, cosine stepped once an epoch; two steps are an epoch here
        opt = torch.optim.Adam(params, lr=1e-3)
        sched, per_epoch = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS // 2, eta_min=1e-6), 2

    sites = {f"block.{k}.{s}": hf_sites(model.vit.layers)(k)[s]
             for k in range(len(model.vit.layers)) for s in ("q", "v")} if ab else {}
    images, labels = batches()
    losses, rates, logits0 = [], [], None
    with Hooked(sites, ab, 1.0):
        for step in range(STEPS):
            opt.zero_grad()
            logits = model(pixel_values=images[step].double()).logits
            loss = nn.functional.cross_entropy(logits, labels[step], label_smoothing=0.1)
            loss.backward()
            if step == 0:
                logits0 = logits.detach().clone()
                tensors |= step_grads(model, ab, method)
            losses.append(loss.item())
            rates.append(opt.param_groups[0]["lr"])
            opt.step()
            if sched and (step + 1) % per_epoch == 0:
                sched.step()
    tensors |= {"losses": torch.tensor(losses), "lr": torch.tensor(rates), "logits0": logits0}
    tensors |= {f"final.{k}": v for k, v in ab.items()}
    tensors |= final_weights(model, method, folder)
    store(folder / "golden.safetensors", tensors, {"method": method, "optimiser": optimiser})
    print(f"{folder.name:22s} losses {losses[0]:.4f} -> {losses[-1]:.4f}")


def step_grads(model, ab, method) -> dict[str, torch.Tensor]:
    """Gradients of the first step, for adapters and head (full: see the grad.* of hf_vit)."""
    out = {f"grad0.{k}": v.grad.clone() for k, v in ab.items()}
    return out | {f"grad0.head.{k}": v.grad.clone() for k, v in model.classifier.named_parameters()}


def final_weights(model, method: str, folder: Path) -> dict[str, torch.Tensor]:
    out = {f"final.head.{k}": v for k, v in model.classifier.named_parameters()}
    folder.mkdir(parents=True, exist_ok=True)
    if method == "full":  # the library's own file, under the names of the file
        model.float().save_pretrained(folder)
    return out


JOBS = {
    "train": write_base,
    "train_melo": lambda d: write_run(d, "melo", "adamw"),
    "train_melo_adam": lambda d: write_run(d, "melo", "adam"),
    "train_linear": lambda d: write_run(d, "linear", "adamw"),
    "train_full": lambda d: write_run(d, "full", "adamw"),
}
