"""Times dicom/jpeg2000 beside OpenJPEG, both with one thread, in turns, on a CT slice and a mammogram drawn here.

Needs numpy, scipy and imagecodecs. Run from the top of the repository: python bench/dicom/jpeg2000.py [rounds]
"""
import os, subprocess, sys, tempfile, time

import imagecodecs
import numpy as np
from scipy.ndimage import gaussian_filter

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5


def ct():
    """512 x 512, signed, a body with organs and a scanner's noise of 12 HU in air of -1000."""
    r = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = (x / 0.85) ** 2 + (y / 0.65) ** 2 < 1
    hu = 40 + 60 * gaussian_filter(r.normal(size=(512, 512)), 12) * 12
    hu[((x - 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < 1] = -800
    hu[((x + 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < 1] = -800
    hu[x**2 + ((y - 0.45) / 1) ** 2 < 0.01] = 700
    hu = gaussian_filter(np.where(body, hu, -1000), 0.8) + gaussian_filter(r.normal(0, 22, (512, 512)), 0.6)
    return np.clip(np.round(hu), -1024, 3071).astype(np.int16)


def mammogram():
    """4,096 x 3,328, 12 bits: a breast with texture and noise on black."""
    r = np.random.default_rng(2)
    h, w = 4096, 3328
    y, x = np.mgrid[-1:1:h * 1j, 0:1:w * 1j]
    depth = np.clip(1 - (x / 0.8) ** 2 - (y / 0.85) ** 2, 0, None) ** 0.5
    texture = sum(s * gaussian_filter(r.normal(size=(h // 4, w // 4)), s) for s in (2, 6, 20))
    texture = np.kron(texture, np.ones((4, 4)))
    v = np.where(depth > 0, 900 + 1600 * depth + 220 * gaussian_filter(texture, 3) + r.normal(0, 9, (h, w)), 0)
    return np.clip(np.round(v), 0, 4095).astype(np.uint16)


def main():
    with tempfile.TemporaryDirectory() as d:
        tool = f"{d}/jpeg2000"
        subprocess.run(["go", "build", "-o", tool, "./bench/dicom/jpeg2000"], check=True)
        files = {}
        for name, a in (("ct", ct()), ("mammogram", mammogram())):
            bits = 16 if name == "ct" else 12
            codings = {
                "J2K lossless": imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True, bitspersample=bits),
                "J2K lossy": imagecodecs.jpeg2k_encode(a, level=85 if name == "ct" else 60, codecformat="j2k", reversible=False, bitspersample=bits),
                "HTJ2K lossless": imagecodecs.htj2k_encode(a, reversible=True),
                "HTJ2K lossy": imagecodecs.htj2k_encode(a, level=0.0001 if name == "ct" else 0.001, reversible=False),
            }
            for coding, data in codings.items():
                path = f"{d}/{name} {coding}.j2k".replace(" ", "_")
                open(path, "wb").write(data)
                files[path] = (name, coding, a.size, data)
        best = {p: [9e9, 9e9, 9e9] for p in files}
        for _ in range(ROUNDS):
            for path, (name, coding, _, data) in files.items():
                again = 60 if name == "ct" else 3
                out = subprocess.run([tool, "-n", str(again), path], check=True, capture_output=True, text=True).stdout
                best[path][0] = min(best[path][0], float(out.split()[-1]))
                for i, f in ((1, lambda: imagecodecs.jpeg2k_decode(data, numthreads=1)),
                             (2, lambda: imagecodecs.htj2k_decode(data))):
                    if i == 2 and "HT" not in coding:
                        continue
                    for _ in range(again):
                        start = time.perf_counter()
                        f()
                        best[path][i] = min(best[path][i], time.perf_counter() - start)
        if os.environ.get("KEEP"):
            subprocess.run(["cp", "-r", d, os.environ["KEEP"]])
        print(f"{'picture':10} {'coding':15} {'bytes':>9} {'ours ms':>8} {'OpenJPEG ms':>12} {'ratio':>6} {'OpenJPH ms':>11}")
        for path, (name, coding, _, data) in files.items():
            a, b, c = best[path]
            print(f"{name:10} {coding:15} {len(data):9} {a * 1e3:8.1f} {b * 1e3:12.1f} {b / a:6.2f}"
                  f" {c * 1e3 if c < 9e8 else float('nan'):11.1f}")


main()
