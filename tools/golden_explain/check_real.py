"""Compares maps of `melo explain` on a real ViT in Hugging Face's layout with pytorch-grad-cam, Chefer's rule in PyTorch, and
Captum's occlusion: `python check_real.py MELO BASE IMAGE`. BASE is a ViTForImageClassification with inputs of mean and standard
deviation 0.5; IMAGE is scaled to its size first, so that both read the same pixels. Prints the largest difference of each map,
relative to its largest value.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

import golden

WINDOW, STRIDE = 5, 4


def load(folder: Path):
    config, state = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    e, names = "vit.embeddings.", {}
    names["cls_token"], names["pos_embed"] = e + "cls_token", e + "position_embeddings"
    for w in ("weight", "bias"):
        names[f"patch_embed.proj.{w}"] = f"{e}patch_embeddings.projection.{w}"
        names[f"norm.{w}"], names[f"head.{w}"] = f"vit.layernorm.{w}", f"classifier.{w}"
        for i in range(config["num_hidden_layers"]):
            block, layer = f"blocks.{i}.", f"vit.encoder.layer.{i}."
            names[f"{block}norm1.{w}"], names[f"{block}norm2.{w}"] = f"{layer}layernorm_before.{w}", f"{layer}layernorm_after.{w}"
            names[f"{block}attn.proj.{w}"] = f"{layer}attention.output.dense.{w}"
            names[f"{block}mlp.fc1.{w}"], names[f"{block}mlp.fc2.{w}"] = f"{layer}intermediate.dense.{w}", f"{layer}output.dense.{w}"
    tensors = {k: state[v] for k, v in names.items()}
    for w in ("weight", "bias"):
        for i in range(config["num_hidden_layers"]):
            parts = [state[f"vit.encoder.layer.{i}.attention.attention.{k}.{w}"] for k in ("query", "key", "value")]
            tensors[f"blocks.{i}.attn.qkv.{w}"] = torch.cat(parts)
    model = timm.models.VisionTransformer(
        img_size=config["image_size"], patch_size=config["patch_size"], embed_dim=config["hidden_size"], depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"], mlp_ratio=config["intermediate_size"] / config["hidden_size"],
        num_classes=state["classifier.weight"].shape[0], norm_layer=functools.partial(torch.nn.LayerNorm, eps=config["layer_norm_eps"]))
    model.load_state_dict(tensors)
    for b in model.blocks:
        b.attn.fused_attn = False
    return model.eval().double(), config["image_size"]


def main(melo: str, base: str, image: str):
    model, side = load(Path(base))
    with tempfile.TemporaryDirectory() as out:
        picture = Image.open(image).convert("RGB").resize((side, side), Image.BILINEAR)
        picture.save(f"{out}/image.png")
        x = ((torch.tensor(np.array(picture)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5)[None].double()
        label = int(model(x)[0].argmax())
        score = golden.Score(label, None)
        for method, want in {
            "gradcam": golden.gradcam(model, x, score),
            "attribution": golden.attribution(model, x, score),
            "occlusion": golden.occlusion(model, x, score, WINDOW, STRIDE),
        }.items():
            more = ["--window", str(WINDOW), "--stride", str(STRIDE)] if method == "occlusion" else []
            command = [melo, "--json", "explain", "--base", base, "--method", method, "--out", out, *more, f"{out}/image.png"]
            document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            result = document["results"][0]
            assert document["labels"].index(result["label"]) == label
            got = np.array(result["map"])
            if method == "gradcam":  # as the library scales it
                got = got - got.min()
                got = got / (got.max() + 1e-7)
            want = want[0].ravel()
            print(f"{method}: {np.abs(got - want).max() / np.abs(want).max():.2g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
