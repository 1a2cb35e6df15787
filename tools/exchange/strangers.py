"""Attacks what melo makes of bases as a stranger's: models of the real packages with unusual but legal settings, drawn at
random, in the files that people hold, from an image file of odd size to features or logits. Equal, or refused by name.

    go build -o melo ./cmd/melo
    python tools/exchange/strangers.py ./melo FOLDER [--seed N] [--rounds N] [--odd SHARE] [NAME...]

A line a case: what was drawn, and the largest difference relative to the largest number, or why it was refused. What differs
fails; so does a refusal that does not name what it refuses. Refusals are listed, so that a person may judge them.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import open_clip
import timm
import timm.data
import torch
import torchvision
import transformers as tf
from PIL import Image
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
tf.utils.logging.set_verbosity_error()
tf.utils.logging.disable_progress_bar()
CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def shake(model, seed=0):
    """Every parameter, and every buffer of statistics, far from its initial value."""
    g = torch.Generator().manual_seed(seed)
    norms = {f"{n}.weight" for n, m in model.named_modules() if "norm" in type(m).__name__.lower()}
    with torch.no_grad():
        for n, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if n in norms:
                p.copy_(1 + 0.2 * r)
            elif p.ndim >= 2 and "pos" not in n and "token" not in n:
                p.copy_(r / p[0].numel() ** 0.5)
            else:
                p.copy_(0.3 * r)
    return model.eval()


class Draw:
    """What is drawn for a case: a few of the unusual settings, the rest usual."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.told = {}

    odd = 1.0  # how often the unusual is drawn, relative to what the cases say

    def one(self, name, usual, *others, p=0.3):
        v = self.r.choice(others) if self.r.random() < p * self.odd else usual
        if v != usual:
            self.told[name] = v
        return v

    def some(self, p=0.25, **options):
        """Settings that are left out, or given one of the values."""
        out = {}
        for k, values in options.items():
            if self.r.random() < p * self.odd:
                out[k] = self.r.choice(values)
                self.told[k] = out[k]
        return out


square = lambda n: {"height": n, "width": n} if isinstance(n, int) else {"height": n[0], "width": n[1]}
ACTS = ["gelu_new", "quick_gelu", "relu", "silu", "gelu_pytorch_tanh", "gelu_fast", "swish"]


def labels(d):
    n = d.one("num_labels", 3, 1, 2, 7)
    kw = {"num_labels": n}
    if d.one("named", True, False):
        names = [f"finding {chr(97 + i)}" for i in range(n)]
        order = list(range(n))
        d.r.shuffle(order)
        kw = {"id2label": {i: names[i] for i in order}, "label2id": {names[i]: i for i in order}}
    problem = d.one("problem_type", None, "multi_label_classification", "single_label_classification", "regression")
    if problem:
        kw["problem_type"] = problem
    return kw


def processors(d, side):
    """An image processor that gives images of the side, with odd settings."""
    odd = d.some(p=0.15, resample=[0, 2, 3], do_normalize=[False], rescale_factor=[1 / 127.5, 1 / 128], do_convert_rgb=[True, None],
                 image_mean=[[0.1, 0.2, 0.3]], image_std=[[0.5, 0.4, 0.3]])
    if isinstance(side, tuple):
        return tf.ViTImageProcessor(size=square(side), **odd)
    kinds = {
        "ViT": lambda: tf.ViTImageProcessor(size=square(side), **odd),
        "DeiT": lambda: tf.DeiTImageProcessor(size=square(side + d.r.choice([0, 5, 32])), crop_size=square(side), **odd),
        "Bit": lambda: tf.BitImageProcessor(size={"shortest_edge": side + d.r.choice([0, 1, 7])}, crop_size=square(side), **odd),
        "CLIP": lambda: tf.CLIPImageProcessor(size={"shortest_edge": side + d.r.choice([0, 3])}, crop_size=square(side), **odd),
        "CLIPsmall": lambda: tf.CLIPImageProcessor(size={"shortest_edge": side - 5}, crop_size=square(side), **odd),
        "Siglip": lambda: tf.SiglipImageProcessor(size=square(side), **odd),
        "Beit": lambda: tf.BeitImageProcessor(size=square(side + 3), crop_size=square(side), do_center_crop=True, **odd),
        "ConvNext": lambda: tf.ConvNextImageProcessor(size={"shortest_edge": side}, crop_pct=d.r.choice([0.875, 0.9]), **odd),
        "Pvt": lambda: tf.PvtImageProcessor(size=square(side), **odd),
        "EfficientNet": lambda: tf.EfficientNetImageProcessor(size=square(side), **odd),
        "MobileViT": lambda: tf.MobileViTImageProcessor(size={"shortest_edge": side + 4}, crop_size=square(side)),
        "Levit": lambda: tf.LevitImageProcessor(size={"shortest_edge": side}, crop_size=square(side), **odd),
        "Perceiver": lambda: tf.PerceiverImageProcessor(size=square(side), crop_size=square(side), **odd),
        "DINOv3": lambda: tf.DINOv3ViTImageProcessor(size=square(side), **odd),
        "Flava": lambda: tf.FlavaImageProcessor(size=square(side), crop_size=square(side), **odd),
    }
    kind = d.r.choice(list(kinds) if d.r.random() < d.odd else ["ViT", "DeiT", "Bit", "CLIP", "CLIPsmall", "Siglip", "Beit", "DINOv3"])
    d.told["processor"] = kind
    return kinds[kind]()


def save_as(d, folder, model, extra=None):
    """The folder of save_pretrained, in one of the types and files that are handed out."""
    dtype = d.one("dtype", None, torch.float16, torch.bfloat16, p=0.2)
    if dtype:
        model = model.to(dtype)
    model.save_pretrained(folder, **(extra or {}))
    form = d.one("file", "safetensors", "bin", "shards", p=0.25)
    if form == "shards":
        shutil.rmtree(folder)
        model.save_pretrained(folder, max_shard_size="60KB")
    if form == "bin":
        sd = load_file(folder / "model.safetensors")
        torch.save(sd, folder / "pytorch_model.bin", _use_new_zipfile_serialization=d.r.random() < 0.5)
        (folder / "model.safetensors").unlink()


def hf_case(d, folder, images, cls, config, pick, side, head=False, processor=None, pick_from=None):
    model = shake(cls(config))
    save_as(d, folder, model)
    (processor or processors(d, side)).save_pretrained(folder)
    again = cls.from_pretrained(folder, dtype=torch.float32).eval()
    p = tf.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        x = [p(im, return_tensors="pt")["pixel_values"].float() for im in images]
        return torch.cat([pick_from(again, i) if pick_from else pick(again(i)) for i in x]).numpy() if config.problem_type != "regression" else None, head, []


def sizes(d):
    patch = d.one("patch_size", 8, 4, 16, 32, 7)
    side = patch * d.r.choice([2, 3, 4])
    return dict(image_size=side, patch_size=patch), side


def vit_config(d, **more):
    s, side = sizes(d)
    kw = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=d.r.choice([2, 4, 6]), intermediate_size=96) | s
    kw |= d.some(hidden_act=ACTS, layer_norm_eps=[1e-5, 1e-6, 1e-3], qkv_bias=[False], hidden_dropout_prob=[0.5]) | more
    if d.one("square", True, False, p=0.08):
        return kw, side
    kw["image_size"] = (side, side + s["patch_size"])
    return kw, (side, side + s["patch_size"])


@case
def hf_vit_class(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    return hf_case(d, folder, images, tf.ViTForImageClassification, tf.ViTConfig(**kw, **d.some(encoder_stride=[4], pooler_act=["relu"], pooler_output_size=[20])), lambda o: o.logits, side, True)


@case
def hf_vit_pooler(d, folder, images):
    kw, side = vit_config(d)
    return hf_case(d, folder, images, tf.ViTModel, tf.ViTConfig(**kw), lambda o: o.last_hidden_state[:, 0], side)


@case
def hf_deit(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    cls = d.one("teacher", tf.DeiTForImageClassification, tf.DeiTForImageClassificationWithTeacher, p=0.5)
    return hf_case(d, folder, images, cls, tf.DeiTConfig(**kw), lambda o: o.logits, side, True)


@case
def hf_dinov2(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    kw.pop("intermediate_size"), kw.pop("encoder_stride", None)
    kw |= d.some(mlp_ratio=[2, 3], use_swiglu_ffn=[True], layerscale_value=[0.1], use_mask_token=[False], drop_path_rate=[0.5], apply_layernorm=[False], reshape_hidden_states=[False])
    if d.one("registers", False, True, p=0.4):
        return hf_case(d, folder, images, tf.Dinov2WithRegistersForImageClassification, tf.Dinov2WithRegistersConfig(**kw, **d.some(num_register_tokens=[1, 8])), lambda o: o.logits, side, True)
    return hf_case(d, folder, images, tf.Dinov2ForImageClassification, tf.Dinov2Config(**kw), lambda o: o.logits, side, True)


@case
def hf_clip(d, folder, images):
    s, side = sizes(d)
    v = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96) | s | d.some(
        hidden_act=ACTS, layer_norm_eps=[1e-6], projection_dim=[20], attention_dropout=[0.4])
    t = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50)
    which = d.one("class", "classification", "model", "vision", "projection", p=0.7)
    if which == "classification":
        return hf_case(d, folder, images, tf.CLIPForImageClassification, tf.CLIPConfig(vision_config=v, text_config=t, **labels(d)), lambda o: o.logits, side, True)
    if which == "vision":
        return hf_case(d, folder, images, tf.CLIPVisionModel, tf.CLIPVisionConfig(**v), lambda o: o.pooler_output, side)
    if which == "projection":
        return hf_case(d, folder, images, tf.CLIPVisionModelWithProjection, tf.CLIPVisionConfig(**v), lambda o: o.last_hidden_state[:, 0], side)[:0] or clip_projection(d, folder, images, v, side)
    m = shake(tf.CLIPModel(tf.CLIPConfig(vision_config=v, text_config=t, projection_dim=24)))
    save_as(d, folder, m)
    p = processors(d, side)
    p.save_pretrained(folder)
    again = tf.CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return torch.cat([again.vision_model(p(im, return_tensors="pt")["pixel_values"].float()).pooler_output for im in images]).numpy(), False, []


def clip_projection(d, folder, images, v, side):
    shutil.rmtree(folder)
    m = shake(tf.CLIPVisionModelWithProjection(tf.CLIPVisionConfig(**v)))
    m.save_pretrained(folder)
    p = processors(d, side)
    p.save_pretrained(folder)
    with torch.no_grad():
        return torch.cat([m.vision_model(p(im, return_tensors="pt")["pixel_values"].float()).pooler_output for im in images]).numpy(), False, []


@case
def hf_siglip(d, folder, images):
    s, side = sizes(d)
    v = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96) | s | d.some(hidden_act=ACTS, layer_norm_eps=[1e-5], vision_use_head=[False])
    if d.one("classification", False, True, p=0.5):
        t = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50)
        return hf_case(d, folder, images, tf.SiglipForImageClassification, tf.SiglipConfig(vision_config=v, text_config=t, **labels(d)), lambda o: o.logits, side, True)
    pick = (lambda o: o.last_hidden_state.mean(1)) if v.get("vision_use_head") is False else (lambda o: o.pooler_output)
    return hf_case(d, folder, images, tf.SiglipVisionModel, tf.SiglipVisionConfig(**v), pick, side)


@case
def hf_beit(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    for k in ("qkv_bias",):
        kw.pop(k, None)
    kw |= d.some(use_mask_token=[True], use_absolute_position_embeddings=[True], use_relative_position_bias=[True], use_shared_relative_position_bias=[True],
                 layer_scale_init_value=[0.1, 0.0], use_mean_pooling=[False], p=0.4)
    cls, conf = d.one("class", (tf.BeitForImageClassification, tf.BeitConfig), (tf.Data2VecVisionForImageClassification, tf.Data2VecVisionConfig), p=0.4)
    return hf_case(d, folder, images, cls, conf(**kw), lambda o: o.logits, side, True)


@case
def hf_dinov3(d, folder, images):
    s, side = sizes(d)
    kw = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96) | s | d.some(
        hidden_act=["silu", "gelu_new"], use_gated_mlp=[True], num_register_tokens=[0, 2], rope_theta=[10.0], layer_norm_eps=[1e-6], query_bias=[False], key_bias=[True],
        value_bias=[False], proj_bias=[False], mlp_bias=[False], layerscale_value=[0.5], pos_embed_rescale=[None, 3.0])
    return hf_case(d, folder, images, tf.DINOv3ViTModel, tf.DINOv3ViTConfig(**kw), lambda o: o.pooler_output, side)


@case
def hf_msn(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    return hf_case(d, folder, images, tf.ViTMSNForImageClassification, tf.ViTMSNConfig(**kw), lambda o: o.logits, side, True)


@case
def hf_mae(d, folder, images):
    kw, side = vit_config(d)
    kw |= dict(decoder_hidden_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=32, mask_ratio=0.0)
    return hf_case(d, folder, images, tf.ViTMAEModel, tf.ViTMAEConfig(**kw), lambda o: o.last_hidden_state[:, 0], side)


@case
def hf_ijepa(d, folder, images):
    kw, side = vit_config(d, **labels(d))
    return hf_case(d, folder, images, tf.IJepaForImageClassification, tf.IJepaConfig(**kw), lambda o: o.logits, side, True)


@case
def hf_parts(d, folder, images):
    """Models around an encoder, whose features are the encoder's."""
    small = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8)
    which = d.one("class", "masked", "backbone", "bare", p=0.6)
    if which == "masked":
        return hf_case(d, folder, images, tf.ViTForMaskedImageModeling, tf.ViTConfig(**small), None, 32, pick_from=lambda m, x: m.vit(x).last_hidden_state[:, 0])
    if which == "bare":
        return hf_case(d, folder, images, tf.ViTModel, tf.ViTConfig(**small), lambda o: o.last_hidden_state[:, 0], 32)
    del small["intermediate_size"]
    m = tf.Dinov2Config(**small, out_features=["stage1"], apply_layernorm=d.one("apply_layernorm", True, False))
    return hf_case(d, folder, images, tf.Dinov2Backbone, m, None, 32, pick_from=lambda b, x: b.layernorm(b.encoder(b.embeddings(x), output_hidden_states=True).last_hidden_state)[:, 0])


@case
def hf_others(d, folder, images):
    """Other families: refused by name."""
    small = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8)
    cls, config = d.r.choice([
        (tf.SwinModel, tf.SwinConfig(image_size=32, patch_size=4, embed_dim=24, depths=[1, 1], num_heads=[2, 2], window_size=4)),
        (tf.YolosModel, tf.YolosConfig(**(small | {"image_size": [32, 32]}))), (tf.ConvNextModel, tf.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8])),
        (tf.ASTModel, tf.ASTConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, max_length=32, num_mel_bins=32)),
        (tf.VitDetModel, tf.VitDetConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)),
        (tf.HieraModel, tf.HieraConfig(embed_dim=16, depths=[1, 1], num_heads=[1, 2], image_size=[32, 32], query_stride=[2, 2], num_query_pool=1, masked_unit_size=[4, 4])),
        (tf.BertModel, tf.BertConfig(hidden_size=48, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, vocab_size=50)),
    ])
    d.told["class"] = cls.__name__
    shake(cls(config)).save_pretrained(folder)
    tf.ViTImageProcessor(size=square(32)).save_pretrained(folder)
    return None, False, []


def timm_pick(m, x):
    return m.forward_head(m.forward_features(x), pre_logits=True)


NAMES = ["vit_tiny_patch16_224", "vit_base_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_clip_quickgelu_224", "deit_tiny_patch16_224",
         "deit3_small_patch16_224", "vit_base_patch16_siglip_224", "deit_tiny_distilled_patch16_224", "vit_medium_patch16_gap_240", "vit_small_patch16_dinov3", "eva02_tiny_patch14_224",
         "beit_base_patch16_224", "beitv2_base_patch16_224", "vit_small_patch16_rope_224", "vit_relpos_small_patch16_224", "vit_betwixt_patch16_reg4_gap_256", "eva_large_patch14_196",
         "vit_base_patch16_rpn_224", "vit_little_patch16_reg1_gap_256", "vit_small_patch16_36x1_224", "vit_small_patch16_18x2_224", "vit_so150m_patch16_reg4_map_256", "flexivit_small",
         "vit_base_patch32_plus_256", "vit_srelpos_small_patch16_224", "vit_wee_patch16_reg1_gap_256", "vit_pwee_patch16_reg1_gap_256", "vit_dlittle_patch16_reg1_gap_256",
         "vit_base_patch16_xp_224", "vit_intern300m_patch14_448", "vit_giant_patch14_dinov2", "vit_base_patch14_dinov2", "vit_base_patch16_siglip_gap_224", "aimv2_large_patch14_224"]


@case
def timm_folder(d, folder, images):
    name = d.r.choice(NAMES)
    d.told["name"] = name
    plain = name.split("_")[0] in ("vit", "deit", "deit3", "flexivit") and "rope" not in name and "relpos" not in name and "dinov3" not in name
    patch = d.one("patch_size", 8, 16, 4)
    kw = dict(img_size=32, patch_size=patch, embed_dim=48, depth=2, num_heads=4, num_classes=d.one("num_classes", 0, 3, 1, p=0.5))
    if plain:
        kw |= d.some(p=0.12, class_token=[False], global_pool=["", "avg", "avgmax", "max", "map", "token"], reg_tokens=[1, 4], no_embed_class=[True], init_values=[1e-5],
                     qk_norm=[True], proj_bias=[False], qkv_bias=[False], pre_norm=[True], final_norm=[False], fc_norm=[True, False], dynamic_img_size=[True], dynamic_img_pad=[True],
                     act_layer=["quick_gelu", "gelu_tanh", "relu", "silu"], norm_layer=["rmsnorm", "layernorm"], mlp_ratio=[3.0, 2], in_chans=[1, 4], pos_embed=["none", "learn"],
                     pos_drop_rate=[0.3], drop_path_rate=[0.2], scale_attn_norm=[True], scale_mlp_norm=[True], img_size=[(32, 48)], pool_include_prefix=[True], embed_norm_layer=["layernorm"],
                     attn_drop_rate=[0.2], mlp_layer=["swiglu"], weight_init=["skip"], reg_tokens_=[0])
    else:
        kw |= d.some(p=0.15, global_pool=["avg", "token", ""], in_chans=[1], mlp_ratio=[3.0], qkv_bias=[False], init_values=[0.1], num_reg_tokens=[2])
    kw.pop("reg_tokens_", None)
    try:
        m = shake(timm.create_model(name, **kw))
    except (TypeError, AssertionError, ValueError, RuntimeError, KeyError) as e:
        raise Skip(f"the package does not make it: {e}")
    side = kw["img_size"] if isinstance(kw["img_size"], tuple) else (kw["img_size"],) * 2
    over = {"input_size": [kw.get("in_chans", 3), *side]}
    over |= d.some(p=0.15, mean=[[0.1, 0.2, 0.3]], std=[[0.5, 0.4, 0.3]], crop_pct=[0.8, 1.0, 0.35], interpolation=["bilinear", "nearest", "lanczos", "bicubic", "random"],
                   crop_mode=["squash", "border", "center"], test_input_size=[[3, 64, 64]], test_crop_pct=[1.0], fixed_input_size=[True])
    legacy = d.one("config", "new", "overlay", "none", p=0.2)
    model_args = {k: v for k, v in kw.items() if k not in ("num_classes", "global_pool")} if d.one("model_args", True, False, p=0.1) else None
    timm.models.save_for_hf(m, folder, model_config={"pretrained_cfg": over, **({"label_names": [f"l{i}" for i in range(kw["num_classes"])]} if kw["num_classes"] and d.r.random() < 0.5 else {})},
                            model_args=model_args)
    if legacy == "none":
        c = json.loads((folder / "config.json").read_text())
        del c["pretrained_cfg"]
        (folder / "config.json").write_text(json.dumps(c))
        again = m
        cfg = timm.data.resolve_data_config(pretrained_cfg=m.default_cfg | {"input_size": over["input_size"]})
    else:
        try:
            again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        except Exception as e:
            return None, kw["num_classes"] > 0, []  # nobody can load it: whatever melo says but for numbers
        cfg = timm.data.resolve_model_data_config(again)
    t = timm.data.create_transform(**cfg, is_training=False)
    head = kw["num_classes"] > 0
    with torch.no_grad():
        x = [t(im if kw.get("in_chans", 3) == 3 else im.convert("L"))[None] for im in images]
        out = torch.cat([again(i) if head else timm_pick(again, i) for i in x])
        return (out.numpy() if out.ndim == 2 else None), head, []


@case
def open_clip_folder(d, folder, images):
    vision = dict(image_size=32, layers=2, width=48, head_width=d.r.choice([12, 24]), patch_size=8) | d.some(
        p=0.15, mlp_ratio=[2.0], ls_init_value=[0.1], attentional_pool=[True], no_ln_pre=[True], pos_embed_type=["sin_cos_2d"], final_ln_after_pool=[True], pool_type=["avg", "tok", "none"],
        image_size=[(32, 48), 40], patch_dropout=[0.2], output_tokens=[True], act_kwargs=[{"approximate": "tanh"}], norm_kwargs=[{"eps": 1e-6}], block_type=["custom"], qk_norm=[True], scaled_cosine_attn=[True],
        scale_heads=[True], scale_attn_inner=[True], scale_attn=[True], scale_fc=[True])
    cfg = dict(embed_dim=24, vision_cfg=vision, text_cfg=dict(context_length=8, vocab_size=60, width=32, heads=2, layers=1)) | d.some(quick_gelu=[True])
    pp = dict(mean=[0.48, 0.45, 0.4], std=[0.26, 0.26, 0.27]) | d.some(p=0.25, interpolation=["bilinear", "bicubic"], resize_mode=["shortest", "longest", "squash"], fill_color=[0, 127])
    try:
        m = shake(open_clip.CLIP(**cfg))
    except TypeError as e:
        raise Skip(str(e))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": pp}))
    if d.one("file", "safetensors", "bin"):
        save_file({k: v.contiguous() for k, v in m.state_dict().items()}, folder / "open_clip_model.safetensors")
    t = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=vision["image_size"], **pp), is_train=False)
    v = m.visual
    v.proj = None
    with torch.no_grad():
        out = [v(t(im)[None]) for im in images]
        return torch.cat([o[0] if isinstance(o, tuple) else o for o in out]).numpy(), False, []


I, S = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@case
def raw_file(d, folder, images):
    """A bare file of tensors, wrapped as trainers wrap."""
    side = d.one("side", 32, 48)
    cls = d.one("classes", 0, 4, p=0.4)
    m = shake(timm.create_model(d.one("name", "vit_small_patch16_224", "vit_small_patch14_reg4_dinov2", "vit_small_patch14_dinov2"), img_size=side, patch_size=8, embed_dim=64, depth=2, num_heads=4, num_classes=cls))
    sd = dict(m.state_dict())
    other = {k: torch.randn_like(v) for k, v in sd.items()}
    dtype = d.one("dtype", torch.float32, torch.float16, torch.bfloat16, torch.float64)
    sd = {k: v.to(dtype) for k, v in sd.items()}
    prefix = d.one("prefix", "", "module.", "_orig_mod.", "module._orig_mod.", "backbone.", "model.", "encoder.", "net.", "module.backbone.", "student.backbone.")
    sd = {prefix + k: v for k, v in sd.items()}
    wrap = d.one("wrap", "plain", "model+optimizer", "state_dict+ema", "lightning", "teacher+student", "model_ema", "list", "two networks", p=0.6)
    opt = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(4, 4)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99), "params": [0, 1]}]}
    doc = {"plain": sd, "model+optimizer": {"model": sd, "optimizer": opt, "epoch": 9, "args": {"lr": 0.1, "name": "x"}, "scaler": {"scale": 65536.0}},
           "state_dict+ema": {"state_dict": sd, "state_dict_ema": {k: v + 0.5 for k, v in sd.items()}, "epoch": 3, "metric": 0.9},
           "lightning": {"state_dict": {"model." + k: v for k, v in sd.items()}, "hyper_parameters": {"lr": 0.1, "backbone": "vit"}, "pytorch-lightning_version": "2.1.0", "callbacks": {}, "global_step": 5,
                         "optimizer_states": [opt], "lr_schedulers": []},
           "teacher+student": {"student": {"module." + k: v for k, v in other.items()}, "teacher": sd, "epoch": 2},
           "model_ema": {"model": sd, "model_ema": {k: v + 0.5 for k, v in sd.items()}}, "list": [sd, 3],
           "two networks": {**{"net_a." + k: v for k, v in sd.items()}, **{"net_b." + k: v for k, v in other.items()}}}[wrap]
    form = d.one("form", "zip", "legacy", "safetensors", "tar", p=0.5)
    name = {"safetensors": "weights.safetensors"}.get(form, d.r.choice(["checkpoint.pth", "model_best.pt", "last.ckpt", "weights.bin"]))
    if form == "safetensors" and wrap == "plain":
        save_file({k: v.contiguous() for k, v in sd.items()}, folder / name, metadata={"format": "pt", "note": "hello"})
    else:
        if form == "safetensors":
            name = "checkpoint.pth"
        torch.save(doc, folder / name, _use_new_zipfile_serialization=form != "legacy")
        if form == "tar":
            import tarfile
            (folder / name).unlink()
            (folder / "pickle").write_bytes(b"\x80\x02}q\x00.")
            with tarfile.open(folder / name, "w") as t:
                t.add(folder / "pickle", "pickle")
            (folder / "pickle").unlink()
            return None, False, ["--heads", "4"]
    shift = 0.5 if "ema" in wrap else 0.0  # timm prefers the averaged weights
    m.load_state_dict({k: (v.to(dtype) + shift).float() for k, v in m.state_dict().items()})
    t = timm.data.create_transform(input_size=(3, side, side), crop_pct=0.9, interpolation="bicubic", mean=I, std=S)
    with torch.no_grad():
        want = torch.cat([m(t(im)[None]) if cls else timm_pick(m, t(im)[None]) for im in images]).numpy()
    return (want if wrap not in ("list", "two networks") else None), cls > 0, ["--heads", "4", "--mean", "imagenet", "--std", "imagenet", "--crop-pct", "0.9", "--interpolation", "bicubic"]


@case
def tv_vit(d, folder, images):
    m = shake(torchvision.models.VisionTransformer(image_size=32, patch_size=d.one("patch", 8, 16), num_layers=2, num_heads=4, hidden_dim=48, mlp_dim=96, num_classes=5, **d.some(
        representation_size=[20])))
    torch.save(m.state_dict(), folder / "vit_b_16-c867db91.pth")
    t = torchvision.transforms.Compose([torchvision.transforms.Resize(36), torchvision.transforms.CenterCrop(32), torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(I, S)])
    with torch.no_grad():
        want = torch.cat([m(t(im)[None]) for im in images]).numpy()
    return want, True, ["--heads", "4", "--mean", "imagenet", "--std", "imagenet", "--crop-pct", "0.88888", "--interpolation", "bilinear"]


class Skip(Exception):
    pass


class Refused(Exception):
    pass


def melo(exe, *args):
    r = subprocess.run([exe, *map(str, args)], capture_output=True, text=True)
    if r.returncode:
        if r.returncode not in (1, 2, 3) or "panic" in r.stderr or "goroutine" in r.stderr:
            raise RuntimeError(f"exit {r.returncode}: {r.stderr[:500]}")
        raise Refused(r.stderr.strip().splitlines()[-1].replace("melo: ", ""))
    return r.stdout


def ask(exe, base, paths, head, args, out):
    if head and not args:
        return np.array([r["logits"] for r in json.loads(melo(exe, "--json", "predict", "--base", base, *paths))["results"]])
    if head:  # predict takes no recipe: through convert
        conv = out / "converted"
        shutil.rmtree(conv, ignore_errors=True)
        melo(exe, "convert", *args, base, conv)
        return ask(exe, conv, paths, True, [], out)
    melo(exe, "features", "--base", base, "--restart", "--out", out / "features.npz", *args, *paths)
    return np.load(out / "features.npz")["features"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("melo")
    p.add_argument("folder", type=Path)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--odd", type=float, default=1.0, help="how often the unusual is drawn: 0.3 compares more, and refuses less")
    p.add_argument("names", nargs="*")
    a = p.parse_intermixed_args()
    Draw.odd = a.odd
    a.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    paths, images = [], []
    for w, h in [(301, 260), (61, 90)]:
        paths.append(a.folder / f"p{w}.png")
        Image.fromarray(rng.integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), dtype=np.uint8)).resize((w, h), Image.BICUBIC).save(paths[-1])
        images.append(Image.open(paths[-1]).convert("RGB"))
    count = {"equal": 0, "refused": 0, "skipped": 0, "wrong": 0}
    for n in range(a.rounds):
        for name, f in CASES.items():
            if a.names and name not in a.names:
                continue
            seed = f"{a.seed}/{n}/{name}"
            d, folder = Draw(seed), a.folder / f"{name}_{a.seed}_{n}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            torch.manual_seed(0)
            try:
                want, head, args = f(d, folder, images)
            except Exception as e:
                count["skipped"] += 1
                if not isinstance(e, Skip):
                    print(f"skipped {seed} {d.told}: {type(e).__name__} {str(e)[:150]}", flush=True)
                continue
            try:
                got = ask(a.melo, folder, paths, head, args, a.folder)
                if want is None:
                    kind, text = "wrong", "taken, and was to be refused"
                elif got.shape != want.shape:
                    kind, text = "wrong", f"shape {got.shape}, expected {want.shape}"
                else:
                    r = abs(got - want).max() / abs(want).max()
                    kind, text = ("equal" if r < 1e-4 else "wrong"), f"{r:.1e}"
            except Refused as e:
                kind, text = "refused", re.sub(r"/\S*/", "", str(e))[:260]
            except Exception as e:
                kind, text = "wrong", f"{type(e).__name__} {e}"
            count[kind] += 1
            print(f"{kind:8s}{seed} {d.told}: {text}", flush=True)
            if kind != "wrong":
                shutil.rmtree(folder, ignore_errors=True)
    print(count)
    sys.exit(count["wrong"] > 0)


main()
