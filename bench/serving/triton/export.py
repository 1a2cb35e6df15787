#!/usr/bin/env python3
"""Makes Triton's model repositories from PEFT adapters: one whole model an adapter, with its matrices merged.

    python bench/serving/triton/export.py --base B --adapters DIR --out OUT [--images 'scans/*.png']

B is a base in Hugging Face's naming, DIR has one PEFT folder an adapter, as prepare.sh makes them. Below OUT:

    onnx/NAME      for Triton's ONNX Runtime backend
    python/NAME    for its Python backend, with model.py; the model is the same file (a hard link)
    tensors        the images, prepared by the base's recipe: float32 [3, side, side], little-endian
    export.json    seconds and bytes of each model

What is there already is not made again.
"""

import argparse
import glob
import json
import os
import pathlib
import shutil
import sys
import time

import torch
from peft import PeftModel
from PIL import Image

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "peers"))
from hfvit import load_base, preprocessing  # noqa: E402

# Both backends get the same: batches of up to 8, one instance, which has all the threads. Triton does not wait for a
# batch to fill; it takes what has come while the one before was computed, as melo does.
CONFIG = """name: "{name}"
{backend}
max_batch_size: 8
input [ {{ name: "pixel_values" data_type: TYPE_FP32 dims: [ 3, {side}, {side} ] }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ {labels} ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ }}
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{threads}" }} }}
parameters {{ key: "inter_op_thread_count" value: {{ string_value: "1" }} }}
"""
BACKENDS = {"onnx": 'platform: "onnxruntime_onnx"', "python": 'backend: "python"'}


class Logits(torch.nn.Module):
    """transformers' classifier, answering with the logits alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model(pixel_values=pixel_values).logits


def export(base, adapter, labels, side, to):
    """Merges an adapter into its own copy of the base and writes the whole as ONNX."""
    model = PeftModel.from_pretrained(load_base(base, labels), adapter).merge_and_unload().eval()
    part = to.with_suffix(".part")
    dynamic = {"pixel_values": {0: "batch"}, "logits": {0: "batch"}}
    with torch.inference_mode():
        torch.onnx.export(Logits(model), (torch.zeros(1, 3, side, side),), str(part), dynamo=False, opset_version=17,
                          input_names=["pixel_values"], output_names=["logits"], dynamic_axes=dynamic)
    part.replace(to)


def models(args, side):
    """Exports every adapter for both backends; returns name -> seconds and bytes."""
    made = {}
    for adapter in sorted(p.parent for p in args.adapters.glob("*/adapter_config.json")):
        labels = len((adapter / "labels.txt").read_text().split("\n")) - 1
        for kind, backend in BACKENDS.items():
            folder = args.out / kind / adapter.name
            (folder / "1").mkdir(parents=True, exist_ok=True)
            (folder / "config.pbtxt").write_text(CONFIG.format(name=adapter.name, backend=backend, side=side, labels=labels, threads=args.threads))
        whole, link = (args.out / kind / adapter.name / "1" / "model.onnx" for kind in BACKENDS)
        start = time.perf_counter()
        if not whole.exists():
            export(args.base, adapter, labels, side, whole)
            made[adapter.name] = {"seconds": time.perf_counter() - start, "bytes": whole.stat().st_size}
        link.unlink(missing_ok=True)
        os.link(whole, link)
        shutil.copy(here / "model.py", link.parent / "model.py")
    return made


def tensors(args):
    """Writes the images as the client would prepare them."""
    transform = preprocessing(args.base)
    folder = args.out / "tensors"
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(pathlib.Path, sorted(glob.glob(args.images))):
        with Image.open(path) as image:
            (folder / (path.stem + ".f32")).write_bytes(transform(image.convert("RGB")).numpy().astype("<f4").tobytes())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", type=pathlib.Path, required=True)
    p.add_argument("--adapters", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--images", required=True, help="pattern of files")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="of one pass")
    args = p.parse_args()
    tensors(args)
    with open(args.base / "config.json") as f:
        side = json.load(f)["image_size"]
    record = args.out / "export.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    record.write_text(json.dumps(known | models(args, side), indent=1) + "\n")


if __name__ == "__main__":
    main()
