"""One image through a base and an adapter, then the end: what `melo predict` does, in PyTorch. Prints the logits as JSON.

The imports are the least that each way needs.
"""

import argparse
import json
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="library", choices=("timm", "peft", "onnxruntime"), default="timm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dir", required=True, help="folder of prepare.py")
    args = parser.parse_args()
    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(f"{args.dir}/image.png").convert("RGB"), np.float32) / 255
    image = ((pixels - 0.5) / 0.5).transpose(2, 0, 1)[None]  # 224 x 224 already: timm's mean and deviation of this base
    logits = {"timm": by_hand, "peft": peft, "onnxruntime": onnxruntime}[args.library](args, image)
    json.dump({"logits": logits.flatten().tolist()}, sys.stdout)
    print(flush=True)


def by_hand(args, image):
    """timm's network; the adapter is merged into its weights, which is less work than running it beside them."""
    from pathlib import Path

    import torch
    from safetensors.torch import load_file
    from torch_peer import timm_model

    torch.set_num_threads(args.threads)
    model = timm_model(Path(args.dir) / "base").eval()
    deltas = load_file(f"{args.dir}/peft/adapter_model.safetensors")
    with torch.inference_mode():
        for i, block in enumerate(model.blocks):
            width = block.attn.qkv.in_features
            for part, at in (("q", 0), ("v", 2 * width)):
                a, b = (deltas[f"base_model.model.vit.layers.{i}.attention.{part}_proj.lora_{x}.weight"] for x in "AB")
                block.attn.qkv.weight[at : at + width] += b @ a
        model.head.weight.copy_(deltas["base_model.model.classifier.weight"])
        model.head.bias.copy_(deltas["base_model.model.classifier.bias"])
        return model(torch.from_numpy(image))


def peft(args, image):
    from pathlib import Path

    import torch
    from peft import PeftModel
    from torch_peer import hf_model

    torch.set_num_threads(args.threads)
    model = PeftModel.from_pretrained(hf_model(Path(args.dir) / "base"), f"{args.dir}/peft").eval()
    with torch.inference_mode():
        return model(torch.from_numpy(image)).logits


def onnxruntime(args, image):
    """The base alone: the exported network has no adapter."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    return ort.InferenceSession(f"{args.dir}/model.onnx", options, providers=["CPUExecutionProvider"]).run(["logits"], {"images": image})[0]


if __name__ == "__main__":
    main()
