#!/usr/bin/env python3
"""Compares what `melo dicom show` makes of DICOM files with pydicom and DCMTK, file by file.

    python3 -m venv V && V/bin/pip install pydicom==3.0.2 pylibjpeg pylibjpeg-openjpeg pylibjpeg-libjpeg pylibjpeg-rle pyjpegls numpy Pillow
    apt-get install dcmtk                                       # dcm2pnm, dcmj2pnm: for displayed grey values
    go build -o melo ./cmd/melo
    V/bin/python bench/dicom/compare.py --melo ./melo FOLDER... [--inventory inventory.csv] [--grey]

Samples: the digest of all decoded samples against pydicom's raw array; where it differs, the greatest difference. With
--grey the first frame's displayed values against pydicom's apply_modality_lut and apply_voi_lut and against dcm2pnm, in
levels of 256. An object that pydicom refuses must be refused, or is listed as "melo alone".
"""
import argparse
import collections
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

warnings.simplefilter("ignore")


def show(melo, path, picture):
    command = [melo, "--json", "dicom", "show", "--no-dump", "--samples", picture + ".raw", "--picture", picture, str(path)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return out.returncode, json.loads(out.stdout) if out.stdout.startswith("{") else {}, out.stderr.strip()


def digest(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()[:16]


def displayed(ds):
    """The first frame after modality and VOI LUT, from 0 to 1, or None where pydicom has no rule."""
    if ds.SamplesPerPixel != 1 or ds.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    if "WindowCenter" not in ds and "VOILUTSequence" not in ds:
        return None
    stored = pixel_array(ds, index=0)
    values = apply_modality_lut(stored, ds)
    out = apply_voi_lut(values, ds).astype(float)
    if "VOILUTSequence" in ds and len(ds.VOILUTSequence):
        out /= 2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1
    else:
        # pydicom stretches to the range of stored values, rescaled.
        lo, hi = (-(2 ** (ds.BitsStored - 1)), 2 ** (ds.BitsStored - 1) - 1) if ds.PixelRepresentation else (0, 2**ds.BitsStored - 1)
        slope, intercept = float(ds.get("RescaleSlope", 1) or 1), float(ds.get("RescaleIntercept", 0) or 0)
        if "ModalityLUTSequence" in ds and len(ds.ModalityLUTSequence):
            lo, hi, slope, intercept = 0, 2.0 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1, 1, 0
        lo, hi = lo * slope + intercept, hi * slope + intercept
        out = (out - lo) / (hi - lo)
    return 1 - out if ds.PhotometricInterpretation == "MONOCHROME1" else out


def dcmtk(path, tables):
    """The first frame as dcm2pnm (dcmj2pnm for JPEG) writes it through the first window or VOI LUT."""
    with tempfile.TemporaryDirectory() as tmp:
        for tool in ("dcm2pnm", "dcmj2pnm", "dcml2pnm"):
            out = Path(tmp) / "out.png"
            option = ["+Wl", "1"] if tables else ["+Wi", "1"]
            r = subprocess.run([tool, "+on", *option, str(path), str(out)], capture_output=True, timeout=120)
            if r.returncode == 0 and out.exists():
                return np.asarray(Image.open(out).convert("L")).astype(float)
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--melo", default="melo")
    p.add_argument("--inventory", type=Path, help="a CSV with core_path, pix_sha256, error: compared as well")
    p.add_argument("--grey", action="store_true")
    p.add_argument("--quiet", action="store_true", help="only what is not equal")
    p.add_argument("folders", nargs="+", type=Path)
    a = p.parse_args()

    known = {}
    if a.inventory:
        known = {r["core_path"]: r for r in csv.DictReader(open(a.inventory))}
    table = collections.defaultdict(collections.Counter)
    greys = collections.Counter()
    for folder in a.folders:
        for path in sorted(q for q in folder.rglob("*") if q.is_file() and q.suffix not in (".csv", ".md")):
            try:
                ds = pydicom.dcmread(path, force=True)
                syntax = str(ds.file_meta.get("TransferSyntaxUID", "")) if hasattr(ds, "file_meta") else ""
            except Exception as e:
                ds, syntax = None, f"unreadable: {type(e).__name__}"
            with tempfile.TemporaryDirectory() as tmp:
                picture = str(Path(tmp) / "p.png")
                status, doc, error = show(a.melo, path, picture)
                verdict, detail = samples(ds, doc, status, error, Path(picture + ".raw"))
                row = known.get(str(path.relative_to(folder)))
                if row and row["pix_sha256"]:
                    verdict += ", inventory " + ("equal" if row["pix_sha256"] == doc.get("pix_sha256") else "differs")
                table[syntax][verdict] += 1
                if not (a.quiet and verdict.startswith(("equal", "no pixels")) and not verdict.endswith("differs")):
                    print(f"{path.relative_to(folder)}\t{syntax}\t{verdict}\t{detail}")
                if a.grey and ds is not None and doc.get("pixels") and Path(picture).exists():
                    grey(ds, path, picture, greys)
    print()
    for syntax in sorted(table):
        name = pydicom.uid.UID(syntax).name if syntax[:1].isdigit() else syntax
        print(f"{syntax:26} {name[:50]:50}", ", ".join(f"{n} {v}" for v, n in table[syntax].most_common()))
    if a.grey:
        print("displayed grey values:", dict(greys))


def samples(ds, doc, status, error, raw):
    """How the samples compare, and a detail."""
    try:
        if ds is None or not any(k in ds for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            return ("no pixels", "") if not doc.get("pixels") else ("melo alone", "")
        want = pixel_array(ds, raw=True)
    except Exception as e:
        why = str(e).splitlines()[0][:80]
        return ("both refuse", f"{why} | {error[-120:]}") if status else ("melo alone", why)
    if status:
        return "refused", error[-200:]
    if digest(want) == doc["pix_sha256"]:
        return "equal", ""
    got = np.frombuffer(raw.read_bytes(), want.dtype.newbyteorder("<"))
    if got.size != want.size:
        return "differs", f"{got.size} samples, expected {want.size}"
    off = np.abs(got.reshape(want.shape).astype(np.int64) - want.astype(np.int64))
    return ("differs by one" if off.max() <= 1 else "differs"), f"{want.dtype} {want.shape}: at most {off.max()}, {(off > 0).mean():.2e} of samples"


def grey(ds, path, picture, greys):
    got = Image.open(picture)
    got = np.asarray(got).astype(float) / (65535 if got.mode.startswith("I") else 255)
    try:
        want = displayed(ds)
    except Exception:
        want = None
    if want is not None and want.shape == got.shape:
        worst = np.abs(want - got).max() * 255
        greys["pydicom within one level" if worst <= 1 else "pydicom beyond one level"] += 1
        if worst > 1:
            print(f"  grey {path}: {worst:.2f} levels from pydicom")
        other = dcmtk(path, "VOILUTSequence" in ds)
        if other is not None and other.shape == got.shape:
            worst = np.abs(other - got * 255).max()
            greys["dcm2pnm within one level" if worst <= 1.01 else "dcm2pnm beyond one level"] += 1
            if worst > 1.01:
                print(f"  grey {path}: {worst:.2f} levels from dcm2pnm")


if __name__ == "__main__":
    sys.exit(main())
