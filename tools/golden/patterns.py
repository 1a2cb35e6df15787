"""Which modules a PEFT configuration adapts, and which key of a pattern holds: PEFT's own answers for
random configurations.

`peft_patterns/cases.json`: a list of [config, path, adapted, value], where config is part of an
adapter_config.json, adapted is what check_target_module_exists says of path, and value is what rank_pattern gives it
(0 if no key matches).
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from peft import LoraConfig
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
from peft.utils.other import get_pattern_key

CASES = 400
TAILS = {
    "vit.layers.%d.": ("attention.q_proj", "attention.v_proj", "mlp.fc1", "mlp.fc2"),
    "vit.encoder.layer.%d.": ("attention.attention.query", "attention.output.dense", "intermediate.dense", "output.dense"),
    "blocks.%d.": ("attn.qkv", "attn.proj", "mlp.fc1"),
    "encoder.layers.%d.": ("self_attn.q_proj", "mlp.fc2"),
}
PATHS = [prefix % n + tail for prefix, tails in TAILS.items() for n in (0, 1, 2, 10, 11) for tail in tails]
NAMES = ("q_proj", "fc1", "fc2", "dense", "output.dense", "attention", "attention.output.dense", "layers.1",
         "layers.1.mlp.fc1", "vit.layers.11.mlp.fc2", "blocks.0.attn.qkv", "attn.qkv", "query", "proj", "_proj")
EXPRESSIONS = (r"layer\.\d+\.output.dense", r"layers\.(0|2)\..*", r".*\.1\..*", "q_proj|v_proj", "mlp.fc[12]", ".*",
               "(k|v)_proj", r"\d+.mlp.fc1", r"[a-z]+\.output\.dense", ".*(fc1|fc2)", ".*q_proj", "")


def case(rng: random.Random) -> list:
    pattern = {key: n + 1 for n, key in enumerate(rng.sample(NAMES + EXPRESSIONS, rng.randint(0, 4)))}
    path = rng.choice(PATHS)
    target = rng.choice([rng.sample(NAMES, rng.randint(1, 4)), rng.sample(NAMES, rng.randint(1, 4)), rng.choice(EXPRESSIONS[:-1])])
    if rng.random() < 0.3:  # random names seldom meet a random path
        target = [path.rsplit(".", 1)[-1], *rng.sample(NAMES, 1)]
    config = {"target_modules": target, "rank_pattern": pattern}
    config["exclude_modules"] = rng.choice([None, None, [rng.choice(NAMES)], rng.choice((".*dense", ".*fc.", "q_proj"))])
    if isinstance(target, list) and rng.random() < 0.5:
        config["layers_to_transform"] = rng.choice([[0], [1, 11], 2, []])
        config["layers_pattern"] = rng.choice([None, "layers", "layer", ["layers", "blocks"], ""])
    answer = check_target_module_exists(LoraConfig(**config), path)
    adapted = bool(answer) and not isinstance(answer, _ExcludedModule)
    return [config, path, adapted, pattern.get(get_pattern_key(pattern.keys(), path), 0)]


def patterns(folder: Path) -> None:
    rng = random.Random(3)
    cases = []
    while len(cases) < CASES:
        try:
            cases.append(case(rng))
        except (UnboundLocalError, re.error, ValueError):  # a configuration that PEFT cannot use
            continue
    folder.mkdir(parents=True)
    (folder / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
