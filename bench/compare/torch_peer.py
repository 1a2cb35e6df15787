"""PyTorch's side of the comparison: inference of timm's ViT, and LoRA steps (r 4, q and v), in every mode that it has.

Answers the line protocol of README.md on standard input.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

from peer import LABELS, RANK, Peer, Unsupported, formula, need_bf16, read_weights, serve


class LoRAQKV(nn.Module):
    """A frozen fused qkv with low-rank deltas on the q and v columns (scale 1): what LoRA costs without a library."""

    def __init__(self, qkv: nn.Linear):
        super().__init__()
        d = qkv.in_features
        self.qkv, self.d = qkv, d
        self.a_q, self.a_v = (nn.Linear(d, RANK, bias=False) for _ in range(2))
        self.b_q, self.b_v = (nn.Linear(RANK, d, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.qkv(x)
        y[:, :, : self.d] += self.b_q(self.a_q(x))
        y[:, :, -self.d :] += self.b_v(self.a_v(x))
        return y


def arch(base: Path) -> str:
    return json.loads((base / "config.json").read_text())["architecture"]


def fill(model: nn.Module, weights: dict[str, np.ndarray]) -> nn.Module:
    """Gives a model built on the meta device its weights, without a second copy."""
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, assign=True)
    return model.requires_grad_(False)


def timm_model(base: Path) -> nn.Module:
    import timm

    with torch.device("meta"):
        model = timm.create_model(arch(base), num_classes=LABELS)
    return fill(model, read_weights(base / "model.safetensors"))


def hf_weights(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """timm's names in those of transformers 5; qkv in three parts."""
    names = [(r"^(cls_token)$", r"vit.embeddings.\1"), (r"^pos_embed$", "vit.embeddings.position_embeddings"),
             (r"^patch_embed\.proj", "vit.embeddings.patch_embeddings.projection"), (r"^norm\.", "vit.layernorm."),
             (r"^head\.", "classifier."), (r"^blocks\.", "vit.layers."), (r"\.norm1\.", ".layernorm_before."),
             (r"\.norm2\.", ".layernorm_after."), (r"\.attn\.proj\.", ".attention.o_proj.")]
    out = {}
    for name, w in weights.items():
        for pattern, to in names:
            name = re.sub(pattern, to, name)
        if ".attn.qkv." in name:
            for part, piece in zip("qkv", np.split(w, 3)):
                out[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            out[name] = w
    return out


def hf_model(base: Path) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    weights = read_weights(base / "model.safetensors")
    depth = 1 + max(int(n.split(".")[1]) for n in weights if n.startswith("blocks."))
    mlp, width = weights["blocks.0.mlp.fc1.weight"].shape
    config = ViTConfig(hidden_size=width, num_hidden_layers=depth, num_attention_heads=width // 64, intermediate_size=mlp,
                       layer_norm_eps=1e-6, num_labels=LABELS, attn_implementation="sdpa")
    with torch.device("meta"):
        model = ViTForImageClassification(config)
    return fill(model, hf_weights(weights))


def peft_model(base: Path) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=RANK, lora_alpha=RANK, lora_dropout=0, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    return get_peft_model(hf_model(base), config)


def limit_fbgemm() -> None:
    """FBGEMM, which multiplies PyTorch's bytes, heeds none of the variables that limit the rest: it is told by a call."""
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        library._ZN6fbgemm14fbgemmForceIsaENS_10inst_set_tE(1)  # fbgemmForceIsa(inst_set_t::avx2)


class Inference:
    def __init__(self, args):
        self.args = args
        model = timm_model(args.base).eval()
        if args.weights == "bf16":
            model = model.to(torch.bfloat16)
        elif args.weights == "int8":
            from torch.ao.quantization import quantize_dynamic

            limit_fbgemm()
            torch.backends.quantized.engine = args.quantized
            model = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8, inplace=True)
        self.call = compiled(model, args.mode)
        self.dtype = torch.bfloat16 if args.weights == "bf16" else torch.float32

    def __call__(self, images: np.ndarray) -> np.ndarray:
        guard = torch.inference_mode() if self.args.mode == "eager" else torch.no_grad()
        with guard, autocast(self.args):
            return self.call(torch.from_numpy(images).to(self.dtype)).float().numpy()


class Training:
    def __init__(self, args):
        self.args = args
        if args.lora == "peft":
            model = peft_model(args.base)
        else:
            model = timm_model(args.base)
            for block in model.blocks:
                block.attn.qkv = LoRAQKV(block.attn.qkv)
            model.head = nn.Linear(model.num_features, LABELS)
        if args.weights == "bf16":
            for p in model.parameters():  # the frozen ones: what is trained stays float32
                p.data = p.data if p.requires_grad else p.data.to(torch.bfloat16)
        self.model = model.train()
        self.restart()
        self.call = compiled(model, args.mode)

    def restart(self) -> None:
        """The start that cmd/melo/cmd_bench_rounds.go has, too: A and the head by the formula, B zero."""
        seed = 2
        for name, p in self.model.named_parameters():
            if not p.requires_grad:
                continue
            with torch.no_grad():
                if re.search(r"lora_A|\.a_[qv]\.|(classifier|head)\b.*weight", name):
                    p.copy_(torch.from_numpy(formula(seed, 0, *p.shape)) / p.shape[1] ** 0.5)
                    seed += 1
                else:
                    p.zero_()
        self.optimiser = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-3)

    def __call__(self, images: np.ndarray) -> float:
        labels = torch.arange(len(images)) % LABELS
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(self.args):
            logits = self.call(torch.from_numpy(images))
        logits = logits if isinstance(logits, torch.Tensor) else logits.logits
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()


class TorchPeer(Peer):
    def __init__(self, args):
        if args.weights == "bf16" or args.autocast:
            need_bf16()
        torch.set_num_threads(args.threads)
        if args.freezing:
            import torch._inductor.config as inductor

            inductor.freezing = True
        self.args, self.work = args, {}

    def prepare(self, work: str, batch: int) -> None:
        if work == "step" and self.args.weights == "int8":
            raise Unsupported("its int8 layers have no gradient")
        if work not in self.work:
            self.work[work] = {"forward": Inference, "step": Training}[work](self.args)

    def forward(self, images: np.ndarray) -> np.ndarray:
        return self.work["forward"](images)

    def step(self, images: np.ndarray) -> float:
        return self.work["step"](images)

    def restart(self) -> None:
        self.work["step"].restart()


def autocast(args):
    return torch.autocast("cpu", dtype=torch.bfloat16) if args.autocast else contextlib.nullcontext()


def compiled(model: nn.Module, mode: str):
    return model if mode == "eager" else torch.compile(model, dynamic=False)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--weights", choices=("f32", "bf16", "int8"), default="f32", help="int8: dynamic quantisation")
    parser.add_argument("--quantized", choices=("x86", "onednn"), default="x86", help="library of the products of bytes; x86: PyTorch chooses")
    parser.add_argument("--autocast", action="store_true", help="to bf16")
    parser.add_argument("--lora", choices=("peft", "plain"), default="peft", help="peft on transformers' ViT, or by hand on timm's")
    parser.add_argument("--freezing", action="store_true", help="inductor folds and packs weights (inference, compile)")
    parser.add_argument("--base", type=Path, required=True, help="timm folder")
    return parser.parse_args()


if __name__ == "__main__":
    serve(lambda args=options(): TorchPeer(args))
