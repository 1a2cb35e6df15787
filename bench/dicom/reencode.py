#!/usr/bin/env python3
"""Writes objects of a corpus anew in every syntax that DCMTK, GDCM, CharLS and OpenJPEG write, for compare.py:

    V/bin/python bench/dicom/reencode.py ../shared/dicom OUT
    V/bin/python bench/dicom/compare.py --melo ./melo OUT

Needs DCMTK and GDCM (Debian: dcmtk, libgdcm-tools).
"""
import subprocess
import sys
from pathlib import Path

import pydicom

source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
every = int(sys.argv[3]) if len(sys.argv) > 3 else 1

DCMTK = {f"jll_sv{s}": ["dcmcjpeg", "+el", "+sv", str(s)] for s in range(1, 8)}
DCMTK |= {"jll1": ["dcmcjpeg", "+e1"], "jll_pt1": ["dcmcjpeg", "+el", "+sv", "6", "+pt", "1"], "rle": ["dcmcrle"], "jls": ["dcmcjpls", "+el"],
          "jls_sample": ["dcmcjpls", "+el", "+is"], "jls_none": ["dcmcjpls", "+el", "+in"], "jls_near1": ["dcmcjpls", "+en", "+md", "1"],
          "jls_near5": ["dcmcjpls", "+en", "+md", "5"], "jls_cooked": ["dcmcjpls", "+el", "+pc"], "jpeg_base": ["dcmcjpeg", "+eb"],
          "jpeg_ext": ["dcmcjpeg", "+ee"], "big": ["dcmconv", "+tb"], "implicit": ["dcmconv", "+ti"], "deflated": ["dcmconv", "+td"]}
GDCM = {"g_j2k": ["gdcmconv", "--j2k"], "g_jpegls": ["gdcmconv", "--jpegls"], "g_rle": ["gdcmconv", "--rle"], "g_jpeg": ["gdcmconv", "--jpeg"],
        "g_j2k_lossy": ["gdcmconv", "--j2k", "--lossy", "-q", "70"], "g_j2k_rate": ["gdcmconv", "--j2k", "--lossy", "-r", "40", "-r", "20", "-r", "10"],
        "g_j2k_tile": ["gdcmconv", "--j2k", "-t", "100,60"], "g_j2k_res": ["gdcmconv", "--j2k", "-n", "3"]}

written = failed = 0
for i, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file() and p.suffix not in (".csv", ".md"))):
    try:
        ds = pydicom.dcmread(path, force=True)
        if "PixelData" not in ds or i % every or ds.Rows * ds.Columns * int(ds.get("NumberOfFrames", 1) or 1) > 2_000_000:
            continue
    except Exception:
        continue
    raw = out / "raw.dcm"
    r = subprocess.run(["gdcmconv", "--raw", str(path), str(raw)], capture_output=True)
    if r.returncode:
        continue
    for name, command in (DCMTK | GDCM).items():
        target = out / f"{i:03}_{path.stem}_{name}.dcm"
        r = subprocess.run([*command, str(raw), str(target)], capture_output=True, timeout=120)
        if r.returncode or not target.exists():
            failed += 1
            target.unlink(missing_ok=True)
        else:
            written += 1
    raw.unlink(missing_ok=True)
print(f"{written} written, {failed} that an encoder does not write")
