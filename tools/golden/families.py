"""Tiny models of the families whose blocks have more than a plain ViT's: DINOv3, SigLIP, EVA-02 and BEiT.

Sides are odd where the family allows it, so that nothing depends on powers of two.
"""

from __future__ import annotations

import timm
import torch
import transformers as hf
from torch import nn

from common import Site, Spec, randomise
from kinds import LABELS, hf_reload, hf_write, timm_reload, timm_write


def separate(at) -> dict[str, Site]:
    """q, k and v of an attention that keeps them apart, or fused."""
    out = getattr(at, "o_proj", None) or getattr(at, "out_proj", None) or at.proj
    if getattr(at, "qkv", None) is None:
        return {"q": Site(at.q_proj), "k": Site(at.k_proj), "v": Site(at.v_proj), "proj": Site(out)}
    d = at.qkv.in_features
    # timm adds q_bias and v_bias through F.linear, past the module: hooks see nothing, so ask for the separate addition
    if hasattr(at, "qkv_bias_separate"):
        at.qkv_bias_separate = True
    return {k: Site(at.qkv, slice(i * d, (i + 1) * d)) for i, k in enumerate("qkv")} | {"proj": Site(out)}


def mlp_sites(mlp) -> dict[str, Site]:
    if hasattr(mlp, "gate_proj") or hasattr(mlp, "fc1_g"):
        return {"fc2": Site(mlp.down_proj if hasattr(mlp, "down_proj") else mlp.fc2)}  # gate and up are one site of ours
    if hasattr(mlp, "up_proj"):
        return {"fc1": Site(mlp.up_proj), "fc2": Site(mlp.down_proj)}
    return {"fc1": Site(mlp.fc1), "fc2": Site(mlp.fc2)}


def spec_of(kind, model, image, notes, *, patch, blocks, attn, finish, call, write, reload, head=None, extra=None, **more) -> Spec:
    randomise(model, kind)
    if extra:
        extra(model)

    def sites(k: int) -> dict[str, Site]:
        return separate(attn(blocks[k])) | mlp_sites(blocks[k].mlp)

    return Spec(kind=kind, model=model, image=image, notes=notes, finish=finish, patch=patch, blocks=list(blocks), sites=sites,
                call=call, write=write, reload=reload, head=head, **more)


# --- DINOv3 -----------------------------------------------------------------------------------


def dinov3(kind="dinov3", image=20, notes="", **kw) -> Spec:
    cfg = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=20, patch_size=4,
               num_register_tokens=3) | kw.pop("config", {})
    m = hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**cfg))
    return spec_of(kind, m, image, "DINOv3ViTModel: rotary positions, registers, no bias of k; no head" + notes,
                   patch=lambda m: m.embeddings.patch_embeddings, blocks=m.model.layer, attn=lambda b: b.attention,
                   finish=lambda last, out: {"norm": m.norm(last), "pooled": m.norm(last)[:, 0]},
                   call=lambda m, x: m(pixel_values=x), write=hf_write, reload=hf_reload(m), **kw)


def dinov3_gated() -> Spec:
    return dinov3("dinov3_gated", 12, "; gated MLP", lora_sets=("lora",),
                  config=dict(use_gated_mlp=True, hidden_act="silu", image_size=12, num_register_tokens=4))


def dinov3_resized() -> Spec:
    return dinov3("dinov3_resized", 28, "; configured for 20, input 28", lora_sets=(), weight_grads=False)


def timm_eva(kind, arch, args, notes, labels=0, image=None, **more) -> Spec:
    args = dict(embed_dim=24, depth=2, num_heads=3, img_size=20, patch_size=4) | args
    m = timm.create_model(arch, pretrained=False, num_classes=labels, **args)

    def finish(last, out):
        norm = m.norm(last)
        taps = {"pooled": m.forward_head(norm, pre_logits=True)}
        if not isinstance(m.norm, nn.Identity):
            taps["norm"] = norm
        if labels:
            taps["logits"] = out
        return taps

    return spec_of(kind, m, image or args["img_size"], f"timm {arch}: {notes}", patch=lambda m: m.patch_embed.proj, blocks=m.blocks,
                   attn=lambda b: b.attn, finish=finish, call=lambda m, x: m(x), write=timm_write(args), reload=timm_reload(),
                   head=m.head if labels else None, **more)


def timm_dinov3() -> Spec:
    return timm_eva("timm_dinov3", "vit_small_patch16_dinov3_qkvb", {}, "4 registers, q and v have biases; mean of patches", LABELS,
                    lora_sets=("lora", "loraall"))


def timm_dinov3_plus() -> Spec:
    return timm_eva("timm_dinov3_plus", "vit_small_plus_patch16_dinov3", dict(img_size=12, global_pool="token", mlp_ratio=2),
                    "gated MLP of separate maps, no biases of q, k and v; pooled = class token")


# --- EVA-02 -----------------------------------------------------------------------------------


def timm_eva02_small() -> Spec:
    return timm_eva("timm_eva02_small", "eva02_small_patch14_224", dict(img_size=12, ref_feat_shape=5, mlp_ratio=2),
                    "rotary positions of a reference grid, fused qkv, packed gate; fc_norm(mean of patches)", LABELS)


def timm_eva02_base() -> Spec:
    return timm_eva("timm_eva02_base", "eva02_base_patch14_224", dict(ref_feat_shape=3, mlp_ratio=1.75),
                    "q, k and v apart, norm inside the gated MLP; fc_norm(mean of patches)", LABELS)


def timm_eva02_clip() -> Spec:
    return timm_eva("timm_eva02_clip", "eva02_base_patch16_clip_224", dict(ref_feat_shape=5),
                    "norms inside attention and MLP; pooled = class token")


# --- SigLIP -----------------------------------------------------------------------------------


def siglip(kind="siglip", image=15, notes="", **kw) -> Spec:
    m = hf.SiglipVisionModel(hf.SiglipVisionConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                                                   image_size=15, patch_size=5))
    body = getattr(m, "vision_model", m)
    call = kw.pop("call", lambda m, x: m(pixel_values=x))
    return spec_of(kind, m, image, "SiglipVisionModel: attention pooling, no class token; no head" + notes,
                   patch=lambda m: body.embeddings.patch_embedding, blocks=body.encoder.layers, attn=lambda b: b.self_attn,
                   finish=lambda last, out: {"norm": body.post_layernorm(last), "pooled": out.pooler_output},
                   call=call, write=hf_write, reload=hf_reload(m), **kw)


def siglip_resized() -> Spec:
    return siglip("siglip_resized", 25, "; configured for 15, input 25", lora_sets=(), weight_grads=False,
                  call=lambda m, x: m(pixel_values=x, interpolate_pos_encoding=True))


def siglip_class() -> Spec:
    cfg = hf.SiglipConfig(
        text_config=dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=8, projection_size=8),
        vision_config=dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=15, patch_size=5))
    cfg.num_labels = LABELS
    m = hf.SiglipForImageClassification(cfg)
    body = m.vision_model
    return spec_of("siglip_class", m, 15, "SiglipForImageClassification: logits of the mean of all patches after the norm",
                   patch=lambda m: body.embeddings.patch_embedding, blocks=body.encoder.layers, attn=lambda b: b.self_attn,
                   finish=lambda last, out: {"norm": body.post_layernorm(last), "pooled": body.post_layernorm(last).mean(1), "logits": out.logits},
                   call=lambda m, x: m(pixel_values=x), write=hf_write, reload=hf_reload(m), head=m.classifier)


def timm_siglip() -> Spec:
    args = dict(embed_dim=24, depth=2, num_heads=3, img_size=15, patch_size=5, mlp_ratio=2)
    m = timm.create_model("vit_base_patch16_siglip_224", pretrained=False, num_classes=LABELS, **args)

    def finish(last, out):
        norm = m.norm(last)
        return {"norm": norm, "pooled": m.forward_head(norm, pre_logits=True), "logits": out}

    return spec_of("timm_siglip", m, 15, "timm vit_base_patch16_siglip_224: attention pooling", patch=lambda m: m.patch_embed,
                   blocks=m.blocks, attn=lambda b: b.attn, finish=finish, call=lambda m, x: m(x), write=timm_write(args),
                   reload=timm_reload(), head=m.head)


# --- BEiT -------------------------------------------------------------------------------------


def beit(kind="beit", notes="", **kw) -> Spec:
    cfg = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=12, patch_size=4,
               use_relative_position_bias=True, use_mask_token=True, num_labels=LABELS) | kw
    m = hf.BeitForImageClassification(hf.BeitConfig(**cfg))
    body = m.beit

    def finish(last, out):
        pooled = body.pooler(body.layernorm(last))
        return {"pooled": pooled, "logits": out.logits}

    return spec_of(kind, m, 12, "BeitForImageClassification: relative positions, LayerScale; norm of the mean of patches" + notes,
                   patch=lambda m: body.embeddings.patch_embeddings, blocks=body.layers, attn=lambda b: b.attention,
                   finish=finish, call=lambda m, x: m(pixel_values=x), write=hf_write, reload=hf_reload(m), head=m.classifier)


def beit_shared() -> Spec:
    return beit("beit_shared", "; one table for all blocks, learned positions, class token", use_relative_position_bias=False,
                use_shared_relative_position_bias=True, use_absolute_position_embeddings=True, use_mean_pooling=False,
                layer_scale_init_value=0.0)


def data2vec() -> Spec:
    m = hf.Data2VecVisionForImageClassification(hf.Data2VecVisionConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=12, patch_size=4,
        use_relative_position_bias=True, num_labels=LABELS))
    body = m.data2vec_vision
    randomise(m, "data2vec")

    def sites(k):
        b = body.encoder.layer[k]
        at = b.attention.attention
        return {"q": Site(at.query), "k": Site(at.key), "v": Site(at.value), "proj": Site(b.attention.output.dense),
                "fc1": Site(b.intermediate.dense), "fc2": Site(b.output.dense)}

    return Spec(kind="data2vec", model=m, image=12, notes="Data2VecVisionForImageClassification", sites=sites,
                finish=lambda last, out: {"pooled": body.pooler(last), "logits": out.logits},
                patch=lambda m: body.embeddings.patch_embeddings.projection, blocks=list(body.encoder.layer), call=lambda m, x: m(pixel_values=x),
                write=hf_write, reload=hf_reload(m), head=m.classifier)


def timm_beit() -> Spec:
    return timm_eva("timm_beit", "beit_base_patch16_224", dict(img_size=12, mlp_ratio=2, init_values=0.1),
                    "relative positions in each block; fc_norm(mean of patches)", LABELS)


FAMILIES = {f.__name__: f for f in (
    dinov3, dinov3_gated, dinov3_resized, timm_dinov3, timm_dinov3_plus, timm_eva02_small, timm_eva02_base, timm_eva02_clip,
    siglip, siglip_resized, siglip_class, timm_siglip, beit, beit_shared, data2vec, timm_beit)}
