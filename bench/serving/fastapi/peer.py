#!/usr/bin/env python3
"""The peer of `melo serve`: FastAPI, PyTorch, transformers' ViT and PEFT, put together as people do.

One model is loaded with all adapters (`load_adapter`), a request switches to its own (`set_adapter`) under a lock and
runs one image. It takes the same form as melo's /v1/predict and answers with the same fields, so that one load
generator asks both.

    python bench/serving/fastapi/peer.py --base B --adapters DIR --port 8000

B is a base in Hugging Face's naming. DIR has one PEFT folder an adapter, made by `melo convert --to peft`, with a file
labels.txt beside adapter_config.json. --mixed batches requests that wait: up to 8 images with `adapter_names`, as PEFT
offers it.
"""

import argparse
import asyncio
import io
import pathlib
import sys
import threading
import time

import torch
import uvicorn
from fastapi import FastAPI, File, Form, HTTPException, UploadFile
from peft import PeftModel
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
from hfvit import load_base, preprocessing  # noqa: E402


class Switching:
    """One image at a time, switched to its adapter: set_adapter changes the model, so a lock is needed."""

    def __init__(self, model):
        self.model, self.lock = model, threading.Lock()

    async def logits(self, name, x):
        return await asyncio.to_thread(self.run, name, x)

    def run(self, name, x):
        with self.lock, torch.inference_mode():
            self.model.set_adapter(name)
            return self.model(pixel_values=x[None]).logits[0].float()


class Mixed:
    """Images that wait are one batch with adapter_names."""

    def __init__(self, model, most=8):
        self.model, self.most, self.queue = model, most, asyncio.Queue()
        self.task = None

    async def logits(self, name, x):
        if self.task is None:
            self.task = asyncio.create_task(self.loop())
        done = asyncio.get_running_loop().create_future()
        await self.queue.put((name, x, done))
        return await done

    async def loop(self):
        while True:
            batch = [await self.queue.get()]
            while len(batch) < self.most and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            try:
                out = await asyncio.to_thread(self.run, [b[0] for b in batch], torch.stack([b[1] for b in batch]))
                for (_, _, done), y in zip(batch, out):
                    done.set_result(y)
            except Exception as e:
                for _, _, done in batch:
                    done.set_exception(e)

    def run(self, names, x):
        with torch.inference_mode():
            return self.model(pixel_values=x, adapter_names=names).logits.float()


def create(args):
    torch.set_num_threads(args.threads)
    folders = sorted(p.parent for p in args.adapters.glob("*/adapter_config.json"))[: args.limit]
    labels = {p.name: (p / "labels.txt").read_text().split("\n")[:-1] for p in folders}
    sizes = {len(v) for v in labels.values()}
    if len(sizes) != 1:
        raise SystemExit("PEFT swaps classifiers of one size only")
    base = load_base(args.base, sizes.pop())
    model = PeftModel.from_pretrained(base, folders[0], adapter_name=folders[0].name)
    for p in folders[1:]:
        model.load_adapter(p, adapter_name=p.name)
    model.eval()
    if args.bf16:
        model = model.to(torch.bfloat16)
    transform, runner = preprocessing(args.base), (Mixed if args.mixed else Switching)(model)
    app = FastAPI()

    @app.get("/readyz")
    def ready():
        return {}

    @app.post("/v1/predict")
    async def predict(image: UploadFile = File(...), adapter: str = Form(...)):
        if adapter not in labels:
            raise HTTPException(404, f"unknown adapter {adapter}")
        data = await image.read()
        start = time.perf_counter()
        x = await asyncio.to_thread(lambda: transform(Image.open(io.BytesIO(data)).convert("RGB")))
        if args.bf16:
            x = x.to(torch.bfloat16)
        prepared = time.perf_counter()
        probabilities = torch.softmax(await runner.logits(adapter, x), -1).tolist()
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return {"results": [{"adapter": {"name": adapter}, "labels": labels[adapter], "probabilities": probabilities, "label": labels[adapter][best],
                             "timing": {"prepare_seconds": prepared - start, "compute_seconds": time.perf_counter() - prepared}}]}

    return app


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", type=pathlib.Path, required=True)
    p.add_argument("--adapters", type=pathlib.Path, required=True)
    p.add_argument("--limit", type=int, default=None, help="load only so many adapters")
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--mixed", action="store_true")
    args = p.parse_args()
    uvicorn.run(create(args), host="127.0.0.1", port=args.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
