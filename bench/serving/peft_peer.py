"""Hugging Face's PEFT as a server of many adapters beside one ViT, in each of the ways that it has.

Reads commands from standard input and answers one JSON line each; see README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compare"))

from peer import formula  # noqa: E402
from torch_peer import hf_model  # noqa: E402


def rss() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return 0


class Server:
    def __init__(self, args):
        from peft import PeftModel

        self.args = args
        self.folders = sorted(args.adapters.iterdir())
        self.names = [f.name for f in self.folders]
        self.model = PeftModel.from_pretrained(hf_model(args.base), self.folders[0], adapter_name=self.names[0]).eval()
        before = rss()
        for name, folder in zip(self.names[1:], self.folders[1:]):
            self.model.load_adapter(folder, adapter_name=name)
        self.bytes = rss() - before
        self.model.eval()
        self.images = torch.from_numpy(formula(1, 0, 1, 3, 224, 224))
        self.swapped = None

    def forward(self, n: int, **names) -> torch.Tensor:
        with torch.inference_mode():
            return self.model(pixel_values=self.images.expand(n, -1, -1, -1), **names).logits

    def each(self, n: int, switch) -> float:
        """n requests, one after the other, each with its own adapter; the time of the switches."""
        spent = 0.0
        for i in range(n):
            start = time.perf_counter()
            switch(i)
            spent += time.perf_counter() - start
            self.forward(1)
        return spent

    def stay(self, n: int) -> float:
        self.model.set_adapter(self.names[0])
        return self.each(n, lambda i: None)

    def set(self, n: int) -> float:
        return self.each(n, lambda i: self.model.set_adapter(self.names[i % len(self.names)]))

    def uniform(self, n: int) -> float:
        self.model.set_adapter(self.names[0])
        self.forward(n)
        return 0.0

    def mixed(self, n: int) -> float:
        self.forward(n, adapter_names=[self.names[i % len(self.names)] for i in range(n)])
        return 0.0

    def hotswap(self, n: int) -> float:
        """A model with one adapter, whose matrices and head are replaced by those of a file for each request."""
        from peft import PeftModel
        from peft.utils.hotswap import hotswap_adapter_from_state_dict
        from safetensors.torch import load_file

        if self.swapped is None:
            self.swapped = PeftModel.from_pretrained(hf_model(self.args.base), self.folders[0], adapter_name="default").eval()
        model, config = self.swapped, self.swapped.peft_config["default"]
        head = model.base_model.model.classifier.modules_to_save["default"]

        def swap(i: int) -> None:
            state = load_file(self.folders[i % len(self.folders)] / "adapter_model.safetensors")
            matrices = {k.replace(".weight", ".default.weight"): v for k, v in state.items() if ".lora_" in k}
            hotswap_adapter_from_state_dict(model, matrices, adapter_name="default", config=config)
            # It does not know modules_to_save: the head is copied by hand.
            head.load_state_dict({k.rsplit(".", 1)[1]: v for k, v in state.items() if ".lora_" not in k})

        kept, self.model = self.model, model
        try:
            return self.each(n, swap)
        finally:
            self.model = kept

    def reload(self, n: int) -> float:
        """A whole model for each request, as services without adapters have it."""
        kept = self.model

        def load(i: int) -> None:
            self.model = hf_model(self.args.base).eval()

        try:
            return self.each(n, load)
        finally:
            self.model = kept

    def answer(self, words: list[str]) -> dict:
        if words[0] == "logits":
            self.model.set_adapter(self.names[int(words[1])])
            return {"logits": self.forward(1)[0].tolist()}
        if words[0] == "bytes":
            return {"bytes": self.bytes}
        start = time.perf_counter()
        switching = {"stay": self.stay, "set": self.set, "uniform": self.uniform, "mixed": self.mixed, "hotswap": self.hotswap,
                     "reload": self.reload}[words[0]](int(words[1]))
        return {"seconds": time.perf_counter() - start, "switching": switching}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base", type=Path, required=True, help="timm folder")
    parser.add_argument("--adapters", type=Path, required=True, help="folder of PEFT folders")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    server = None
    for line in sys.stdin:
        try:
            server = server or Server(args)
            doc = server.answer(line.split())
        except Exception as e:  # the table names what failed and goes on without it
            doc = {"error": f"{type(e).__name__}: {e}".splitlines()[0][:300]}
        print(json.dumps(doc), flush=True)


if __name__ == "__main__":
    main()
