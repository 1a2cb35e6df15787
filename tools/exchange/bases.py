"""Makes small bases of every family as a hub hands them out, with the real packages and random weights, and compares what
melo makes of image files with what the packages make of them: the whole path, from a file of odd size to features.

    go build -o melo ./cmd/melo
    python tools/exchange/bases.py ./melo FOLDER [NAME...]

A line a base: the largest difference of the features, relative to the largest feature. What is above 1e-4 fails.
"""

import json
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
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
tf.utils.logging.set_verbosity_error()
MELO, OUT = sys.argv[1], Path(sys.argv[2])
ONLY = set(sys.argv[3:])
I, S = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CASES = {}
REFUSED = "refused"


def case(f):
    CASES[f.__name__] = f
    return f


def images(folder):
    rng = np.random.default_rng(5)
    paths = []
    for w, h in [(301, 260), (97, 143), (64, 64), (200, 61)]:
        a = rng.integers(0, 256, (h // 4 + 1, w // 4 + 1, 3), dtype=np.uint8)
        im = Image.fromarray(a).resize((w, h), Image.BICUBIC)
        paths.append(folder / f"p{w}x{h}.png")
        im.save(paths[-1])
    return paths


def shake(model, seed=0):
    """Every parameter far from its initial value."""
    g = torch.Generator().manual_seed(seed)
    norms = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, torch.nn.LayerNorm)}
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


def run(base, paths, out, *args):
    r = subprocess.run([MELO, "features", "--base", str(base), "--restart", "--out", str(out), *args, *map(str, paths)], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip().splitlines()[-1])
    return np.load(out)["features"]


def hf(folder, model, processor, paths, pick, save_processor=True, **kw):
    shake(model).save_pretrained(folder, **kw)
    processor.save_pretrained(folder)
    model = type(model).from_pretrained(folder).eval()
    p = tf.AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        return torch.cat([pick(model(**p(Image.open(x).convert("RGB"), return_tensors="pt"))) for x in paths]).numpy()


SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8)
square = lambda n: {"height": n, "width": n}


@case
def hf_vit(d, paths):
    m = tf.ViTModel(tf.ViTConfig(**SMALL), add_pooling_layer=False)
    return hf(d, m, tf.ViTImageProcessor(size=square(32)), paths, lambda o: o.last_hidden_state[:, 0]), []


@case
def hf_vit_bin(d, paths):
    want, _ = hf_vit(d, paths)
    m = tf.ViTModel.from_pretrained(d, add_pooling_layer=False)
    torch.save(m.state_dict(), d / "pytorch_model.bin")
    (d / "model.safetensors").unlink()
    return want, []


@case
def hf_vit_sharded_bin(d, paths):
    want, _ = hf_vit(d, paths)
    sd = tf.ViTModel.from_pretrained(d, add_pooling_layer=False).state_dict()
    keys = sorted(sd)
    weight_map = {}
    for i in range(2):
        name = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save({k: sd[k] for k in keys[i::2]}, d / name)
        weight_map |= {k: name for k in keys[i::2]}
    (d / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (d / "model.safetensors").unlink()
    return want, []


@case
def hf_deit(d, paths):
    m = tf.DeiTModel(tf.DeiTConfig(**SMALL), add_pooling_layer=False)
    return hf(d, m, tf.DeiTImageProcessor(size=square(37), crop_size=square(32), image_mean=I, image_std=S), paths, lambda o: o.last_hidden_state[:, 0]), []


@case
def hf_dinov2(d, paths):
    m = tf.Dinov2Model(tf.Dinov2Config(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=42, patch_size=7))
    p = tf.BitImageProcessor(size={"shortest_edge": 33}, crop_size=square(28), image_mean=I, image_std=S)
    return hf(d, m, p, paths, lambda o: o.last_hidden_state[:, 0]), []


@case
def hf_dinov2_registers(d, paths):
    m = tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=42, patch_size=7, use_swiglu_ffn=True))
    p = tf.BitImageProcessor(size={"shortest_edge": 33}, crop_size=square(28), image_mean=I, image_std=S)
    return hf(d, m, p, paths, lambda o: o.last_hidden_state[:, 0]), []


@case
def hf_clip(d, paths):
    m = tf.CLIPModel(tf.CLIPConfig(vision_config=dict(SMALL), text_config=dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=50), projection_dim=24))
    shake(m).save_pretrained(d)
    p = tf.CLIPImageProcessor(size={"shortest_edge": 33}, crop_size=square(32))
    (d / "processor_config.json").write_text(json.dumps({"image_processor": p.to_dict(), "processor_class": "CLIPProcessor"}))
    v = m.vision_model
    with torch.no_grad():
        return torch.cat([v(**p(Image.open(x), return_tensors="pt")).pooler_output for x in paths]).numpy(), []


@case
def hf_msn(d, paths):
    m = tf.ViTMSNModel(tf.ViTMSNConfig(**SMALL))
    return hf(d, m, tf.ViTImageProcessor(size=square(32)), paths, lambda o: o.last_hidden_state[:, 0]), []


@case
def hf_ijepa(d, paths):
    m = tf.IJepaModel(tf.IJepaConfig(**SMALL), add_pooling_layer=False)
    return hf(d, m, tf.ViTImageProcessor(size=square(32)), paths, lambda o: o.last_hidden_state.mean(1)), []


def timm_model(name, **kw):
    args = dict(img_size=32, embed_dim=48, depth=2, num_heads=4, num_classes=0) | kw
    return shake(timm.create_model(name, pretrained=False, **args))


def timm_features(m, paths, cfg=None):
    t = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=cfg or m.pretrained_cfg), is_training=False)
    with torch.no_grad():
        return torch.cat([m.forward_head(m.forward_features(t(Image.open(x).convert("RGB"))[None]), pre_logits=True) for x in paths]).numpy()


def timm_folder(d, m, paths):
    cfg = m.pretrained_cfg | {"input_size": (3, 32, 32)}
    timm.models.save_for_hf(m, d, model_config={"pretrained_cfg": {"input_size": [3, 32, 32]}})
    again = timm.create_model(f"local-dir:{d}", pretrained=True).eval()
    return timm_features(again, paths)


@case
def timm_vit(d, paths):
    return timm_folder(d, timm_model("vit_base_patch16_224", patch_size=8), paths), []


@case
def timm_default_heads(d, paths):
    return timm_folder(d, shake(timm.create_model("vit_base_patch16_224", img_size=32, patch_size=8, embed_dim=192, depth=2, num_classes=0)), paths), []


@case
def timm_dinov2_reg(d, paths):
    return timm_folder(d, timm_model("vit_small_patch14_reg4_dinov2", patch_size=8), paths), []


@case
def timm_clip(d, paths):
    return timm_folder(d, timm_model("vit_base_patch16_clip_quickgelu_224", patch_size=8), paths), []


@case
def timm_pre_norm(d, paths):
    return timm_folder(d, timm_model("vit_base_patch16_224", patch_size=8, pre_norm=True), paths), []


@case
def timm_gap(d, paths):
    return timm_folder(d, timm_model("vit_base_patch16_224", patch_size=8, global_pool="avg", class_token=False), paths), []


@case
def timm_bare(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8)
    torch.save({"state_dict": {"module." + k: v for k, v in m.state_dict().items()}, "epoch": 3, "arch": "x"}, d / "checkpoint.pth.tar")
    (d / "checkpoint.pth.tar").rename(d / "model_best.pth")
    return timm_features(m, paths, dict(input_size=(3, 32, 32), crop_pct=0.875, interpolation="bilinear", mean=I, std=S)), [
        "--heads", "4", "--mean", "imagenet", "--std", "imagenet", "--crop-pct", "0.875", "--interpolation", "bilinear"]


@case
def uni_like(d, paths):
    """As UNI: timm's names in pytorch_model.bin, with a config.json that has everything."""
    m = timm_model("vit_large_patch16_224", patch_size=8, init_values=1e-5)
    want = timm_folder(d, m, paths)
    torch.save(m.state_dict(), d / "pytorch_model.bin")
    (d / "model.safetensors").unlink(missing_ok=True)
    return want, []


RAW = ["--heads", "4", "--mean", "imagenet", "--std", "imagenet", "--crop-pct", "0.9", "--interpolation", "bicubic"]
RAWCFG = dict(input_size=(3, 32, 32), crop_pct=0.9, interpolation="bicubic", mean=I, std=S)


@case
def meta_dinov2(d, paths):
    m = timm_model("vit_small_patch14_dinov2", patch_size=8)
    sd = m.state_dict() | {"mask_token": torch.zeros(1, 48)}
    torch.save({"teacher": {"backbone." + k: v for k, v in sd.items()} | {"dino_head.mlp.0.weight": torch.zeros(3, 48)}}, d / "teacher_checkpoint.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def meta_dinov2_registers(d, paths):
    m = timm_model("vit_small_patch14_reg4_dinov2", patch_size=8)
    sd = dict(m.state_dict())
    pos = torch.randn(1, 1, 48)
    sd["cls_token"] = sd["cls_token"] - pos
    sd["pos_embed"] = torch.cat([pos, sd["pos_embed"]], 1)
    sd["register_tokens"] = sd.pop("reg_token")
    sd["mask_token"] = torch.zeros(1, 48)
    sd = {k.replace("blocks.", "blocks.0.") if k.startswith("blocks.") else k: v for k, v in sd.items()}
    torch.save(sd, d / "dinov2_small.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def meta_dinov2_giant(d, paths):
    m = timm_model("vit_giant_patch14_dinov2", patch_size=8)
    sd = {k.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): v for k, v in m.state_dict().items()}
    torch.save(sd, d / "g.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def mae(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8)
    sd = dict(m.state_dict()) | {"mask_token": torch.zeros(1, 1, 16), "decoder_pos_embed": torch.zeros(1, 17, 16), "decoder_embed.weight": torch.zeros(16, 48),
                                 "decoder_blocks.0.norm1.weight": torch.zeros(16), "decoder_pred.bias": torch.zeros(3)}
    import argparse
    torch.save({"model": sd, "args": argparse.Namespace(model="mae_vit_base_patch16"), "epoch": 1}, d / "RETFound_cfp_weights.pth")
    return timm_features(m, paths, dict(input_size=(3, 32, 32), crop_pct=224 / 256, interpolation="bicubic", mean=I, std=S)), ["--heads", "4"]


@case
def ijepa_meta(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8, class_token=False, global_pool="avg", fc_norm=False)
    sd = {"module." + k: v for k, v in m.state_dict().items()}
    torch.save({"target_encoder": sd, "encoder": {k: v * 0 for k, v in sd.items()}, "predictor": {"module.x": torch.zeros(1)}, "opt": {}}, d / "ijepa.pth.tar")
    (d / "ijepa.pth.tar").rename(d / "ijepa.pt")
    return timm_features(m, paths, RAWCFG), RAW


@case
def lightning(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8)
    torch.save({"state_dict": {"model._orig_mod.backbone." + k: v for k, v in m.state_dict().items()} | {"loss.weight": torch.zeros(2)},
                "epoch": 1, "hyper_parameters": {"lr": 1e-3}, "pytorch-lightning_version": "2"}, d / "last.ckpt")
    return timm_features(m, paths, RAWCFG), RAW


@case
def legacy(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8)
    torch.save({"model": m.state_dict()}, d / "old.pth", _use_new_zipfile_serialization=False)
    return timm_features(m, paths, RAWCFG), RAW


@case
def tv_vit(d, paths):
    m = shake(torchvision.models.VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=48, mlp_dim=96, num_classes=5))
    torch.save(m.state_dict(), d / "vit.pth")
    m.heads = torch.nn.Identity()
    t = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=RAWCFG), is_training=False)
    with torch.no_grad():
        return torch.cat([m(t(Image.open(x))[None]) for x in paths]).numpy(), RAW


def open_clip_folder(d, paths, vision, quick=False, safe=True, pick=None):
    cfg = dict(embed_dim=24, vision_cfg=vision, text_cfg=dict(context_length=8, vocab_size=60, width=32, heads=2, layers=1))
    if quick:
        cfg["quick_gelu"] = True
    m = shake(open_clip.CLIP(**cfg) if "timm_model_name" not in vision else open_clip.CustomTextCLIP(**cfg))
    pp = dict(mean=list(open_clip.OPENAI_DATASET_MEAN), std=list(open_clip.OPENAI_DATASET_STD), interpolation="bicubic", resize_mode="shortest")
    (d / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg, "preprocess_cfg": pp}))
    if safe:
        save_file({k: v.contiguous() for k, v in m.state_dict().items()}, d / "open_clip_model.safetensors")
    else:
        torch.save(m.state_dict(), d / "open_clip_pytorch_model.bin")
    t = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=vision["image_size"], **pp), is_train=False)
    with torch.no_grad():
        return torch.cat([pick(m, t(Image.open(x))[None]) for x in paths]).numpy(), []


def before_projection(m, x):
    v = m.visual
    v.proj = None
    return v(x)


@case
def open_clip_own(d, paths):
    return open_clip_folder(d, paths, dict(image_size=32, layers=2, width=48, head_width=12, patch_size=8), safe=True, pick=before_projection)


@case
def open_clip_quick(d, paths):
    return open_clip_folder(d, paths, dict(image_size=32, layers=2, width=48, head_width=12, patch_size=8), quick=True, safe=False, pick=before_projection)


@case
def open_clip_timm(d, paths):
    """As BiomedCLIP: a trunk of timm, class token, a projection."""
    v = dict(timm_model_name="vit_tiny_patch16_224", timm_model_pretrained=False, timm_pool="", timm_proj="linear", image_size=224)
    return open_clip_folder(d, paths, v, safe=False, pick=lambda m, x: m.visual.trunk(x))


@case
def openai_clip(d, paths):
    cfg = dict(embed_dim=24, quick_gelu=True, vision_cfg=dict(image_size=32, layers=2, width=48, head_width=12, patch_size=8),
               text_cfg=dict(context_length=8, vocab_size=60, width=32, heads=2, layers=1))
    m = shake(open_clip.CLIP(**cfg))
    sd = m.state_dict() | {"input_resolution": torch.tensor(32), "context_length": torch.tensor(8), "vocab_size": torch.tensor(60)}
    torch.save(sd, d / "ViT-B-32.pt")
    t = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=32), is_train=False)
    with torch.no_grad():
        return torch.cat([before_projection(m, t(Image.open(x))[None]) for x in paths]).numpy(), ["--heads", "4"]


@case
def google_npz(d, paths):
    m = timm_model("vit_base_patch16_224", patch_size=8, num_classes=5)
    sd = {k: v.numpy() for k, v in m.state_dict().items()}
    h, hd, w = 4, 12, 48
    z = {"cls": sd["cls_token"], "Transformer/posembed_input/pos_embedding": sd["pos_embed"], "embedding/kernel": sd["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
         "embedding/bias": sd["patch_embed.proj.bias"], "Transformer/encoder_norm/scale": sd["norm.weight"], "Transformer/encoder_norm/bias": sd["norm.bias"],
         "head/kernel": sd["head.weight"].T, "head/bias": sd["head.bias"]}
    for i in range(2):
        p, q = f"Transformer/encoderblock_{i}/", f"blocks.{i}."
        for a, b in [("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")]:
            z[p + a + "/scale"], z[p + a + "/bias"] = sd[q + b + ".weight"], sd[q + b + ".bias"]
        W, B = sd[q + "attn.qkv.weight"].reshape(3, w, w), sd[q + "attn.qkv.bias"].reshape(3, w)
        for j, n in enumerate(["query", "key", "value"]):
            z[p + f"MultiHeadDotProductAttention_1/{n}/kernel"] = W[j].T.reshape(w, h, hd)
            z[p + f"MultiHeadDotProductAttention_1/{n}/bias"] = B[j].reshape(h, hd)
        z[p + "MultiHeadDotProductAttention_1/out/kernel"] = sd[q + "attn.proj.weight"].T.reshape(h, hd, w)
        z[p + "MultiHeadDotProductAttention_1/out/bias"] = sd[q + "attn.proj.bias"]
        for a, b in [("Dense_0", "mlp.fc1"), ("Dense_1", "mlp.fc2")]:
            z[p + f"MlpBlock_3/{a}/kernel"], z[p + f"MlpBlock_3/{a}/bias"] = sd[q + b + ".weight"].T, sd[q + b + ".bias"]
    np.savez(d / "ViT-B_16.npz", **{k: np.ascontiguousarray(v) for k, v in z.items()})
    ref = timm.create_model("vit_base_patch16_224", img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=4, num_classes=5).eval()
    ref.load_pretrained(str(d / "ViT-B_16.npz"))
    return timm_features(ref, paths, RAWCFG), RAW[2:]


@case
def monai_vit(d, paths):
    """With a class token and a head, as MONAI's classification bundles."""
    from monai.networks.nets import ViT
    m = shake(ViT(in_channels=3, img_size=(32, 32), patch_size=(8, 8), hidden_size=48, mlp_dim=96, num_layers=2, num_heads=4, classification=True,
                  num_classes=3, spatial_dims=2, post_activation=None))
    torch.save(m.state_dict(), d / "monai.pt")
    m.classification_head = torch.nn.Identity()
    t = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=RAWCFG), is_training=False)
    with torch.no_grad():
        return torch.cat([m(t(Image.open(x))[None])[0] for x in paths]).numpy(), RAW


@case
def monai_bias(d, paths):
    """Without a class token; biases of q, k and v; saved by MONAI's trainer."""
    from monai.networks.nets import ViT
    m = shake(ViT(in_channels=3, img_size=(32, 32), patch_size=(8, 8), hidden_size=48, mlp_dim=96, num_layers=2, num_heads=4, spatial_dims=2, qkv_bias=True))
    torch.save({"model": m.state_dict(), "epoch": 3}, d / "monai.pt")
    t = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=RAWCFG), is_training=False)
    with torch.no_grad():
        return torch.cat([m(t(Image.open(x))[None])[0].mean(1) for x in paths]).numpy(), RAW


@case
def monai_volume(d, paths):
    """Of volumes: refused."""
    from monai.networks.nets import ViT
    torch.save(ViT(in_channels=1, img_size=(16, 16, 16), patch_size=(8, 8, 8), hidden_size=48, mlp_dim=96, num_layers=2, num_heads=4).state_dict(), d / "monai.pt")
    return REFUSED, RAW


# As hubs of pathology hand out: the configuration names an architecture, and the card says in Python what it leaves out.
def hub(d, paths, name, args, said=None, binary=False, **code):
    m = timm_model(name, **(args | code))
    want_cfg = m.pretrained_cfg | {"input_size": (3, 32, 32), "mean": I, "std": S, "crop_pct": 1.0, "interpolation": "bicubic"}
    doc = {"architecture": name, "num_classes": 0, "num_features": 48, "model_args": {"img_size": 32, "embed_dim": 48, "depth": 2, "num_heads": 4, "num_classes": 0} | args | (said or {}),
           "pretrained_cfg": {"input_size": [3, 32, 32], "mean": I, "std": S, "crop_pct": 1.0, "interpolation": "bicubic", "num_classes": 0, "pool_size": None, "first_conv": "patch_embed.proj",
                              "classifier": "head", "license": "cc-by-nc-nd-4.0"}}
    (d / "config.json").write_text(json.dumps(doc))
    if binary:
        torch.save(m.state_dict(), d / "pytorch_model.bin")
    else:
        save_file({k: v.contiguous() for k, v in m.state_dict().items()}, d / "model.safetensors")
    if m.global_pool == "":  # melo's features are those of the class token
        m.global_pool = "token"
    return timm_features(m, paths, want_cfg), []


SWIGLU = dict(mlp_layer=timm.layers.SwiGLUPacked, act_layer=torch.nn.SiLU)


@case
def uni2_h(d, paths):
    return hub(d, paths, "vit_giant_patch14_224", dict(patch_size=8, init_values=1e-5, mlp_ratio=2.66667 * 2, no_embed_class=True, reg_tokens=8, dynamic_img_size=True), binary=True, **SWIGLU)


@case
def virchow(d, paths):
    return hub(d, paths, "vit_huge_patch14_224", dict(patch_size=8, init_values=1e-5, mlp_ratio=5.3375, global_pool="", dynamic_img_size=True), **SWIGLU)


@case
def virchow2(d, paths):
    return hub(d, paths, "vit_huge_patch14_224", dict(patch_size=8, init_values=1e-5, reg_tokens=4, mlp_ratio=5.3375, global_pool="", dynamic_img_size=True), **SWIGLU)


@case
def h_optimus_1(d, paths):
    return hub(d, paths, "vit_giant_patch14_reg4_dinov2", dict(patch_size=8, init_values=1e-5, dynamic_img_size=False, global_pool="token"))


@case
def h0_mini(d, paths):
    return hub(d, paths, "vit_base_patch14_reg4_dinov2", dict(patch_size=8, init_values=1e-5, mlp_ratio=2.66667 * 2, dynamic_img_size=True), **SWIGLU)


@case
def gigapath(d, paths):
    return hub(d, paths, "vit_giant_patch14_dinov2", dict(patch_size=8, init_values=1e-5, mlp_ratio=5.33334, in_chans=3), binary=True)


@case
def uni(d, paths):
    return hub(d, paths, "vit_large_patch16_224", dict(patch_size=8, init_values=1.0, mlp_ratio=4.0, dynamic_img_size=True, in_chans=3), binary=True)


@case
def kaiko(d, paths):
    return hub(d, paths, "vit_base_patch16_224", dict(patch_size=8, dynamic_img_size=True))


@case
def dino_v1(d, paths):
    """Both networks of DINO's training, with projection heads; the teacher is what its authors use."""
    m = timm_model("vit_small_patch16_224", patch_size=8)
    other = timm_model("vit_small_patch16_224", patch_size=8)
    head = lambda: {"head.mlp.0.weight": torch.randn(8, 48), "head.mlp.0.bias": torch.randn(8), "head.last_layer.weight_g": torch.randn(5, 1), "head.last_layer.weight_v": torch.randn(5, 8)}
    torch.save({"student": {"module.backbone." + k: v + 0.1 for k, v in other.state_dict().items()} | {"module." + k: v for k, v in head().items()},
                "teacher": {"backbone." + k: v for k, v in m.state_dict().items()} | head(), "optimizer": {"state": {}, "param_groups": []}, "epoch": 100,
                "args": __import__("argparse").Namespace(arch="vit_small"), "dino_loss": {"center": torch.zeros(1, 5)}}, d / "checkpoint.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def ibot(d, paths):
    m = timm_model("vit_small_patch16_224", patch_size=8)
    sd = dict(m.state_dict()) | {"masked_embed": torch.zeros(1, 48)}
    torch.save({"state_dict": sd}, d / "checkpoint_teacher.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def msn_meta(d, paths):
    m = timm_model("vit_small_patch16_224", patch_size=8)
    sd = {"module." + k: v for k, v in m.state_dict().items()} | {"module.fc.fc1.weight": torch.zeros(8, 48), "module.fc.fc1.bias": torch.zeros(8)}
    torch.save({"target_encoder": sd, "encoder": {k: v * 0 for k, v in sd.items()}, "prototypes": torch.zeros(4, 8), "epoch": 3}, d / "vits16_800ep.pth.tar")
    (d / "vits16_800ep.pth.tar").rename(d / "vits16_800ep.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def mae_finetuned(d, paths):
    """As RETFound, fine-tuned: mean of the patches, a norm of its own, a head."""
    m = timm_model("vit_large_patch16_224", patch_size=8, global_pool="avg", num_classes=5)
    torch.save({"model": m.state_dict(), "optimizer": {}, "epoch": 3, "args": __import__("argparse").Namespace(model="vit_large_patch16")}, d / "checkpoint-best.pth")
    return timm_features(m, paths, RAWCFG), RAW


@case
def clip_whole(d, paths):
    """As PLIP and QuiltNet of transformers: CLIPModel in pytorch_model.bin."""
    want, _ = hf_clip(d, paths)
    sd = tf.CLIPModel.from_pretrained(d).state_dict()
    torch.save(sd | {"vision_model.embeddings.position_ids": torch.arange(17)[None], "text_model.embeddings.position_ids": torch.arange(77)[None]}, d / "pytorch_model.bin")
    (d / "model.safetensors").unlink()
    return want, []


@case
def swav(d, paths):
    torch.save({"state_dict": {"module." + k: v for k, v in torchvision.models.resnet18().state_dict().items()}}, d / "swav_800ep.pth")
    return REFUSED, RAW


@case
def conch(d, paths):
    """A trunk of timm behind attention pooling of its own: refused."""
    m = timm_model("vit_base_patch16_224", patch_size=8)
    sd = {"visual.trunk." + k: v for k, v in m.state_dict().items()} | {"visual.attn_pool_contrast.query": torch.zeros(1, 48), "visual.attn_pool_contrast.ln_q.weight": torch.zeros(48),
          "visual.ln_contrast.weight": torch.zeros(48), "visual.proj_contrast": torch.zeros(48, 48), "text.token_embedding.weight": torch.zeros(9, 8), "logit_scale": torch.zeros(())}
    torch.save(sd, d / "pytorch_model.bin")
    return REFUSED, RAW


@case
def davit(d, paths):
    """As MedImageInsight."""
    m = timm.create_model("davit_tiny", num_classes=0)
    timm.models.save_for_hf(m, d)
    return REFUSED, []


@case
def hibou(d, paths):
    """A type of its own, with code on the hub."""
    want, _ = hf_dinov2_registers(d, paths)
    c = json.loads((d / "config.json").read_text())
    (d / "config.json").write_text(json.dumps(c | {"model_type": "hibou", "architectures": ["HibouModel"], "auto_map": {"AutoModel": "modeling_hibou.HibouModel"}}))
    return REFUSED, []


def back(out, paths):
    """The features of a folder that melo wrote, as the package that its configuration names reads it; None where that
    package has no pooling of its own."""
    config = json.loads((out / "config.json").read_text())
    if "architecture" in config:
        return timm_features(timm.create_model(f"local-dir:{out}", pretrained=True).eval(), paths)
    p = tf.AutoImageProcessor.from_pretrained(out)
    kind = config["model_type"]
    m = tf.AutoModel.from_pretrained(out).eval()
    pick = {"ijepa": lambda o: o.last_hidden_state.mean(1), "siglip_vision_model": lambda o: o.pooler_output}.get(kind, lambda o: o.last_hidden_state[:, 0])
    if kind in ("clip", "siglip"):
        m, pick = m.vision_model, lambda o: o.pooler_output
    if kind == "vit_mae":
        m = tf.ViTMAEModel.from_pretrained(out, mask_ratio=0.0).eval()
    with torch.no_grad():
        return torch.cat([pick(m(p(Image.open(x).convert("RGB"), return_tensors="pt")["pixel_values"])) for x in paths]).numpy()


def weights_of(d):
    """What to name: the folder."""
    return d


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    paths = images(OUT)
    bad = 0
    for name, f in CASES.items():
        if ONLY and name not in ONLY:
            continue
        d = OUT / name
        d.mkdir(exist_ok=True)
        for old in d.iterdir():
            if old.is_file():
                old.unlink()
        try:
            torch.manual_seed(0)
            want, args = f(d, paths)
            if want is REFUSED:
                try:
                    run(weights_of(d), paths, OUT / f"{name}.npz", *args)
                    bad += 1
                    print(f"{name:24s} taken, and was to be refused WRONG")
                except RuntimeError as e:
                    print(f"{name:24s} refused: {str(e)[:300]}")
                continue
            got = run(weights_of(d), paths, OUT / f"{name}.npz", *args)
            worst = abs(got - want).max() / abs(want).max()
            # and as melo convert writes it
            out = OUT / f"{name}-converted"
            r = subprocess.run([MELO, "convert", "--dtype", "f32", *[a for a in args], str(d), str(out)], capture_output=True, text=True)
            again = "convert: " + r.stderr.strip().splitlines()[-1] if r.returncode else f"{abs(run(out, paths, OUT / 'again.npz') - want).max() / abs(want).max():.1e}"
            if not r.returncode:
                try:
                    theirs = back(out, paths)
                    far = abs(theirs - want).max() / abs(want).max()
                    again += f"   read by its package {far:.1e}" + ("" if far < 1e-4 else " WRONG")
                except Exception as e:
                    again += f"   not read by its package: {type(e).__name__} {str(e)[:200]} WRONG"
            verdict = "ok" if worst < 1e-4 else "WRONG"
            bad += verdict != "ok"
            print(f"{name:24s} {worst:.1e} {verdict}   converted {again}")
        except Exception as e:
            bad += 1
            print(f"{name:24s} FAILED {type(e).__name__}: {str(e)[:300]}")
    sys.exit(bad > 0)


main()
