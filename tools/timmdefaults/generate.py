"""Writes imaging/processor/timm.tsv: what timm's own registry says about images for every Vision Transformer in it, by
the name of the architecture, alone (its default weights) and with each tag; and how many heads it has.

    python tools/timmdefaults/generate.py imaging/processor/timm.tsv
"""

import sys

import timm
import torch
from timm.models import _registry as registry

MODULES = ("vision_transformer", "deit", "eva", "beit")


def heads(arch):
    """Of attention in the first block; 0 where there is no such number."""
    try:
        with torch.device("meta"):
            return getattr(timm.create_model(arch, pretrained=False).blocks[0].attn, "num_heads", 0)
    except Exception:
        return 0


def row(name, c, heads):
    one = lambda v: ",".join(f"{x:.9g}" for x in v)
    if c.input_size[1] != c.input_size[2]:
        return None
    return (name, str(c.input_size[1]), c.interpolation, f"{c.crop_pct:.17g}", c.crop_mode, one(c.mean), one(c.std), str(heads))


rows = []
for module in MODULES:
    for arch in sorted(registry._module_to_models[module]):
        default = registry._model_default_cfgs.get(arch)
        if default is None:
            continue
        tags, n = default.cfgs, heads(arch)
        first = next(iter(default.tags), None) if hasattr(default, "tags") else next(iter(tags))
        rows.append(row(arch, default.default if hasattr(default, "default") else tags[first], n))
        rows += [row(f"{arch}.{tag}", c, n) for tag, c in tags.items() if tag]

with open(sys.argv[1], "w") as f:
    f.write(f"# timm {timm.__version__}: architecture, size, interpolation, crop_pct, crop_mode, mean, std, heads\n")
    for r in sorted(set(filter(None, rows))):
        f.write("\t".join(r) + "\n")
print(len(rows))
