"""OpenVINO's side of the comparison: inference on the CPU. Answers the line protocol of README.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from peer import Peer, Unsupported, serve


class OpenVINOPeer(Peer):
    def __init__(self, args):
        import openvino

        self.ov, self.args, self.batch, self.request = openvino, args, 0, None
        self.core = openvino.Core()
        if args.precision == "bf16" and "BF16" not in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unsupported("OpenVINO finds no BF16 instructions on this CPU")

    def prepare(self, work: str, batch: int) -> None:
        if work != "forward":
            raise Unsupported("cannot train")
        if batch == self.batch:
            return
        self.request = None
        model = self.core.read_model(self.args.model)
        model.reshape([batch, 3, 224, 224])
        config = {"INFERENCE_NUM_THREADS": self.args.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        if self.args.precision != "auto":  # auto: what the quantised graph leaves in floating point is as the engine likes
            config["INFERENCE_PRECISION_HINT"] = self.args.precision
        compiled = self.core.compile_model(model, "CPU", config)
        self.request, self.batch = compiled.create_infer_request(), batch

    def forward(self, images: np.ndarray) -> np.ndarray:
        return self.request.infer([images], share_inputs=True)[0]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, required=True, help="ONNX or IR file")
    parser.add_argument("--precision", choices=("f32", "bf16", "auto"), default="f32")
    return parser.parse_args()


if __name__ == "__main__":
    serve(lambda args=options(): OpenVINOPeer(args))
