#!/usr/bin/env python3
"""Drives a running `melo serve` with NVIDIA's tritonclient, over HTTP and gRPC, and compares with `melo predict`.

    python -m venv venv && venv/bin/pip install -r tools/tritonclient/requirements.txt
    melo serve --base B --adapters DIR &
    venv/bin/python tools/tritonclient/check.py --melo bin/melo --base B --adapter DIR/busi.safetensors IMAGE...

The adapter must be one that the server has under the name of its file, in the same precision (f32). It is unloaded and
loaded, and published a second time under another name, which stays in the folder (and is unloaded at the end). One line
is printed for each thing that was tried; the first that is not as it should be ends the run with status 1.
"""

import argparse
import base64
import json
import pathlib
import subprocess
import sys

import numpy as np
import tritonclient.grpc as tritongrpc
import tritonclient.http as tritonhttp
from PIL import Image
from tritonclient.utils import InferenceServerException

SECOND = "tritonclient-check"


def ok(what, detail=""):
    print(f"ok  {what}" + (f": {detail}" if detail else ""))


def expect(condition, what, detail=""):
    if not condition:
        sys.exit(f"NOT AS IT SHOULD BE  {what}: {detail}")
    ok(what, detail)


def melo(program, *arguments):
    """Returns the --json document of a command."""
    out = subprocess.run([program, "--json", *arguments], check=True, capture_output=True).stdout
    return json.loads(out)


def prepare(path, recipe):
    """Makes the input tensor by Pillow or torchvision, as the recipe says, for one that squashes the image."""
    if recipe.get("resize", 0) not in (0, None):
        sys.exit("the check prepares tensors for recipes without a crop only")
    size = recipe["size"]
    image = Image.open(path).convert("RGB")
    match recipe.get("resampling", ""):
        case "":
            image = image.resize((size, size), getattr(Image.Resampling, recipe["interpolation"].upper()))
        case "torchvision":
            image = torchvision_resize(image, size, recipe["interpolation"])
        case other:
            sys.exit(f"the check cannot resample by {other}")
    x = np.asarray(image, np.float32) / np.float32(255)
    x = (x - np.asarray(recipe["mean"], np.float32)) / np.asarray(recipe["std"], np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1)).astype(np.float32)


def torchvision_resize(image, size, interpolation):
    """Resizes bytes by torchvision; returns [size, size, 3]."""
    import torch
    from torchvision.transforms.v2 import InterpolationMode, functional

    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    x = functional.resize(x, [size, size], InterpolationMode(interpolation), antialias=True)
    return x.permute(1, 2, 0).numpy()


class Door:
    """One of the two clients, with what differs between them."""

    def __init__(self, name, module, client, **json_options):
        self.name, self.module, self.client, self.json = name, module, client, json_options
        self.http = module is tritonhttp

    def input(self, name, value, datatype, binary=True):
        t = self.module.InferInput(name, list(value.shape), datatype)
        t.set_data_from_numpy(value, **({"binary_data": binary} if self.http else {}))
        return t

    def output(self, name, classes=0, binary=True):
        options = {"binary_data": binary} if self.http else {}
        return self.module.InferRequestedOutput(name, class_count=classes, **options)

    def infer(self, model, tensor, outputs=None, **options):
        return self.client.infer(model, [tensor], outputs=outputs, **options)


def field(document, name):
    """Reads a field of a JSON document or of a message."""
    return document[name] if isinstance(document, dict) else getattr(document, name)


def health(d, model):
    expect(d.client.is_server_live() and d.client.is_server_ready(), f"{d.name}: live and ready")
    expect(d.client.is_model_ready(model), f"{d.name}: model ready")
    expect(not ready(d, "no-such-adapter"), f"{d.name}: an unknown model is not ready")


def ready(d, model):
    try:
        return d.client.is_model_ready(model)
    except InferenceServerException as e:  # the gRPC client raises, the HTTP client says False
        ok(f"{d.name}: status of an unknown model", f"{e.status()}")
        return False


def metadata(d, model, labels):
    m = d.client.get_server_metadata(**d.json)
    expect("model_repository" in list(field(m, "extensions")), f"{d.name}: server metadata", f"{field(m, 'name')} {field(m, 'version')}, {', '.join(field(m, 'extensions'))}")
    m = d.client.get_model_metadata(model, **d.json)
    shapes = {field(t, "name"): [int(x) for x in field(t, "shape")] for t in [*field(m, "inputs"), *field(m, "outputs")]}
    expect(shapes["logits"] == [-1, len(labels)], f"{d.name}: model metadata", f"{shapes}, versions {list(field(m, 'versions'))}")
    c = d.client.get_model_config(model, **d.json)
    c = c if d.http else field(c, "config")
    expect([field(t, "name") for t in field(c, "output")] == ["logits", "probabilities", "label"], f"{d.name}: model config",
           f"max_batch_size {field(c, 'max_batch_size')}")


def same(a, b):
    return np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))


def infer(d, model, paths, recipe, want):
    """Compares every way of asking with what `melo predict` answers to the same files."""
    tensors = np.stack([prepare(p, recipe) for p in paths])
    encoded = np.array([p.read_bytes() for p in paths], dtype=np.object_)
    logits = [r["logits"] for r in want["results"]]
    probabilities = [r["probabilities"] for r in want["results"]]
    names = [r["label"].encode() for r in want["results"]]

    r = d.infer(model, d.input("pixel_values", tensors, "FP32"), request_id="check-1")
    response = r.get_response()
    expect(same(r.as_numpy("logits"), logits), f"{d.name}: {len(paths)} tensors, binary", "logits equal those of melo predict, bit for bit")
    expect(same(r.as_numpy("probabilities"), probabilities), f"{d.name}: probabilities equal")
    got = [x if isinstance(x, bytes) else x.encode() for x in r.as_numpy("label")]
    expect(got == names, f"{d.name}: labels equal", ", ".join(x.decode() for x in got))
    parameters = field(response, "parameters")
    digest = parameters["digest"] if d.http else parameters["digest"].string_param
    expect(digest == want["adapter"]["digest"] and field(response, "id") == "check-1", f"{d.name}: digest and id in the answer", digest)

    r = d.infer(model, d.input("image", encoded, "BYTES"), [d.output("logits")])
    expect(same(r.as_numpy("logits"), logits) and r.as_numpy("label") is None, f"{d.name}: {len(paths)} image files, only logits asked for")

    r = d.infer(model, d.input("image", encoded[:1], "BYTES"), model_version=digest)
    expect(same(r.as_numpy("logits"), logits[:1]), f"{d.name}: by digest as version")

    r = d.infer(model, d.input("image", encoded, "BYTES"), [d.output("probabilities", classes=2)])
    best = r.as_numpy("probabilities")[0][0]
    best = best.decode() if isinstance(best, bytes) else best
    expect(best.split(":")[2] == want["results"][0]["label"], f"{d.name}: classification", best)

    if d.http:
        text = np.array([base64.b64encode(paths[0].read_bytes())], dtype=np.object_)
        r = d.infer(model, d.input("image", text, "BYTES", binary=False), [d.output("logits", binary=False), d.output("label", binary=False)])
        expect(same(r.as_numpy("logits"), logits[:1]), "http: image as base64 in JSON, answer in JSON", r.as_numpy("label")[0])
        r = d.infer(model, d.input("pixel_values", tensors[:1], "FP32", binary=False), [d.output("logits", binary=False)])
        expect(same(r.as_numpy("logits"), logits[:1]), "http: tensor in JSON, answer in JSON")
    else:
        stream(d, model, encoded, logits)
    refusals(d, model)


def stream(d, model, encoded, logits):
    answers = []
    d.client.start_stream(callback=lambda result, error: answers.append((result, error)))
    for i in range(len(encoded)):
        d.client.async_stream_infer(model, [d.input("image", encoded[i:i + 1], "BYTES")], request_id=str(i))
    d.client.async_stream_infer("no-such-adapter", [d.input("image", encoded[:1], "BYTES")], request_id="bad")
    d.client.stop_stream()
    good = [(r.get_response().id, r.as_numpy("logits")[0]) for r, e in answers if e is None]
    expect(all(same(x, logits[int(i)]) for i, x in good) and len(good) == len(encoded) and len(answers) == len(encoded) + 1,
           f"grpc: stream of {len(encoded)} requests and one that fails", str([e for _, e in answers if e][0]))


def refusals(d, model):
    cases = {
        "unknown model": ("no-such-adapter", d.input("pixel_values", np.zeros([1, 3, 224, 224], np.float32), "FP32")),
        "wrong shape": (model, d.input("pixel_values", np.zeros([1, 3, 5, 5], np.float32), "FP32")),
        "wrong type": (model, d.input("pixel_values", np.zeros([1, 3, 224, 224], np.int8), "INT8")),
        "no image": (model, d.input("image", np.array([b"abc"], dtype=np.object_), "BYTES")),
        "not finite": (model, d.input("pixel_values", np.full([1, 3, 224, 224], np.nan, np.float32), "FP32")),
    }
    for what, (name, tensor) in cases.items():
        try:
            d.infer(name, tensor)
        except InferenceServerException as e:
            ok(f"{d.name}: {what} is refused", f"{e.status()}: {e.message()}")
        else:
            sys.exit(f"NOT AS IT SHOULD BE  {d.name}: {what} was answered")


def repository(d, model, file, want):
    def states():
        index = d.client.get_model_repository_index(**d.json)
        models = index if d.http else field(index, "models")
        return {field(m, "name"): field(m, "state") if d.http else m.state for m in models}

    expect(states()[model] == "READY", f"{d.name}: repository index", f"{len(states())} names")
    d.client.unload_model(model)
    expect(states()[model] == "UNLOADED" and not ready(d, model), f"{d.name}: unload")
    d.client.load_model(model)
    expect(ready(d, model), f"{d.name}: load")
    d.client.load_model(SECOND, config="{}", files={"file:1/model.safetensors": file.read_bytes()})
    m = d.client.get_model_metadata(SECOND, **d.json)
    expect(field(m, "name") == SECOND and want["adapter"]["digest"][7:19] in list(field(m, "versions")), f"{d.name}: load of a file that is sent", SECOND)
    try:
        d.client.load_model(SECOND, config="{}", files={"file:1/model.safetensors": b"no adapter"})
    except InferenceServerException as e:
        expect(ready(d, SECOND), f"{d.name}: a broken file is refused, the old one stays", f"{e.status()}: {e.message()}")
    else:
        sys.exit(f"NOT AS IT SHOULD BE  {d.name}: a broken file was taken")
    d.client.unload_model(SECOND)


def statistics(d, model):
    s = d.client.get_inference_statistics(model, **d.json)
    s = field(s, "model_stats")[0]
    success = field(field(s, "inference_stats"), "success")
    expect(int(field(success, "count")) > 0, f"{d.name}: statistics",
           f"{field(s, 'inference_count')} inferences in {field(s, 'execution_count')} batches, {int(field(success, 'ns')) / 1e6:.1f} ms together")


def unsupported(d):
    try:
        d.client.get_system_shared_memory_status()
    except InferenceServerException as e:
        ok(f"{d.name}: shared memory is refused", f"{e.status()}: {e.message()}")
    else:
        sys.exit(f"NOT AS IT SHOULD BE  {d.name}: shared memory was answered")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--http", default="127.0.0.1:8080")
    p.add_argument("--grpc", default="127.0.0.1:8081")
    p.add_argument("--melo", default="melo", help="the program")
    p.add_argument("--base", required=True)
    p.add_argument("--adapter", required=True, type=pathlib.Path)
    p.add_argument("images", nargs="+", type=pathlib.Path)
    o = p.parse_args()
    model = o.adapter.stem
    want = melo(o.melo, "predict", "--base", o.base, "--adapter", str(o.adapter), *map(str, o.images))
    recipe = melo(o.melo, "inspect", str(o.adapter))["adapter"]["metadata"]["recipe"]
    for d in (Door("http", tritonhttp, tritonhttp.InferenceServerClient(o.http)),
              Door("grpc", tritongrpc, tritongrpc.InferenceServerClient(o.grpc))):
        health(d, model)
        metadata(d, model, want["labels"])
        infer(d, model, o.images, recipe, want)
        repository(d, model, o.adapter, want)
        statistics(d, model)
        unsupported(d)
        d.client.close()
    print("everything is as it should be")


if __name__ == "__main__":
    main()
