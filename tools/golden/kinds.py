"""The tiny models: one builder per kind, each small enough to commit."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
import transformers as hf
from timm.models import _hub as timm_hub
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import nn

from common import Site, Spec, randomise

LABELS = 5


# --- Hugging Face -----------------------------------------------------------------------------


def hf_write(model: nn.Module, folder: Path) -> None:
    model.save_pretrained(folder)


def hf_reload(model: nn.Module):
    return lambda folder: type(model).from_pretrained(folder)


def hf_sites(layers):
    """Module names of transformers 5; files keep the classic names."""

    def sites(k: int) -> dict[str, Site]:
        at, mlp = layers[k].attention, getattr(layers[k], "mlp", None)
        out = {"q": Site(at.q_proj), "k": Site(at.k_proj), "v": Site(at.v_proj), "proj": Site(at.o_proj)}
        if hasattr(mlp, "fc1"):
            out |= {"fc1": Site(mlp.fc1), "fc2": Site(mlp.fc2)}
        return out

    return sites


def hf_spec(kind: str, model: nn.Module, body: nn.Module, layers, image: int, notes: str, **more) -> Spec:
    randomise(model, kind)
    head = more.pop("head", None)
    pool = more.pop("pool", lambda norm: norm[:, 0])

    def finish(last, out):
        norm = body.layernorm(last)
        taps = {"norm": norm, "pooled": pool(norm)}
        if head is not None:
            taps["logits"] = out.logits
        return taps

    fields = dict(call=lambda m, x: m(pixel_values=x), write=hf_write, reload=hf_reload(model), head=head)
    fields |= more
    return Spec(
        kind=kind, model=model, image=image, notes=notes, finish=finish,
        patch=lambda m: body.embeddings.patch_embeddings,
        blocks=list(layers), sites=hf_sites(layers), **fields,
    )


def vit_config(**kw):
    base = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
                image_size=16, patch_size=4, num_labels=LABELS)
    return base | kw


def hf_vit(kind="hf_vit", sets=("lora", "loraall", "loralast")) -> Spec:
    m = hf.ViTForImageClassification(hf.ViTConfig(**vit_config(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, layer_norm_eps=1e-12)))
    return hf_spec(kind, m, m.vit, m.vit.layers, 16, "ViTForImageClassification; pooled = class token",
                   head=m.classifier, lora_sets=sets)


def hf_vit_resized() -> Spec:
    m = hf.ViTForImageClassification(hf.ViTConfig(**vit_config()))
    return hf_spec("hf_vit_resized", m, m.vit, m.vit.layers, 24,
                   "ViTForImageClassification called with interpolate_pos_encoding=True: checkpoint 16, input 24",
                   head=m.classifier, weight_grads=False, lora_sets=(),
                   call=lambda m, x: m(pixel_values=x, interpolate_pos_encoding=True))


def hf_vit_pooler() -> Spec:
    m = hf.ViTModel(hf.ViTConfig(**vit_config(layer_norm_eps=1e-12)))
    return hf_spec("hf_vit_pooler", m, m, m.layers, 16,
                   "ViTModel with its pooler in the file (as in ImageNet-21k checkpoints), which pooled does not use; no head")


def dino() -> Spec:
    m = hf.ViTModel(hf.ViTConfig(**vit_config(layer_norm_eps=1e-12)), add_pooling_layer=False)
    return hf_spec("dino", m, m, m.layers, 16, "ViTModel without pooler, as DINO checkpoints; no head")


def deit() -> Spec:
    m = hf.DeiTForImageClassification(hf.DeiTConfig(**vit_config()))
    return hf_spec("deit", m, m.deit, m.deit.layers, 16,
                   "DeiTForImageClassification: class and distillation tokens; logits from the class token",
                   head=m.classifier)


def deit_teacher() -> Spec:
    m = hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**vit_config()))
    return hf_spec("deit_teacher", m, m.deit, m.deit.layers, 16,
                   "DeiTForImageClassificationWithTeacher: two heads, logits are their mean; pooled = class token",
                   head=m.cls_classifier)


def mae() -> Spec:
    cfg = hf.ViTMAEConfig(**vit_config(
        decoder_num_attention_heads=2, decoder_hidden_size=16, decoder_num_hidden_layers=1,
        decoder_intermediate_size=32))
    m = hf.ViTMAEForPreTraining(cfg)
    # A mask ratio of 0 keeps all patches, and increasing noise keeps their order.
    n = (cfg.image_size // cfg.patch_size) ** 2

    def call(m, x):
        m.vit.config.mask_ratio = 0.0
        noise = torch.arange(n, dtype=x.dtype).expand(len(x), n)
        try:
            return m.vit(pixel_values=x, noise=noise)
        finally:
            m.vit.config.mask_ratio = 0.75

    return hf_spec("mae", m, m.vit, m.vit.layers, 16,
                   "ViTMAEForPreTraining (decoder in the file, unused); encoder taps without masking; no head", call=call)


def dinov2_config(**kw):
    base = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, mlp_ratio=2,
                image_size=16, patch_size=4)
    return base | kw


def dinov2() -> Spec:
    m = hf.Dinov2Model(hf.Dinov2Config(**dinov2_config(image_size=28, patch_size=14)))
    return hf_spec("dinov2", m, m, m.encoder.layer, 28, "Dinov2Model: LayerScale; no head")


def dinov2_resized() -> Spec:
    m = hf.Dinov2Model(hf.Dinov2Config(**dinov2_config(image_size=20)))
    return hf_spec("dinov2_resized", m, m, m.encoder.layer, 16,
                   "Dinov2Model: checkpoint 20 (grid 5), input 16 (grid 4)", weight_grads=False, lora_sets=())


def dinov2_head() -> Spec:
    m = hf.Dinov2ForImageClassification(hf.Dinov2Config(**dinov2_config(num_labels=LABELS)))
    return hf_spec("dinov2_head", m, m.dinov2, m.dinov2.encoder.layer, 16,
                   "Dinov2ForImageClassification: pooled = class token beside the mean of the patch tokens [2d]",
                   head=m.classifier,
                   pool=lambda n: torch.cat([n[:, 0], n[:, 1:].mean(1)], dim=1))


def dinov2_reg(kind="dinov2_reg", image=16, **more) -> Spec:
    m = hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**dinov2_config(
        mlp_ratio=3, num_register_tokens=4, use_swiglu_ffn=True)))
    return hf_spec(kind, m, m, m.encoder.layer, image,
                   "Dinov2WithRegistersModel: SwiGLU, 4 registers; no head", **more)


def dinov2_reg_resized() -> Spec:
    s = dinov2_reg("dinov2_reg_resized", 24, weight_grads=False, lora_sets=())
    s.notes += "; checkpoint 16 (grid 4), input 24 (grid 6)"
    return s


def clip_layers_spec(kind: str, model: nn.Module, body: nn.Module, notes: str, project) -> Spec:
    randomise(model, kind)
    layers = body.encoder.layers

    def sites(k: int) -> dict[str, Site]:
        at, mlp = layers[k].self_attn, layers[k].mlp
        return {"q": Site(at.q_proj), "k": Site(at.k_proj), "v": Site(at.v_proj),
                "proj": Site(at.out_proj), "fc1": Site(mlp.fc1), "fc2": Site(mlp.fc2)}

    def finish(last, out):
        norm = body.post_layernorm(last)
        taps = {"norm": norm, "pooled": norm[:, 0]}
        if project:
            taps["projected"] = out.image_embeds
        return taps

    return Spec(kind=kind, model=model, image=model.config.image_size, notes=notes, finish=finish,
                patch=lambda m: body.embeddings.patch_embedding, blocks=list(layers), sites=sites,
                call=lambda m, x: m(pixel_values=x), write=hf_write, reload=hf_reload(model))


def clip_config(**kw):
    return hf.CLIPVisionConfig(**dict(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        image_size=16, patch_size=4, projection_dim=16) | kw)


def clip_vision() -> Spec:
    m = hf.CLIPVisionModelWithProjection(clip_config(image_size=32, patch_size=16))
    return clip_layers_spec("clip_vision", m, m.vision_model,
                            "CLIPVisionModelWithProjection: quick GELU, pre-norm; pooled = class token after "
                            "post_layernorm, tap.projected = image_embeds", True)


def clip_vision_bare() -> Spec:
    m = hf.CLIPVisionModel(clip_config())
    return clip_layers_spec("clip_vision_bare", m, getattr(m, "vision_model", m),
                            "CLIPVisionModel: the file has no vision_model prefix and no projection", False)


# --- timm -------------------------------------------------------------------------------------


def timm_write(args: dict):
    def write(model: nn.Module, folder: Path) -> None:
        timm_hub.save_for_hf(model, folder, model_args=args, safe_serialization=True)

    return write


def timm_reload(**override):
    return lambda folder: timm.create_model(f"local-dir:{folder}", pretrained=True, **override)


def timm_sites(blocks):
    def sites(k: int) -> dict[str, Site]:
        at, mlp, d = blocks[k].attn, blocks[k].mlp, blocks[k].attn.qkv.in_features
        out = {"q": Site(at.qkv, slice(0, d)), "k": Site(at.qkv, slice(d, 2 * d)),
               "v": Site(at.qkv, slice(2 * d, 3 * d)), "proj": Site(at.proj)}
        return out | {"fc1": Site(mlp.fc1), "fc2": Site(mlp.fc2)}

    return sites


def timm_spec(kind: str, arch: str, args: dict, notes: str, labels=LABELS, **more) -> Spec:
    args = dict(embed_dim=24, depth=2, num_heads=3, img_size=16, patch_size=4, mlp_ratio=2) | args
    m = timm.create_model(arch, pretrained=False, num_classes=labels, **args)
    randomise(m, kind)

    def finish(last, out):
        norm = m.norm(last)
        taps = {"pooled": m.forward_head(norm, pre_logits=True)}
        if not isinstance(m.norm, nn.Identity):
            taps["norm"] = norm
        if labels:
            taps["logits"] = out
        return taps

    fields = dict(image=args["img_size"], head=m.head if labels else None, reload=timm_reload()) | more
    return Spec(kind=kind, model=m, notes=f"timm {arch}: {notes}", finish=finish,
                patch=lambda m: m.patch_embed, blocks=list(m.blocks), sites=timm_sites(m.blocks),
                call=lambda m, x: m(x), write=timm_write(args), **fields)


def timm_vit() -> Spec:
    return timm_spec("timm_vit", "vit_base_patch16_224", dict(embed_dim=32, num_heads=2, depth=3),
                     "fused qkv; pooled = class token", lora_sets=("lora", "loraall"))


def timm_vit_meanpool() -> Spec:
    return timm_spec("timm_vit_meanpool", "vit_base_patch16_224", dict(global_pool="avg"),
                     "pooled = fc_norm(mean of patch tokens); no tap.norm")


def timm_vit_resized() -> Spec:
    """A checkpoint of size 16 that timm itself loads into a model of size 24."""
    arch = "vit_base_patch16_224"
    small = timm_spec("timm_vit_resized", arch, {}, "")
    large = timm_spec("timm_vit_resized", arch, dict(img_size=24),
                      "checkpoint 16, input 24 (resample_abs_pos_embed)", weight_grads=False, lora_sets=())
    large.model.load_state_dict(checkpoint_filter_fn(dict(small.model.state_dict()), large.model))
    large.write = lambda model, folder: small.write(small.model, folder)
    large.reload = timm_reload(img_size=24)
    return large


def timm_deit_distilled() -> Spec:
    return timm_spec("timm_deit_distilled", "deit_base_distilled_patch16_224", {},
                     "two tokens, two heads, logits are their mean; pooled = mean of the two tokens")


def timm_dinov2() -> Spec:
    return timm_spec("timm_dinov2", "vit_small_patch14_dinov2", {},
                     "LayerScale, position embedding with class token; no head", labels=0)


def timm_dinov2_reg() -> Spec:
    args = dict(mlp_ratio=2.66667 * 2)
    return timm_spec("timm_dinov2_reg", "vit_giant_patch14_reg4_dinov2", args,
                     "SwiGLUPacked, 4 registers, position embedding without class token; no head", labels=0)


def timm_clip() -> Spec:
    return timm_spec("timm_clip", "vit_base_patch16_clip_quickgelu_224", {},
                     "norm_pre, quick GELU, patch embedding without bias")


KINDS = {f.__name__: f for f in (
    hf_vit, timm_vit, timm_vit_meanpool, deit, deit_teacher, timm_deit_distilled, dino, hf_vit_pooler, mae,
    dinov2, dinov2_head, dinov2_reg, timm_dinov2, timm_dinov2_reg, clip_vision, clip_vision_bare, timm_clip,
    hf_vit_resized, timm_vit_resized, dinov2_resized, dinov2_reg_resized)}
