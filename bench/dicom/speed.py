#!/usr/bin/env python3
"""Times decoding on one thread, melo's in turns with pydicom's C libraries (pylibjpeg, pyjpegls), on a CT slice of 512 x 512 and a mammogram
of 4,096 x 3,328 and 12 bits, both drawn by formula, in each syntax. Before timing both give the same samples.

    go build -o decode ./bench/dicom/decode
    V/bin/python bench/dicom/speed.py ./decode [rounds]

Needs pydicom, pylibjpeg with its plugins, pyjpegls, and DCMTK for JPEG lossless.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np
import pydicom
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/golden_dicom"))
import jpeg as golden  # builds objects

warnings.simplefilter("ignore")
decode, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3


def scene(height, width, bits):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    a = 0.4 + 0.3 * np.exp(-(((x - width / 2) / (width / 3)) ** 2 + ((y - height / 2) / (height / 2)) ** 2))
    for f in (3, 7, 19, 51):
        a += 0.05 / f**0.5 * np.sin(f * x / width * 6.28 + f) * np.cos(f * y / height * 6.28)
    a[:, : width // 6] = 0
    a += (a > 0) * rng.normal(0, 0.002, a.shape)
    return (np.clip(a, 0, 1) * (2**bits - 1)).astype(np.uint16)


def pydicom_ms(path):
    least, begin, n = 1e9, time.perf_counter(), 0
    ds = pydicom.dcmread(path)
    while n < 3 or time.perf_counter() - begin < 0.5:
        start = time.perf_counter()
        pixel_array(ds, raw=True)
        least, n = min(least, (time.perf_counter() - start) * 1000), n + 1
    return least


with tempfile.TemporaryDirectory() as tmp:
    files = []
    for name, a, bits in (("CT 512 x 512, 16 bits", scene(512, 512, 16), 16), ("mammogram 4,096 x 3,328, 12 bits", scene(4096, 3328, 12), 12)):
        ds = golden.dataset(a, bits, 16, 1)
        plain = Path(tmp) / f"{bits}.dcm"
        ds.save_as(plain, enforce_file_format=True)
        for what, make in (("RLE", RLELossless), ("JPEG lossless", ["dcmcjpeg", "+e1"]), ("JPEG lossless, predictor 4", ["dcmcjpeg", "+el", "+sv", "4"]),
                           ("JPEG-LS", JPEGLSLossless), ("JPEG 2000 lossless", JPEG2000Lossless)):
            path = Path(tmp) / f"{bits}-{what.replace(' ', '_')}.dcm"
            if isinstance(make, list):
                subprocess.run([*make, plain, path], check=True, capture_output=True)
            else:
                ds = pydicom.dcmread(plain)
                ds.compress(make, generate_instance_uid=False)
                ds.save_as(path, enforce_file_format=True)
            files.append((name, what, path))
    print(f"{'':34} {'':28} {'melo ms':>9} {'C ms':>9}  C/melo")
    for name, what, path in files:
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(float(subprocess.run([decode, path], check=True, capture_output=True, text=True).stdout.split("\t")[0]))
            theirs.append(pydicom_ms(path))
        ratios = [t / o for o, t in zip(ours, theirs)]
        print(f"{name:34} {what:28} {min(ours):9.2f} {min(theirs):9.2f}  {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
