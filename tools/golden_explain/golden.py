"""Writes explain/testdata/golden.json: maps of pytorch-grad-cam, of Captum's occlusion, and of Chefer's rule written down
in PyTorch, for models and adapters of testdata/golden. Run by hand: `python tools/golden_explain/golden.py`.

Models are timm's, in float64, with the adapter's matrices added to the weights. Numbers are rounded to nine digits.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import timm
import torch
from captum.attr import Occlusion
from pytorch_grad_cam import GradCAM
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
SCALE = 2.0  # of the adapters in testdata/golden
KINDS = {"timm_vit": "loraall", "timm_vit_meanpool": "lora", "timm_dinov2": "lora", "timm_dinov2_reg": "lora"}
SCORES = [(1, None), (2, 0)]


def load(kind: str, lora: str):
    folder = ROOT / "testdata" / "golden" / kind
    config = json.loads((folder / "config.json").read_text())
    golden, state = load_file(folder / "golden.safetensors"), load_file(folder / "model.safetensors")
    model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
    model.load_state_dict(state)
    model = model.eval().double()
    width = model.embed_dim
    for name, a in golden.items():
        if not name.startswith(lora + ".block.") or not name.endswith(".A"):
            continue
        _, _, block, site, _ = name.split(".")
        delta = SCALE * golden[name[:-1] + "B"].double() @ a.double()
        b = model.blocks[int(block)]
        with torch.no_grad():
            if site in "qkv":
                at = "qkv".index(site) * width
                b.attn.qkv.weight[at : at + width] += delta
            else:
                {"proj": b.attn.proj, "fc1": b.mlp.fc1, "fc2": b.mlp.fc2}[site].weight += delta
    head = None
    if not isinstance(model.head, nn.Linear):
        torch.manual_seed(len(kind))
        head = torch.randn(3, width, dtype=torch.float64).float()
        model.head = nn.Linear(width, 3, bias=False, dtype=torch.float64)
        model.head.weight = nn.Parameter(head.double())
    for b in model.blocks:
        b.attn.fused_attn = False
    return model, golden["input"].double(), head


class Score:
    """A logit, less that of another label."""

    def __init__(self, label, against):
        self.label, self.against = label, against

    def __call__(self, logits):
        out = logits[..., self.label]
        return out if self.against is None else out - logits[..., self.against]


class GridCAM(GradCAM):
    """The library's maps on the grid of patches, before it makes them as large as the image."""

    grid = 0

    def get_target_width_height(self, input_tensor):
        return self.grid, self.grid


def gradcam(model, x, score):
    prefix, grid = model.num_prefix_tokens, model.patch_embed.grid_size[0]

    def reshape(t):
        return t[:, prefix:].reshape(t.shape[0], grid, grid, -1).permute(0, 3, 1, 2)

    with GridCAM(model=model, target_layers=[model.blocks[-1].norm1], reshape_transform=reshape) as cam:
        cam.grid = grid
        return np.stack([cam(input_tensor=x[i : i + 1], targets=[score])[0] for i in range(len(x))])


def attribution(model, x, score):
    """Equations 5 and 6 of arXiv 2103.15679, for one image at a time; of a mean of patches the mean of their rows."""
    maps = []
    for image in x:
        kept = []
        handles = [
            b.attn.attn_drop.register_forward_hook(lambda m, i, y: (y.retain_grad(), kept.append(y))[1]) for b in model.blocks
        ]
        value = score(model(image[None])[0])
        model.zero_grad()
        value.backward()
        for h in handles:
            h.remove()
        tokens = kept[0].shape[-1]
        relevance = torch.eye(tokens, dtype=torch.float64)
        for a in kept:
            bar = (a.grad[0] * a.detach()[0]).clamp(min=0).mean(0)
            relevance = relevance + bar @ relevance
        prefix = model.num_prefix_tokens
        if model.global_pool == "token":
            row = relevance[0, prefix:]
        else:
            row = (relevance - torch.eye(tokens, dtype=torch.float64))[prefix:].mean(0)[prefix:]
        maps.append(row.numpy())
    return np.stack(maps)


def occlusion(model, x, score, window, stride):
    patch, grid = model.patch_embed.patch_size[0], model.patch_embed.grid_size[0]
    method = Occlusion(lambda images: score(model(images)))
    with torch.no_grad():
        out = method.attribute(
            x,
            sliding_window_shapes=(3, window * patch, window * patch),
            strides=(3, stride * patch, stride * patch),
            baselines=x.mean((2, 3), keepdim=True).expand_as(x),
        )
    return out[:, 0, ::patch, ::patch].numpy()


def numbers(x):
    return [[float(f"{v:.9g}") for v in row.reshape(-1)] for row in x]


def main():
    cases = []
    for kind, lora in KINDS.items():
        model, x, head = load(kind, lora)
        for label, against in SCORES:
            score = Score(label, against)
            cases.append({
                "kind": kind,
                "lora": lora,
                "head": None if head is None else [float(v) for v in head.reshape(-1)],
                "label": label,
                "against": -1 if against is None else against,
                "gradcam": numbers(gradcam(model, x, score)),
                "attribution": numbers(attribution(model, x, score)),
                "occlusion": [
                    {"window": w, "stride": s, "maps": numbers(occlusion(model, x, score, w, s))} for w, s in ((1, 1), (2, 1), (3, 2))
                ],
            })
    out = ROOT / "explain" / "testdata" / "golden.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
