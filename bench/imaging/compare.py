"""Holds package imaging beside Pillow (and tifffile, where Pillow cannot read a TIFF), file by file.

    go build -o /tmp/decode ./bench/imaging
    python bench/imaging/compare.py /tmp/decode FOLDER_OR_FILE... [--list KIND]

A file is "equal" (every sample), "near" (JPEG and WebP: mean difference of at most half a level), "refused" (by us, by name;
or by both), or "differs". README.md says where corpora come from, and explains what differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

warnings.filterwarnings("ignore")
Image.MAX_IMAGE_PIXELS = 60_000_000  # an error from twice as many on
SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".rle", ".tif", ".tiff", ".btf", ".webp",
            ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"}


def files(paths):
    for p in map(Path, paths):
        if p.is_dir():
            yield from sorted(f for f in p.rglob("*") if f.is_file() and f.suffix.lower() in SUFFIXES)
        else:
            yield p


def ours(program, names):
    """A dict from name to (description, samples [h, w, c] or None)."""
    with tempfile.TemporaryDirectory() as tmp:
        raw = Path(tmp) / "samples"
        done = subprocess.run([program, raw], input="\n".join(names) + "\n", capture_output=True, text=True, check=True)
        out, samples = {}, np.memmap(raw, np.uint8, "r") if raw.stat().st_size else np.zeros(0, np.uint8)
        at = 0
        for text in done.stdout.splitlines():
            d = json.loads(text)
            a = None
            if "error" not in d:
                a = np.array(samples[at:at + d["bytes"]])
                at += d["bytes"]
                a = a.view("<u2") if d["bits"] == 16 else a
                a = a.reshape(d["h"], d["w"], d["c"])
            out[d["file"]] = d, a
        return out


def full(a, bits):
    """Samples of few bits at the full range of 8 or 16."""
    top = 255 if bits <= 8 else 65535
    return (a.astype(np.int64) * top + (2**bits - 1) // 2) // (2**bits - 1)


def pillow(path, page):
    """Pillow's samples [h, w, c] as ours mean them: oriented, colours as stored, alpha dropped, 16 bits kept."""
    with Image.open(path) as im:
        if page:
            im.seek(page)
        divides = any("RGBa;16" in str(t) for t in im.tile)
        im.load()
        if divides:  # after cutting to 8 bits, which loses much where there is little alpha
            return np.asarray(im.convert("RGBA"))[..., :3], "F"
        mode = im.mode
        im = ImageOps.exif_transpose(im)
        if mode.startswith("I;16"):
            return np.asarray(im).astype(np.uint16)[..., None], 16
        if mode in ("I", "F"):
            return np.asarray(im)[..., None], mode
        if mode in ("1", "L", "LA", "La"):
            return np.asarray(im.convert("L") if mode != "LA" else im.getchannel(0))[..., None], 8
        if mode in ("RGBA", "RGBX", "RGBa"):
            return np.asarray(im.convert("RGBA"))[..., :3], 8
        if mode == "P" or mode == "PA":
            pal = np.asarray(im.getpalette("RGB"), np.uint8).reshape(-1, 3)
            pal = np.vstack([pal, np.zeros((256 - len(pal), 3), np.uint8)])
            index = np.asarray(im if mode == "P" else im.getchannel(0))
            return pal[index], 8
        if mode == "LAB":
            return None, "LAB"
        return np.asarray(im.convert("RGB")), 8




def second(path, page):
    """tifffile's samples of a TIFF, at the range that ours have: where Pillow reads none, or keeps less, or ignores a tag."""
    with tifffile.TiffFile(path) as t:
        p = t.pages[page]
        if p.photometric not in (0, 1, 2) or p.tags.get(274, None) and p.tags[274].value != 1:
            raise ValueError("not compared with tifffile")
        if tifffile.EXTRASAMPLE.ASSOCALPHA in p.extrasamples:
            raise ValueError("colours times alpha")
        a = p.asarray()
        if p.planarconfig == 2 and a.ndim == 3:
            a = np.moveaxis(a, 0, -1)
        a = a[..., None] if a.ndim == 2 else a
        a = a[..., :3 if p.photometric == 2 else 1]
        if a.dtype.kind == "f":
            return np.floor(a.astype(np.float64) * 65535 + 0.5).astype(np.uint16), 16
        if a.dtype.kind == "i" or p.bitspersample > 16:
            return a.astype(np.uint16), 16
        top = 8 if p.bitspersample <= 8 else 16
        a = full(a, p.bitspersample)
        return (2**top - 1 - a if p.photometric == 0 else a), top


def wanted(path, page, format):
    """What to expect: tifffile's where it keeps more than Pillow does (README.md says where)."""
    try:
        want, depth = pillow(path, page)
    except Exception:
        if format == "TIFF":
            try:
                return second(path, page)
            except Exception:  # noqa: BLE001
                pass
        raise
    if format == "TIFF" and (depth != 8 or want.ndim == 3):
        try:
            a, bits = second(path, page)
            with tifffile.TiffFile(path) as t:
                planes = t.pages[page].planarconfig == 2
            if bits == 16 or planes:
                return a, bits
        except Exception:  # noqa: BLE001
            pass
    return want, depth


def judge(d, a, path, page):
    """Returns (kind, reason)."""
    try:
        want, depth = wanted(path, page, d.get("format"))
        refused = None
    except Exception as e:  # noqa: BLE001 Pillow raises many kinds
        want, refused = None, f"{type(e).__name__}: {e}"
    if a is None:
        return ("refused, too", refused) if want is None else ("refused", d["error"])
    if want is None:
        return "only ours", refused or depth
    if want.shape[:2] != a.shape[:2]:
        return "differs", f"size {a.shape[1]} x {a.shape[0]}, Pillow {want.shape[1]} x {want.shape[0]}"
    got = np.repeat(a, 3, 2) if a.shape[2] == 1 and want.shape[2] == 3 else a
    if want.shape[2] == 1 and got.shape[2] == 3:
        want = np.repeat(want, 3, 2)
    got = got.astype(np.int64)
    if depth == "F":
        return "own scale", "floating point"
    if depth == "I":
        want = want.astype(np.int64)
        if want.max(initial=0) <= 65535 and want.min(initial=0) >= 0 and d["bits"] == 16:
            depth = 16
        else:
            return "own scale", "32 bits"
    want = want.astype(np.int64)
    if depth == 8 and d["bits"] == 16:
        # Pillow keeps 8 of 16 bits: the upper ones, or rounded.
        diff = np.minimum(np.abs((got >> 8) - want), np.abs((got + 128) // 257 - want))
    elif depth == 16 and d["bits"] == 16 and 8 < d["stored"] < 16:  # Pillow does not stretch them
        diff = np.minimum(np.abs(full(want, d["stored"]) - got), np.abs(want - got))
    else:
        diff = np.abs(got - want)
    most, mean = int(diff.max(initial=0)), float(diff.mean()) if diff.size else 0
    if most == 0:
        return "equal", ""
    text = f"by {mean:.4f} on average, {most} at most, at {float((diff > 0).mean()):.2%} of samples"
    if d["format"] in ("JPEG", "WebP", "TIFF") and mean <= 0.5 and most <= 16:
        return "near", text
    return "differs", text


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("paths", nargs="+")
    p.add_argument("--list", action="append", default=["differs"], help="kinds to list file by file; 'all' for all")
    p.add_argument("--pages", action="store_true", help="compare every page")
    o = p.parse_args()
    names = []
    for f in files(o.paths):
        names.append(str(f))
        if o.pages:
            try:
                with Image.open(f) as im:
                    names += [f"{f}#{k}" for k in range(1, getattr(im, "n_frames", 1)) if im.format in ("TIFF", "MPO")]
            except Exception:  # noqa: BLE001
                pass
    table, total = defaultdict(Counter), Counter()
    for i in range(0, len(names), 100):
        for name, (d, a) in ours(o.program, names[i:i + 100]).items():
            path, _, page = name.partition("#")
            kind, why = judge(d, a, path, int(page or 0))
            table[Path(path).suffix.lower()][kind] += 1
            total[kind] += 1
            if kind in o.list or "all" in o.list:
                print(f"{kind}: {name}: {why}" + (f" [{d['note']}]" if d.get("note") else ""))
    kinds = ["equal", "near", "own scale", "only ours", "refused", "refused, too", "differs"]
    print("\n| kind of file | " + " | ".join(kinds) + " |\n|---" * 1 + "|---" * (len(kinds)) + "|")
    for suffix in sorted(table):
        print(f"| {suffix} | " + " | ".join(str(table[suffix][k]) for k in kinds) + " |")
    print("| all | " + " | ".join(str(total[k]) for k in kinds) + " |")
    sys.exit(1 if total["differs"] else 0)


if __name__ == "__main__":
    main()
