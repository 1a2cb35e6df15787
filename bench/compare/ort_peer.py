"""ONNX Runtime's side of the comparison: inference with the CPU provider. Answers the line protocol of README.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from peer import Peer, Unsupported, serve


class ORTPeer(Peer):
    def __init__(self, args):
        import onnxruntime

        self.ort, self.args, self.batch, self.session = onnxruntime, args, 0, None

    def prepare(self, work: str, batch: int) -> None:
        if work != "forward":
            raise Unsupported("cannot train")
        if batch == self.batch:
            return
        self.session = None
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.args.threads, 1
        options.graph_optimization_level = self.ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_free_dimension_override_by_name("batch", batch)  # a fixed shape lets it plan memory
        self.session = self.ort.InferenceSession(str(self.args.model), options, providers=["CPUExecutionProvider"])
        self.batch = batch

    def forward(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(["logits"], {"images": images})[0]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, required=True, help="ONNX file")
    return parser.parse_args()


if __name__ == "__main__":
    serve(lambda args=options(): ORTPeer(args))
