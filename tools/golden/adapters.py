"""Adapters as other software writes them, trained for a few steps, with the logits they give.

`adapters/loravit*` follow the file format of LoRA-ViT (facts only, own code):
`w_a_NNN` [r,d] and `w_b_NNN` [d,r], even = q and odd = v, counted over the wrapped blocks;
`fc_{in}in_{out}out` [out,in]; neither bias nor alpha nor metadata; scale alpha // r.
`adapters/peft_*` are written by PEFT itself.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import timm
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from common import Hooked, generator, randn, store
from kinds import timm_sites
from patterns import patterns

GOLDEN = Path(__file__).resolve().parents[2] / "testdata" / "golden"
RANK, CLASSES, STEPS = 4, 3, 5


def data(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    x = randn(kind, "x", shape=(4, 3, 16, 16)).double()
    return x, torch.randint(0, CLASSES, (4,), generator=generator(kind, "y"))


def train(params, forward, kind: str) -> None:
    x, y = data(kind)
    opt = torch.optim.Adam(params, lr=2e-2)
    for _ in range(STEPS):
        opt.zero_grad()
        nn.functional.cross_entropy(forward(x), y).backward()
        opt.step()


def timm_base(classes: int) -> nn.Module:
    model = timm.create_model(f"local-dir:{GOLDEN / 'timm_vit'}", pretrained=True).eval().double()
    if classes:
        model.reset_classifier(classes)
        model.head.double()
    return model.requires_grad_(False)


# --- LoRA-ViT ---------------------------------------------------------------------------------


def loravit_sites(model: nn.Module, blocks: list[int]) -> dict[str, object]:
    """Keys of the file -> site, in the file's order."""
    out = {}
    for n, k in enumerate(blocks):
        sites = timm_sites(model.blocks)(k)
        out[f"{2 * n:03d}"], out[f"{2 * n + 1:03d}"] = sites["q"], sites["v"]
    return out


def loravit_logits(model, tensors: dict[str, torch.Tensor], blocks: list[int], scale: int, x) -> torch.Tensor:
    """Logits with the head's bias zero, since the format does not hold it."""
    sites = loravit_sites(model, blocks)
    ab = {f"{i}.A": tensors[f"w_a_{i}"].double() for i in sites}
    ab |= {f"{i}.B": tensors[f"w_b_{i}"].double() for i in sites}
    fc = next(v for k, v in tensors.items() if k.startswith("fc_")).double()
    with Hooked(sites, ab, scale), torch.no_grad():
        return model.forward_head(model.forward_features(x), pre_logits=True) @ fc.T


def loravit(folder: Path, blocks: list[int]) -> None:
    kind = folder.name
    model = timm_base(CLASSES)
    model.head.requires_grad_(True)
    sites, ab = loravit_sites(model, blocks), {}
    for i, site in sites.items():
        ab[f"{i}.A"] = randn(kind, i, shape=(RANK, site.d_in), std=site.d_in**-0.5).double().requires_grad_()
        ab[f"{i}.B"] = torch.zeros(site.d_out, RANK).double().requires_grad_()
    with Hooked(sites, ab, 1):
        train([*ab.values(), *model.head.parameters()], model, kind)
    tensors = {}
    for i in sites:
        tensors[f"w_a_{i}"] = ab[f"{i}.A"].detach().float().contiguous()
        tensors[f"w_b_{i}"] = ab[f"{i}.B"].detach().float().contiguous()
    tensors[f"fc_{model.head.in_features}in_{CLASSES}out"] = model.head.weight.detach().float().contiguous()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter.safetensors")
    x = data(kind)[0][:2]
    golden = {"input": x}
    for alpha in (2, 4, 6, 8):  # alpha // 4 = 0, 1, 1, 2
        golden[f"logits.alpha{alpha}"] = loravit_logits(model, tensors, blocks, alpha // RANK, x)
    store(folder / "golden.safetensors", golden,
          {"base": "timm_vit", "notes": f"blocks {blocks}; head bias zero; scale alpha // 4"})


# --- PEFT -------------------------------------------------------------------------------------


def hf_base() -> nn.Module:
    torch.manual_seed(3)
    model = hf.ViTForImageClassification.from_pretrained(
        GOLDEN / "hf_vit", num_labels=CLASSES, ignore_mismatched_sizes=True)
    return model.eval().double()


def logits_of(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    out = model(x)
    return out if isinstance(out, torch.Tensor) else out.logits


def peft(folder: Path, base, base_name: str, config: LoraConfig) -> None:
    """Trains, saves with PEFT, loads again with PEFT in float64, and stores those logits."""
    kind = folder.name
    model = get_peft_model(base(), config).double().eval()
    seed_lora(model, kind)
    train([p for p in model.parameters() if p.requires_grad], lambda x: logits_of(model, x), kind)
    model.float().save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    tidy(folder)
    again = PeftModel.from_pretrained(base(), folder).double().eval()
    x = data(kind)[0][:2]
    with torch.no_grad():
        golden = {"input": x, "logits": logits_of(again, x)}
    if min(p.abs().max() for n, p in again.named_parameters() if "lora_B" in n) < 1e-3:
        raise ValueError(f"{kind}: an adapter did not train")
    store(folder / "golden.safetensors", golden, {"base": base_name})


def seed_lora(model: nn.Module, kind: str) -> None:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_A" in name:
                p.copy_(randn(kind, name, shape=p.shape, std=p.shape[-1] ** -0.5))
            elif p.requires_grad and "lora_" not in name:
                p.copy_(randn(kind, name, shape=p.shape, std=0.2))


def tidy(folder: Path) -> None:
    """PEFT writes lists that were sets in any order; sort them, so that runs agree."""
    path = folder / "adapter_config.json"
    doc = json.loads(path.read_text())
    for key in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(doc.get(key), list):
            doc[key] = sorted(doc[key])
    doc["base_model_name_or_path"] = None
    path.write_text(json.dumps(doc, indent=2, sort_keys=True) + "\n")


def qv_config() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["q_proj", "v_proj"],
                      modules_to_save=["classifier"])


def wide_config() -> LoraConfig:
    return LoraConfig(
        r=4, lora_alpha=6, use_rslora=True,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
        rank_pattern={"fc1": 3, "layers.1.attention.q_proj": 8}, alpha_pattern={"o_proj": 12, "fc2": 2},
        modules_to_save=["classifier"])


# Module names of transformers 5 -> 4, in the order in which they apply.
RENAMES = (
    (".attention.q_proj", ".attention.attention.query"), (".attention.k_proj", ".attention.attention.key"),
    (".attention.v_proj", ".attention.attention.value"), (".attention.o_proj", ".attention.output.dense"),
    (".mlp.fc1", ".intermediate.dense"), (".mlp.fc2", ".output.dense"), ("vit.layers.", "vit.encoder.layer."),
)
TARGETS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "attention.output.dense",
           "fc1": "intermediate.dense", "fc2": "output.dense"}


def generation4(folder: Path) -> None:
    """The same adapter under the names that PEFT wrote with transformers 4."""
    source = folder.with_name(folder.name.removesuffix("_gen4"))
    folder.mkdir(parents=True)
    tensors = {}
    for name, t in load_file(source / "adapter_model.safetensors").items():
        for new, old in RENAMES:
            name = name.replace(new, old)
        tensors[name] = t
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    doc = json.loads((source / "adapter_config.json").read_text())
    doc["target_modules"] = sorted({TARGETS[t] for t in doc["target_modules"]})
    for key in ("rank_pattern", "alpha_pattern"):
        doc[key] = {old_pattern(k): v for k, v in doc[key].items()}
    (folder / "adapter_config.json").write_text(json.dumps(doc, indent=2, sort_keys=True) + "\n")
    shutil.copy(source / "golden.safetensors", folder)


def old_pattern(key: str) -> str:
    """fc2 must not become the bare "output.dense", which "attention.output.dense" ends with, too."""
    if key in TARGETS:
        return r"layer\.\d+\.output.dense" if key == "fc2" else TARGETS[key]
    for new, old in RENAMES:
        key = key.replace(new, old)
    return key.replace("layers.", "layer.")


def timm_config() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=8, target_modules=["attn.qkv"], modules_to_save=["head"])


def dora_config(**kw) -> LoraConfig:
    """Rows of new lengths, also of a convolution's."""
    return LoraConfig(r=3, lora_alpha=5, use_dora=True, **kw)


def bias_config() -> LoraConfig:
    return LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "fc1"], bias="all", modules_to_save=["classifier", "layernorm_after"])


def lora_bias_config() -> LoraConfig:
    return LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules=["projection", "v_proj", "fc2"], lora_bias=True, modules_to_save=["classifier"])


def job(fn, *args):
    return lambda folder: fn(folder, *args)


JOBS = {
    "adapters/loravit": job(loravit, [0, 1, 2]),
    "adapters/loravit_subset": job(loravit, [1, 2]),
    "adapters/peft_qv": lambda d: peft(d, hf_base, "hf_vit", qv_config()),
    "adapters/peft_qv_gen4": generation4,
    "adapters/peft_wide": lambda d: peft(d, hf_base, "hf_vit", wide_config()),
    "adapters/peft_wide_gen4": generation4,
    "adapters/peft_dora": lambda d: peft(d, hf_base, "hf_vit", dora_config(
        target_modules=["projection", "k_proj", "fc2"], modules_to_save=["classifier"])),
    "adapters/peft_bias": lambda d: peft(d, hf_base, "hf_vit", bias_config()),
    "adapters/peft_lora_bias": lambda d: peft(d, hf_base, "hf_vit", lora_bias_config()),
    "adapters/peft_timm_dora": lambda d: peft(d, lambda: timm_base(CLASSES), "timm_vit", dora_config(
        target_modules=["qkv", "patch_embed.proj"], modules_to_save=["head", "norm"])),
    "peft_patterns": patterns,
    "adapters/peft_timm": lambda d: peft(d, lambda: timm_base(CLASSES), "timm_vit", timm_config()),
}
