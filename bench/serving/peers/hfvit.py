"""What the peers in Python share: transformers' ViT from a base in Hugging Face's naming, and its preprocessing."""

import json

from safetensors.torch import load_file
from torchvision import transforms
from transformers import ViTConfig, ViTForImageClassification


def load_base(folder, labels):
    """Builds the backbone; every adapter brings its own classifier with that many labels."""
    with open(folder / "config.json") as f:
        raw = json.load(f)
    config = ViTConfig(**{k: v for k, v in raw.items() if k in ViTConfig().to_dict() and not k.startswith("num_labels")})
    config.num_labels = labels
    model = ViTForImageClassification(config)
    weights = {rename(k): v.float() for k, v in load_file(folder / "model.safetensors").items() if not k.startswith("classifier.")}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any(not m.startswith("classifier.") for m in missing):
        raise SystemExit(f"{folder}: missing {missing}, unexpected {unexpected}")
    return model


def rename(name):
    """From the names of files to those of transformers 5."""
    pairs = [("vit.encoder.layer.", "vit.layers."), (".attention.attention.query.", ".attention.q_proj."),
             (".attention.attention.key.", ".attention.k_proj."), (".attention.attention.value.", ".attention.v_proj."),
             (".attention.output.dense.", ".attention.o_proj."), (".intermediate.dense.", ".mlp.fc1."), (".output.dense.", ".mlp.fc2.")]
    for old, new in pairs:
        name = name.replace(old, new)
    return name


def preprocessing(folder):
    """The recipe of the base: of preprocessor_config.json, else squashed bilinearly to the size in config.json."""
    with open(folder / "config.json") as f:
        raw = json.load(f)
    if (folder / "preprocessor_config.json").exists():
        with open(folder / "preprocessor_config.json") as f:
            raw |= json.load(f)
    size, mean, std = raw["image_size"], raw.get("image_mean", [0.5] * 3), raw.get("image_std", [0.5] * 3)
    how = transforms.InterpolationMode.BICUBIC if raw.get("resample") == 3 else transforms.InterpolationMode.BILINEAR
    steps = [transforms.Resize((size, size), how)]
    if raw.get("do_center_crop"):
        steps = [transforms.Resize(raw["size"]["shortest_edge"], how), transforms.CenterCrop(size)]
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])
