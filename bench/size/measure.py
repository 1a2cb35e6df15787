"""Peak resident memory of large bases, by the whole process (VmHWM): python measure.py MELO FOLDER... [--python PYTHON]

FOLDERs are those of make.py. A cold start packs the weights and writes the cache, a warm one maps it. Needs the standard
library alone, so that this process is small: a child's peak begins with that of its parent.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import urllib.request
import zlib


def png(path, seed, side=256):
    """Writes noise."""
    rng = random.Random(seed)
    rows = b"".join(b"\0" + rng.randbytes(3 * side) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
                     + chunk(b"IEND", b""))


def peak(command, env):
    """Runs a command; returns MiB and seconds."""
    start = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{command}: status {status}: {said.decode()[-2000:]}")
    return usage.ru_maxrss / 1024, time.monotonic() - start


def serve(command, at, image, env):
    """Starts a server, asks it twice and stops it."""
    start = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://{at}/readyz").read()
                break
            except OSError:
                time.sleep(0.2)
        ready = time.monotonic() - start
        border = "edge"
        body = (f'--{border}\r\nContent-Disposition: form-data; name="image"; filename="i.png"\r\n\r\n'.encode() + image.read_bytes()
                + f'\r\n--{border}\r\nContent-Disposition: form-data; name="adapter"\r\n\r\ntask\r\n--{border}--\r\n'.encode())
        for _ in range(2):
            request = urllib.request.Request(f"http://{at}/v1/predict", body, {"Content-Type": f"multipart/form-data; boundary={border}"})
            json.load(urllib.request.urlopen(request))
    finally:
        child.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(child.pid, 0)
    return usage.ru_maxrss / 1024, ready


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("melo")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--python", help="an interpreter with torch, timm and peft")
    parser.add_argument("--precisions", default="int8,bf16,f32")
    o = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="size"))
    images = [work / "data" / label / f"{label}.png" for label in "ab"]
    for i, image in enumerate(images):
        png(image, i)
    for folder in o.folders:
        name = pathlib.Path(folder).name

        def tell(what, result):
            print(f"{name:4} {what:28} {result[0]:7.0f} MiB {result[1]:6.1f} s", flush=True)

        for precision in o.precisions.split(","):
            env = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"))
            for start in "cold", "warm":
                tell(f"predict {precision} {start}", peak([o.melo, "predict", "--base", folder, "--precision", precision, str(images[0])], env))
            if precision != "f32":
                adapter = work / f"{precision}.safetensors"
                tell(f"train {precision}", peak([o.melo, "train", "--base", folder, "--data", str(work / "data"), "--precision", precision, "--epochs", "1",
                                            "--batch", "2", "--head-init", "uniform", "--out", str(adapter), "--force"], env))
                shelf = work / "shelf"
                shutil.rmtree(shelf, ignore_errors=True)
                shelf.mkdir()
                shutil.copy(adapter, shelf / "task.safetensors")
                at = "127.0.0.1:18471"
                command = [o.melo, "serve", "--base", folder, "--adapters", str(shelf), "--precision", precision, "--listen", at, "--request-timeout", "10m"]
                tell(f"serve {precision}", serve(command, at, images[0], env))
            shutil.rmtree(work / "cache", ignore_errors=True)
        for mode in ("bf16", "int8", "step", "f32") if o.python else ():
            tell(f"PyTorch {mode}", peak([o.python, str(pathlib.Path(__file__).parent / "peer.py"), folder, mode], os.environ))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
