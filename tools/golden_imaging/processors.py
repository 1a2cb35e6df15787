"""Writes imaging/processor/testdata/golden.json: what the processors of transformers, timm's and open_clip's
transforms make of small and of odd images, with the files that they save.

Run by hand from the repository root, with transformers 5, timm and open_clip:

    python tools/golden_imaging/processors.py imaging/processor/testdata

Images come from the formula of golden.py. An output is kept as the hash of its samples as bytes (normalisation undone),
or, where the samples are no bytes, as numbers.
"""

import base64
import hashlib
import json
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import open_clip.transform as oct
import timm.data
import torch
import transformers as tf
from PIL import Image

warnings.filterwarnings("ignore")
OUT = Path(sys.argv[1])
SIZES = [(301, 260), (80, 60), (61, 90), (33, 33), (200, 41), (24, 31)]


def pattern(w, h, c, seed):
    state, out, i = seed & 0xFFFFFFFF, np.empty(w * h * c, np.int64), 0
    for y in range(h):
        for x in range(w):
            for ch in range(c):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                noise = state >> 24
                out[i] = noise if (x // 5 + y // 3) % 2 else (x * 5 + y * (3 + ch) + ch * 40 + noise // 16) % 256
                i += 1
    return out.reshape(h, w, c).astype(np.uint8)


def processors():
    I, S = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    yield "vit", tf.ViTImageProcessor(size={"height": 33, "width": 33})
    yield "vit", tf.ViTImageProcessor(size={"height": 32, "width": 32}, resample=3, image_mean=I, image_std=S)
    yield "vit", tf.ViTImageProcessor(size={"height": 33, "width": 33}, do_resize=False)
    yield "vit", tf.ViTImageProcessor(size={"shortest_edge": 33})
    yield "vit", tf.ViTImageProcessor(size={"height": 32, "width": 32}, do_rescale=False, image_mean=[127.0, 120.0, 110.0], image_std=[50.0, 60.0, 70.0])
    yield "vit", tf.ViTImageProcessor(size={"height": 32, "width": 32}, do_normalize=False)
    yield "vit", tf.ViTImageProcessor(size={"height": 32, "width": 32}, rescale_factor=1 / 127.5, image_mean=[1.0, 1.0, 1.0], image_std=[1.0, 1.0, 1.0])
    yield "vit", tf.ViTImageProcessor(size={"height": 40, "width": 40}, do_center_crop=True, crop_size={"height": 33, "width": 33})
    yield "deit", tf.DeiTImageProcessor(size={"height": 40, "width": 40}, crop_size={"height": 33, "width": 33}, image_mean=I, image_std=S)
    yield "deit", tf.DeiTImageProcessor(size={"height": 37, "width": 37}, crop_size={"height": 32, "width": 32}, do_center_crop=False)
    yield "clip", tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    yield "clip", tf.CLIPImageProcessor(size={"shortest_edge": 33}, crop_size={"height": 32, "width": 32})
    yield "clip", tf.CLIPImageProcessor(size={"shortest_edge": 33, "longest_edge": 50}, crop_size={"height": 33, "width": 33})
    yield "clip", tf.CLIPImageProcessor(do_resize=False, crop_size={"height": 33, "width": 33})
    yield "clip", tf.CLIPImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 33, "width": 33})
    yield "clip", tf.CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False)
    yield "dinov2", tf.BitImageProcessor(size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32}, image_mean=I, image_std=S)
    yield "dinov2", tf.BitImageProcessor(size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32}, resample=2)
    yield "siglip", tf.SiglipImageProcessor(size={"height": 32, "width": 32})
    yield "beit", tf.BeitImageProcessor(size={"height": 33, "width": 33})
    yield "dinov3_vit", tf.DINOv3ViTImageProcessor(size={"height": 16, "width": 16})
    yield "convnext", tf.ConvNextImageProcessor(size={"shortest_edge": 32})
    yield "vit", tf.models.vit.image_processing_pil_vit.ViTImageProcessorPil(size={"height": 33, "width": 33})
    yield "clip", tf.models.clip.image_processing_pil_clip.CLIPImageProcessorPil(size={"shortest_edge": 37}, crop_size={"height": 32, "width": 32})


def statistics(p):
    """Mean and deviation of samples in 0..255."""
    mean = np.array(p.image_mean if p.do_normalize else [0, 0, 0], np.float64)
    std = np.array(p.image_std if p.do_normalize else [1, 1, 1], np.float64)
    by = p.rescale_factor if p.do_rescale else 1.0
    return mean / by, std / by


def result(t, mean, std, exact):
    """t [3,h,w] float32 with the statistics for 0..255."""
    h, w = t.shape[1:]
    doc = dict(side=h, square=h == w)
    if h != w:
        return doc
    a = t.astype(np.float64) * std[:, None, None] + mean[:, None, None]
    if exact:
        assert abs(a - a.round()).max() < 1e-2
        return doc | dict(sha256=hashlib.sha256(a.round().astype(np.uint8).tobytes()).hexdigest())
    return doc | dict(values=base64.b64encode(t.astype("<f4").tobytes()).decode())


def images(call, exact=True, mean=None, std=None):
    out = []
    for w, h in SIZES:
        t = call(Image.fromarray(pattern(w, h, 3, w * 1000 + h)))
        out.append(dict(w=w, h=h) | result(np.asarray(t, np.float32), mean, std, exact))
    return out


def hugging_face(cases):
    for model_type, p in processors():
        with tempfile.TemporaryDirectory() as d:
            p.save_pretrained(d)
            files = {f.name: f.read_text() for f in Path(d).iterdir()}
            again = type(p).from_pretrained(d)
        if type(p).__name__.endswith("Pil"):  # the file does not say so: whoever loads it chooses
            name, text = next(iter(files.items()))
            files[name] = json.dumps(json.loads(text) | {"resampling": "pillow"})
        mean, std = statistics(p)
        call = lambda im: again(im, return_tensors="pt", do_convert_rgb=False)["pixel_values"][0].numpy()
        cases.append(dict(model_type=model_type, files=files, images=images(call, model_type != "dinov3_vit", mean, std)))
    # What CLIPProcessor writes beside its tokenizer: the processor inside processor_config.json.
    p = tf.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    inner = {k: v for k, v in p.to_dict().items()}
    files = {"processor_config.json": json.dumps({"image_processor": inner, "processor_class": "CLIPProcessor"})}
    mean, std = statistics(p)
    call = lambda im: p(im, return_tensors="pt")["pixel_values"][0].numpy()
    cases.append(dict(model_type="clip", files=files, images=images(call, True, mean, std)))
    # Files of old, which have plain numbers and a feature extractor.
    for model_type, doc in [
        ("deit", {"crop_size": 32, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "DeiTFeatureExtractor",
                  "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 37}),
        ("clip", {"crop_size": 32, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
                  "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 33}),
        ("vit", {"do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 33}),
    ]:
        cls = {"deit": tf.DeiTImageProcessor, "clip": tf.CLIPImageProcessor, "vit": tf.ViTImageProcessor}[model_type]
        with tempfile.TemporaryDirectory() as d:
            (Path(d) / "preprocessor_config.json").write_text(json.dumps(doc))
            p = cls.from_pretrained(d)
        mean, std = statistics(p)
        call = lambda im: p(im, return_tensors="pt")["pixel_values"][0].numpy()
        cases.append(dict(model_type=model_type, files={"preprocessor_config.json": json.dumps(doc)}, images=images(call, True, mean, std)))


def timm_cases(cases):
    for cfg in [
        dict(input_size=[3, 32, 32], interpolation="bicubic", crop_pct=0.9, crop_mode="center", mean=[0.5] * 3, std=[0.5] * 3),
        dict(input_size=[3, 33, 33], interpolation="bilinear", crop_pct=0.875, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        dict(input_size=[3, 33, 33], interpolation="bicubic", crop_pct=1.0, crop_mode="squash", mean=[0.5] * 3, std=[0.5] * 3),
        dict(input_size=[3, 32, 32], interpolation="bicubic", crop_pct=0.9, crop_mode="squash"),
        dict(input_size=[3, 32, 32]),
    ]:
        data = timm.data.resolve_data_config({}, pretrained_cfg=cfg)
        t = timm.data.create_transform(**data, is_training=False)
        mean, std = np.array(data["mean"]) * 255, np.array(data["std"]) * 255
        cases.append(dict(timm=cfg, images=images(lambda im: t(im).numpy(), True, mean, std)))


def open_clip_cases(cases):
    for cfg in [dict(mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711]),
                dict(mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic", resize_mode="squash")]:
        pp = oct.PreprocessCfg(size=33, **cfg)
        t = oct.image_transform_v2(pp, is_train=False)
        mean, std = np.array(pp.mean) * 255, np.array(pp.std) * 255
        cases.append(dict(open_clip=cfg, side=33, images=images(lambda im: t(im).numpy(), True, mean, std)))


cases = []
hugging_face(cases)
timm_cases(cases)
open_clip_cases(cases)
OUT.mkdir(parents=True, exist_ok=True)
packages = ("transformers", "torchvision", "torch", "timm", "open_clip_torch", "pillow")
doc = dict(versions={p: version(p) for p in packages}, cases=cases)
(OUT / "golden.json").write_text(json.dumps(doc, indent=1) + "\n")
print(len(cases), "cases")
