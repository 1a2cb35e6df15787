#!/usr/bin/env python3
"""Drives a running `melo serve` with KServe's InferenceClient, over REST and gRPC, and with gRPC's reflection and health.

    python -m venv venv && venv/bin/pip install -r tools/kserveclient/requirements.txt
    melo serve --base B --adapters DIR &
    venv/bin/python tools/kserveclient/check.py --adapter busi --side 224

One line is printed for each thing that was tried; the first that is not as it should be ends the run with status 1.
"""

import argparse
import asyncio
import sys

ARGUMENTS, sys.argv = sys.argv[1:], sys.argv[:1]  # kserve reads the command line when it is imported

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


def expect(condition, what, detail=""):
    if not condition:
        sys.exit(f"NOT AS IT SHOULD BE  {what}: {detail}")
    print(f"ok  {what}" + (f": {detail}" if detail else ""))


def request(adapter, x, datatype, binary):
    tensor = InferInput("pixel_values", list(x.shape), datatype)
    tensor.set_data_from_numpy(x, binary_data=binary)
    return InferRequest(model_name=adapter, infer_inputs=[tensor])


def logits(response):
    return np.asarray(response.outputs[0].as_numpy(), np.float32).reshape(-1)


async def rest(o, x):
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    expect(await client.is_server_live(o.url) is True, "REST live")
    expect(await client.is_server_ready(o.url) is True, "REST ready")
    expect(await client.is_model_ready(o.url, o.adapter) is True, "REST model ready")
    expect(await client.is_model_ready(o.url, "nobody") is False, "REST unknown model is not ready")
    first = None
    for datatype, values in (("FP32", x), ("FP16", x.astype(np.float16))):
        for binary in (False, True) if datatype == "FP32" else (True,):  # KServe sends FP16 in binary form alone
            answer = await client.infer(o.url, request(o.adapter, values, datatype, binary), model_name=o.adapter)
            expect(np.isfinite(logits(answer)).all(), f"REST infer {datatype}", f"binary {binary}, in {answer.parameters['precision']}")
            if first is None:
                first = logits(answer)
            expect(datatype != "FP32" or (logits(answer) == first).all(), "the same bits")
    return first


async def rpc(o, x, first):
    client = InferenceGRPCClient(o.grpc)
    expect(await client.is_server_live(), "gRPC live")
    expect(await client.is_server_ready(), "gRPC ready")
    expect(await client.is_model_ready(o.adapter), "gRPC model ready")
    expect(not await client.is_model_ready("nobody"), "gRPC unknown model is not ready")
    answer = await client.infer(request(o.adapter, x, "FP32", True))
    expect((logits(answer) == first).all(), "gRPC infer", "the same bits as over REST")


def services(o):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
        channel = grpc.insecure_channel(o.grpc, compression=compression)
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
        expect("inference.GRPCInferenceService" in names, "reflection", f"{len(names)} services, {compression.name}")
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for name in ("", o.adapter):
            expect(stub.Check(health_pb2.HealthCheckRequest(service=name)).status == serving, f"health of {name!r}")
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=o.adapter))
        expect(next(iter(watch)).status == serving, "health is watched")
        watch.cancel()
        channel.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--url", default="http://127.0.0.1:8080")
    p.add_argument("--grpc", default="127.0.0.1:8081")
    p.add_argument("--adapter", required=True)
    p.add_argument("--side", type=int, default=224)
    o = p.parse_args(ARGUMENTS)
    x = np.random.default_rng(1).standard_normal((1, 3, o.side, o.side)).astype(np.float32)
    first = asyncio.run(rest(o, x))
    asyncio.run(rpc(o, x, first))
    services(o)


main()
