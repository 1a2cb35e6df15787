"""Writes bases and adapters as ONNX models and lets ONNX Runtime compute what PyTorch, or melo itself, computes of the same input.

    go build -o melo ./cmd/melo
    python tools/exchange/onnx_runtime.py ./melo [--adapters]

Every base of testdata/golden, for two images and for one, against the values from the source packages (not with --adapters); then an
adapter at every map of bases of each family, and one of each task and method, that melo trains here, with and without mirror images, against the probabilities that "melo predict" says of image
files. A line each: the largest difference relative to the largest number. What is above 1e-4 fails.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors.numpy import load_file

MELO = str(Path(sys.argv[1]).resolve())
GOLDEN = Path(__file__).resolve().parents[2] / "testdata" / "golden"
LIMIT = 1e-4
failed = []


def convert(*args):
    return subprocess.run([MELO, "convert", "--to", "onnx", *map(str, args)], capture_output=True, text=True)


def tell(name, difference, note=""):
    bad = not difference <= LIMIT
    if bad:
        failed.append(name)
    print(f"{name:44} {difference:9.2e} {'FAILS' if bad else ''} {note}", flush=True)


def distance(got, want):
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


def session(path):
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def bases(work):
    for folder in sorted(GOLDEN.iterdir()):
        if not (folder / "golden.safetensors").exists() or not (folder / "model.safetensors").exists():
            continue
        want = load_file(folder / "golden.safetensors")
        if "input" not in want:
            continue  # values of a training
        side = want["input"].shape[-1]
        out = work / (folder.name + ".onnx")
        done = convert("--size", side, "--mean", "half", "--std", "half", "--crop-pct", "1", "--interpolation", "bicubic", folder, out)
        if done.returncode:
            tell(folder.name, np.inf, done.stderr.strip())
            continue
        run = session(out)
        props = run.get_modelmeta().custom_metadata_map
        json.loads(props["melo.recipe"])
        for batch in (2, 1):
            got = dict(zip([o.name for o in run.get_outputs()], run.run(None, {"image": want["input"][:batch]})))
            if "logits" in want:
                tell(f"{folder.name} logits x{batch}", distance(got["logits"], want["logits"][:batch]))
            if "tap.pooled" in want and got["features"].shape[1] == want["tap.pooled"].shape[1]:
                tell(f"{folder.name} features x{batch}", distance(got["features"], want["tap.pooled"][:batch]))


def prepare(recipe, path):
    """The recipe, for a square image that is not cut."""
    image = Image.open(path).convert("RGB")
    side = recipe["size"]
    assert image.width == image.height and recipe.get("resize", 0) in (0, side)
    if image.width != side:
        image = image.resize((side, side), {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[recipe["interpolation"]])
    x = np.asarray(image, np.float32) / 255
    return ((x - np.float32(recipe["mean"])) / np.float32(recipe["std"])).transpose(2, 0, 1)


def adapters(work):
    rng = np.random.default_rng(3)
    out = convert("embedded", work / "embedded.onnx")
    assert out.returncode == 0, out.stderr
    side = session(work / "embedded.onnx").get_inputs()[0].shape[2]
    data = work / "data"
    for label in "abc":
        (data / label).mkdir(parents=True)
        for i in range(6):
            shade = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8) // 2 + 40 * (ord(label) - ord("a"))
            Image.fromarray(shade.astype(np.uint8)).resize((side, side), Image.BICUBIC).save(data / label / f"{i}.png")
    rows = "\n".join(f"{label}/{i}.png,{i % 2},{label == 'b':d},{(i + ord(label)) % 2}" for label in "abc" for i in range(6))
    (data / "many.csv").write_text("image,one,two,three\n" + rows + "\n")
    two = work / "two"
    for label in "ab":
        (two / label).mkdir(parents=True)
        for image in (data / label).iterdir():
            (two / label / image.name).write_bytes(image.read_bytes())
    for task, source, methods, more in [
        ("multiclass", data, ["melo", "linear", "full"], []), ("binary", two, ["melo", "linear", "full"], []),
        ("multilabel", data / "many.csv", ["melo", "linear", "full"], []), ("binary, both tokens", two, ["melo", "linear"], ["--pool", "class+mean"]),
        ("binary, larger", two, ["melo"], ["--image-size", str(side + 16)]),
    ]:
        for method in methods:
            for mirror in ("--mirror", "--no-mirror"):
                name = f"{task} {method} {mirror}"
                adapter, model = work / "adapter.safetensors", work / "adapter.onnx"
                command = [MELO, "train", "--base", "embedded", "--data", source, "--method", method, "--epochs", "1", "--batch", "6", "--out", adapter,
                           "--force", "--precision", "f32", *(["--layout", "classes"] if source == data else []), *more] + ([mirror] if mirror == "--no-mirror" else [])
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                if done.returncode:
                    tell(name, np.inf, done.stderr.strip()[-200:])
                    continue
                done = convert(adapter, model)
                if done.returncode:
                    tell(name, np.inf, done.stderr.strip())
                    continue
                images = sorted(data.glob("*/[0-2].png"))
                said = subprocess.run([MELO, "predict", "--json", "--adapter", str(adapter), *map(str, images)], capture_output=True, text=True)
                run = session(model)
                props = run.get_modelmeta().custom_metadata_map
                x = np.stack([prepare(json.loads(props["melo.recipe"]), i) for i in images])
                got = run.run(["logits", "probabilities"], {"image": x})
                want = json.loads(said.stdout)["results"]
                tell(name, distance(got[0], np.array([p["logits"] for p in want])))
                probabilities = np.array([p["probabilities"] for p in want])
                tell(name + " probabilities", distance(got[1], probabilities))


def sites(work):
    """An adapter at every map of a base of each family."""
    rng = np.random.default_rng(4)
    for base in ("timm_siglip", "siglip", "timm_eva02_base", "timm_beit", "beit", "data2vec", "timm_dinov3", "dinov3", "dinov2_reg", "timm_dinov2_reg", "clip_vision",
                 "timm_clip", "timm_deit_distilled", "deit", "mae", "hf_vit", "timm_vit_meanpool"):
        said = subprocess.run([MELO, "inspect", "--json", str(GOLDEN / base)], capture_output=True, text=True)
        side = json.loads(said.stdout)["base"]["image"]
        data, adapter, model = work / f"data_{base}", work / f"{base}.safetensors", work / f"{base}_adapted.onnx"
        for label in "ab":
            (data / label).mkdir(parents=True)
            for i in range(6):
                Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(data / label / f"{i}.png")
        blocks = ["--blocks", "all,pool"] if "siglip" in base else []
        how = ["--mean", "half", "--std", "half", "--crop-pct", "1", "--interpolation", "bicubic"]
        done = subprocess.run([MELO, "train", "--base", str(GOLDEN / base), "--data", str(data), "--sites", "q,k,v,proj,fc1,fc2", "--epochs", "3", "--batch", "4", "--lr",
                               "0.01", "--head-init", "uniform", "--precision", "f32", "--out", str(adapter), *how, *blocks], capture_output=True, text=True)
        if done.returncode == 0:
            done = convert("--base", GOLDEN / base, *how, adapter, model)
        if done.returncode:
            tell(f"{base}, every map", np.inf, done.stderr.strip()[-300:])
            continue
        images = sorted(data.glob("*/*.png"))
        said = subprocess.run([MELO, "predict", "--json", "--base", str(GOLDEN / base), "--adapter", str(adapter), *map(str, images)], capture_output=True, text=True)
        run = session(model)
        recipe = json.loads(run.get_modelmeta().custom_metadata_map["melo.recipe"])
        got = run.run(["logits"], {"image": np.stack([prepare(recipe, i) for i in images])})[0]
        tell(f"{base}, every map", distance(got, np.array([p["logits"] for p in json.loads(said.stdout)["results"]])))


with tempfile.TemporaryDirectory() as folder:
    if "--adapters" not in sys.argv:
        bases(Path(folder))
    sites(Path(folder))
    adapters(Path(folder))
print(f"{len(failed)} fail" if failed else "all agree")
sys.exit(bool(failed))
