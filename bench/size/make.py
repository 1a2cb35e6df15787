"""Writes a large Vision Transformer with random weights as a timm folder: python make.py OUT MODEL [--classes 3].

Tensor by tensor: it needs the memory of the largest one. MODEL is a name of MODELS.
"""

import argparse
import json
import os

import numpy
import timm
import torch

# What each name stands for: timm's architecture, at 224 pixels.
MODELS = {
    "l": "vit_large_patch16_224",
    "h": "vit_huge_patch14_224",
    "g": "vit_giant_patch14_dinov2",
}


def args_of(model):
    return {"img_size": 224}


def values(name, shape, rng):
    """Numbers under which activations neither vanish nor explode."""
    if name.endswith((".gamma",)):
        return rng.uniform(0.05, 0.15, shape)
    if "norm" in name and name.endswith(".weight"):
        return rng.uniform(0.8, 1.2, shape)
    if name.endswith(".bias"):
        return rng.uniform(-0.1, 0.1, shape)
    if len(shape) > 1 and name.endswith(".weight"):
        return rng.standard_normal(shape, dtype=numpy.float32) * numpy.float32(numpy.prod(shape[1:]) ** -0.5)
    return rng.uniform(-0.1, 0.1, shape)


def write(path, shapes):
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(numpy.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = numpy.random.default_rng(7)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            f.write(numpy.asarray(values(name, shape, rng), "<f4").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--classes", type=int, default=3)
    o = parser.parse_args()
    os.makedirs(o.out, exist_ok=True)
    with torch.device("meta"):
        net = timm.create_model(MODELS[o.model], num_classes=o.classes, **args_of(o.model))
    config = {
        "architecture": MODELS[o.model],
        "num_classes": o.classes,
        "model_args": args_of(o.model),
        "pretrained_cfg": {
            "input_size": [3, 224, 224], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
            "interpolation": "bicubic", "crop_pct": 1.0, "num_classes": o.classes,
            "label_names": [f"label {i}" for i in range(o.classes)],
        },
    }
    with open(os.path.join(o.out, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
    write(os.path.join(o.out, "model.safetensors"), {k: tuple(v.shape) for k, v in net.state_dict().items()})
    print(o.out, sum(v.numel() for v in net.state_dict().values()))


if __name__ == "__main__":
    main()
