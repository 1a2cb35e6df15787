"""Writes a base with random weights: python random_base.py vit_tiny OUT [--seed 1]. Needs transformers.

The weights are those that transformers gives a new network of the same configuration.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers as hf


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("base", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    torch.manual_seed(a.seed)
    model = hf.ViTForImageClassification(hf.ViTConfig.from_pretrained(a.base))
    model.save_pretrained(a.out)
    given = json.loads((a.base / "config.json").read_text())  # keeps what says how images are prepared
    (a.out / "config.json").write_text(json.dumps(given, indent=1) + "\n")


if __name__ == "__main__":
    main()
