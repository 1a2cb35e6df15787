"""Writes what the engines of the comparison read: one network with random weights, in every form.

    base             DIR/base: a timm folder (config.json, model.safetensors)
    logits           DIR/logits.json: PyTorch's logits in float32, what every engine is compared with
    losses           DIR/losses.json: losses of the first training steps
    onnx             DIR/model.onnx
    onnx-int8        DIR/int8.onnx: ONNX Runtime's dynamic quantisation, weights per channel
    openvino-int8    DIR/int8.xml: NNCF's post-training quantisation with a few random images
    adapter          DIR/peft: a PEFT folder, and DIR/image.png
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from peer import CHECKED, LABELS, check_images
from plan import MADE, STEP_BATCH

ARCH = {"ti": "vit_tiny_patch16_224", "s": "vit_small_patch16_224", "b": "vit_base_patch16_224", "l": "vit_large_patch16_224"}
LOSS_STEPS = 3


def base(folder: Path, model: str, threads: int) -> None:
    import timm
    import torch
    from timm.models import _hub

    torch.manual_seed(0)
    network = timm.create_model(ARCH[model], num_classes=LABELS)
    network.pretrained_cfg = dict(network.pretrained_cfg, crop_pct=1.0)  # an image of the right size is taken as it is
    _hub.save_for_hf(network, folder / "base.part", safe_serialization=True)
    os.replace(folder / "base.part", folder / "base")


def torch_peer(folder: Path, threads: int):
    from torch_peer import TorchPeer

    return TorchPeer(argparse.Namespace(base=folder / "base", threads=threads, weights="f32", mode="eager", autocast=False,
                                        freezing=False, lora="plain"))


def logits(folder: Path, model: str, threads: int) -> None:
    peer = torch_peer(folder, threads)
    peer.prepare("forward", CHECKED)
    write(folder / "logits.json", peer.forward(check_images(CHECKED)).flatten().tolist())


def losses(folder: Path, model: str, threads: int) -> None:
    peer = torch_peer(folder, threads)
    peer.prepare("step", STEP_BATCH)
    images = check_images(STEP_BATCH)
    write(folder / "losses.json", [peer.step(images) for _ in range(LOSS_STEPS)])


def onnx(folder: Path, model: str, threads: int) -> None:
    import torch
    from torch_peer import timm_model

    part, to = folder / "model.part.onnx", folder / "model.onnx"
    dynamic = {"images": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(timm_model(folder / "base").eval(), (torch.zeros(1, 3, 224, 224),), str(part), dynamo=False,
                      input_names=["images"], output_names=["logits"], dynamic_axes=dynamic)
    os.replace(part, to)


def onnx_int8(folder: Path, model: str, threads: int) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready, part = folder / "ready.onnx", folder / "int8.part.onnx"
    quant_pre_process(str(folder / "model.onnx"), str(ready), skip_symbolic_shape=True)
    quantize_dynamic(str(ready), str(part), per_channel=True, weight_type=QuantType.QInt8)
    ready.unlink()
    os.replace(part, folder / "int8.onnx")


def openvino_int8(folder: Path, model: str, threads: int) -> None:
    import nncf
    import openvino

    network = openvino.Core().read_model(folder / "model.onnx")
    network.reshape([1, 3, 224, 224])
    rng = np.random.default_rng(5)
    images = [rng.standard_normal((1, 3, 224, 224), dtype=np.float32) for _ in range(4)]
    small = nncf.quantize(network, nncf.Dataset(images), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(images))
    small.reshape([-1, 3, 224, 224])
    openvino.save_model(small, folder / "int8.part.xml", compress_to_fp16=False)
    os.replace(folder / "int8.part.bin", folder / "int8.bin")
    os.replace(folder / "int8.part.xml", folder / "int8.xml")


def adapter(folder: Path, model: str, threads: int) -> None:
    import torch
    from PIL import Image
    from torch_peer import peft_model

    torch.manual_seed(0)
    network = peft_model(folder / "base")
    with torch.no_grad():
        for name, p in network.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.02)
    network.save_pretrained(folder / "peft")
    noise = np.random.default_rng(7).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((224, 224), Image.Resampling.BICUBIC).save(folder / "image.png")


def write(path: Path, doc) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(doc))
    os.replace(part, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MADE)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--model", choices=ARCH, default="b")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    globals()[args.what.replace("-", "_")](args.folder, args.model, args.threads)


if __name__ == "__main__":
    main()
