"""Writes inspect/known/models.txt: the names of the tensors of published vision models, by which "melo inspect" says what a
file that is no base of ours resembles.

    python tools/knownmodels/generate.py inspect/known/models.txt

Every model of timm, every classifier of torchvision, and one of each image model of transformers, made without weights. Lines:

    v  PACKAGE VERSION
    p  PATTERN                   a name with # for each number; counted from 0
    g  PACKAGE FAMILY N N N...   models with the same patterns
    m  NAME TENSORS NUMBERS      one of them: how many tensors and numbers it has
"""

import re
import sys
import warnings

import timm
import torch
import torchvision
import transformers

warnings.filterwarnings("ignore")
transformers.utils.logging.set_verbosity_error()
patterns, groups = {}, {}


def add(package, family, name, model):
    state = model.state_dict()
    if not state:
        return
    found = frozenset(re.sub(r"\d+", "#", key) for key in state)
    groups.setdefault((package, family, found), []).append((name, len(state), sum(v.numel() for v in state.values())))


def attempt(package, family, name, make):
    try:
        with torch.device("meta"):
            model = make()
    except Exception as why:
        print(f"left out: {package} {name}: {type(why).__name__}: {str(why)[:80]}", file=sys.stderr)
        return
    add(package, family, name, model)


for name in timm.list_models():
    family = timm.models._registry._model_to_module[name]
    attempt("timm", family, name, lambda: timm.create_model(name, pretrained=False))
for name in torchvision.models.list_models(module=torchvision.models):
    family = torchvision.models.get_model_builder(name).__module__.rsplit(".", 1)[-1]
    attempt("torchvision", family, name, lambda: torchvision.models.get_model(name, weights=None))
known = transformers.models.auto.modeling_auto
for mapping in ("MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING", "MODEL_FOR_MASK_GENERATION_MAPPING", "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING",
                "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING", "MODEL_FOR_OBJECT_DETECTION_MAPPING", "MODEL_FOR_MASKED_LM_MAPPING"):
    table = getattr(known, mapping, None)
    for config in [] if table is None else list(table.keys()):
        classes = table[config]
        for cls in classes if isinstance(classes, tuple) else (classes,):
            attempt("transformers", config.model_type, cls.__name__, lambda: cls(config()))

with open(sys.argv[1], "w") as f:
    for package in (timm, torchvision, transformers):
        f.write(f"v {package.__name__} {package.__version__}\n")
    for found in sorted({p for _, _, s in groups for p in s}):
        patterns[found] = len(patterns)
        f.write(f"p {found}\n")
    for (package, family, found), models in sorted(groups.items(), key=lambda g: (g[0][0], g[0][1], sorted(g[0][2]))):
        f.write(f"g {package} {family} {' '.join(str(patterns[p]) for p in sorted(found))}\n")
        for name, tensors, numbers in sorted(models):
            f.write(f"m {name} {tensors} {numbers}\n")
