"""Writes imaging/testdata: what Pillow makes of small images, for the Go tests to compare with.

Run by hand from the repository root, with the packages of requirements.txt and cjpeg
(Debian's libjpeg-turbo-progs):

    python tools/golden_imaging/golden.py imaging/testdata

Run with Pillow 12 (12.3.0) it writes golden_horizontal_first.json only, for the order of passes of old.

Test images come from a small integer formula (function `pattern`), which the Go tests repeat, so that
resizing needs hashes only. Decoded images are stored as PNG, 16-bit samples as raw little-endian.
"""

import hashlib
import io
import json
import struct
import subprocess
import sys
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from PIL import Image, ImageOps, features

OUT = Path(sys.argv[1])
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def pattern(w, h, c, bits, seed):
    """w x h x c samples: a smooth ramp with noise on top, by 32-bit integer arithmetic only."""
    state = seed & 0xFFFFFFFF
    out = np.empty(w * h * c, np.int64)
    i = 0
    for y in range(h):
        for x in range(w):
            for ch in range(c):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                noise = state >> 24
                if (x // 5 + y // 3) % 2:  # hard edges and full-range noise in half of the tiles
                    v = noise
                else:
                    v = (x * 5 + y * (3 + ch) + ch * 40 + noise // 16) % 256
                out[i] = v if bits == 8 else v * 257 - (noise & v & 63)
                i += 1
    a = out.reshape(h, w, c) if c > 1 else out.reshape(h, w)
    return a.astype(np.uint8 if bits == 8 else np.uint16)


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


def resize_cases():
    cases = []
    sizes = [(64, 48), (37, 53), (7, 5), (1, 1), (1, 9), (129, 2), (256, 200), (40, 300)]
    targets = [(32, 32), (64, 48), (33, 48), (64, 20), (100, 77), (5, 3), (1, 1), (224, 224), (17, 300)]
    for w, h in sizes:
        for c in (1, 3):
            im = Image.fromarray(pattern(w, h, c, 8, w * 1000 + h * 10 + c))
            for tw, th in targets:
                for name, f in FILTERS.items():
                    out = np.asarray(im.resize((tw, th), f))
                    cases.append(dict(w=w, h=h, c=c, bits=8, to=[tw, th], interpolation=name, sha256=sha(out)))
    for w, h in [(64, 48), (37, 53), (7, 5), (129, 2)]:
        im = Image.fromarray(pattern(w, h, 1, 16, w * 1000 + h * 10 + 1))
        assert im.mode == "I;16", im.mode
        for tw, th in targets:
            for name in FILTERS:
                out = np.asarray(im.resize((tw, th), FILTERS[name])).astype("<u2")
                cases.append(dict(w=w, h=h, c=1, bits=16, to=[tw, th], interpolation=name, sha256=sha(out)))
    return cases


def recipe_cases():
    """Resize + CenterCrop + ToTensor + Normalize, in the arithmetic of torchvision."""
    cases = []
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    for w, h, c in [(80, 60, 3), (61, 90, 1), (45, 45, 3), (40, 300, 3), (300, 41, 1)]:
        im = Image.fromarray(pattern(w, h, c, 8, w * 1000 + h * 10 + c))
        for size, short in [(32, 0), (32, 36), (32, 32), (31, 48), (40, 45)]:
            for name in ("bilinear", "bicubic"):
                if short == 0:
                    r = im.resize((size, size), FILTERS[name])
                else:
                    tw, th = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
                    r = im.resize((tw, th), FILTERS[name])
                    left, top = int(round((tw - size) / 2.0)), int(round((th - size) / 2.0))
                    r = r.crop((left, top, left + size, top + size))
                a = np.asarray(r.convert("RGB"))
                t = (a.transpose(2, 0, 1).astype(np.float32) / np.float32(255) - mean[:, None, None]) / std[:, None, None]
                cases.append(dict(w=w, h=h, c=c, size=size, resize=short, interpolation=name, sha256=sha(t.astype("<f4"))))
    return cases


def picture(w, h):
    """Saturated colours with hard edges: the hard case for chroma upsampling."""
    a = np.zeros((h, w, 3), np.uint8)
    for y in range(h):
        for x in range(w):
            a[y, x] = (x * 4 % 256, y * 5 % 256, (x + y) * 3 % 256)
            if (x // 9 + y // 7) % 3 == 0:
                a[y, x] = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)][(x // 9 * 3 + y // 7) % 4]
    return a


def png16(a, colour_type):
    """A 16-bit PNG of samples [h, w, channels]; Pillow cannot write all of them."""
    h, w, c = a.shape

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in a)
    head = struct.pack(">IIBBBBB", w, h, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


FILES = []


def add(name, data, expected=None):
    """A file, and what Pillow decodes it to (or `expected`, for 16 bits)."""
    (OUT / "files").mkdir(parents=True, exist_ok=True)
    (OUT / "files" / name).write_bytes(data)
    if expected is None:
        im = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        want = "want_" + name.replace(".", "_") + ".png"
        im.save(OUT / "files" / want, optimize=True)
        bits = 8
    else:
        want, bits = "want_" + name.replace(".", "_") + ".raw", 16
        (OUT / "files" / want).write_bytes(expected.astype("<u2").tobytes())
        h, w = expected.shape[:2]
        im = Image.new("L", (w, h))
    FILES.append(dict(file=name, want=want, w=im.width, h=im.height, bits=bits))


def save(im, fmt, **kw):
    b = io.BytesIO()
    im.save(b, fmt, **kw)
    return b.getvalue()


def jpeg_files():
    for w, h in [(61, 45), (48, 32), (4, 3), (3, 20)]:
        a = picture(w, h)
        for sub in ("444", "422", "420", "440", "411"):
            if (w, h) != (61, 45) and sub == "411":
                continue
            data = simplejpeg.encode_jpeg(a, quality=90, colorspace="RGB", colorsubsampling=sub)
            add(f"jpeg_{sub}_{w}x{h}.jpg", data)
    # 4:1:0, which neither package writes: by cjpeg of libjpeg-turbo (any version: Pillow decodes what it wrote).
    for w, h in [(61, 45), (16, 9)]:
        ppm = save(Image.fromarray(picture(w, h)), "PPM")
        data = subprocess.run(["cjpeg", "-quality", "90", "-sample", "4x2,1x1,1x1"], input=ppm, stdout=subprocess.PIPE, check=True).stdout
        add(f"jpeg_410_{w}x{h}.jpg", data)
    add("jpeg_grey.jpg", save(Image.fromarray(picture(61, 45)).convert("L"), "JPEG", quality=85))
    rgb = Image.fromarray(picture(61, 45))
    add("jpeg_progressive.jpg", save(rgb, "JPEG", quality=80, subsampling=2, progressive=True))
    add("jpeg_restart.jpg", save(rgb, "JPEG", quality=80, subsampling=1, restart_marker_blocks=2))
    add("jpeg_cmyk.jpg", save(rgb.convert("CMYK"), "JPEG", quality=90))
    add("jpeg_rgb.jpg", save(rgb, "JPEG", quality=90, keep_rgb=True))
    small = Image.fromarray(picture(21, 13))
    for o in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = o
        add(f"exif_{o}.jpg", save(small, "JPEG", quality=95, subsampling=0, exif=exif))
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x0112] = 6
    add("exif_6.png", save(small, "PNG", exif=exif))
    add("exif_8.webp", save(small, "WEBP", lossless=True, exif=b"Exif\0\0" + struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 8, 0, 0)))


def png_files():
    rgb = Image.fromarray(picture(31, 22))
    alpha = Image.fromarray(pattern(31, 22, 1, 8, 7))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    la = rgb.convert("L")
    la.putalpha(alpha)
    palette = rgb.quantize(17)
    add("rgb.png", save(rgb, "PNG"))
    add("rgba.png", save(rgba, "PNG"))
    add("l.png", save(rgb.convert("L"), "PNG"))
    add("la.png", save(la, "PNG"))
    add("1.png", save(rgb.convert("1"), "PNG"))
    for bits in (1, 2, 4, 8):
        add(f"p{bits}.png", save(rgb.quantize(2 ** bits), "PNG", bits=bits))
    add("p_trns.png", save(palette, "PNG", transparency=3))
    add("rgb_trns.png", save(rgb, "PNG", transparency=(255, 0, 0)))
    add("l_trns.png", save(rgb.convert("L"), "PNG", transparency=76))
    for name, c, kind in [("l16", 1, 0), ("la16", 2, 4), ("rgb16", 3, 2), ("rgba16", 4, 6)]:
        a = pattern(19, 11, c, 16, 5).reshape(11, 19, c)
        add(name + ".png", png16(a, kind), expected=a[:, :, : 1 if c < 3 else 3])


def other_files():
    rgb = Image.fromarray(picture(31, 22))
    grey = rgb.convert("L")
    add("rgb.gif", save(rgb.quantize(64), "GIF"))
    add("frames.gif", save(rgb.quantize(8), "GIF", save_all=True, append_images=[grey.quantize(8)]))
    add("rgb.bmp", save(rgb, "BMP"))
    add("l.bmp", save(grey, "BMP"))
    add("p.bmp", save(rgb.quantize(16), "BMP"))
    for comp in ("raw", "tiff_lzw", "tiff_deflate", "packbits"):
        add(f"rgb_{comp}.tif", save(rgb, "TIFF", compression=comp))
    add("l.tif", save(grey, "TIFF"))
    add("p.tif", save(rgb.quantize(16), "TIFF"))
    add("rgba.tif", save(rgb.convert("RGBA"), "TIFF"))
    a = pattern(19, 11, 1, 16, 9)
    add("l16.tif", save(Image.fromarray(a), "TIFF"), expected=a[:, :, None])
    add("lossless.webp", save(rgb, "WEBP", lossless=True))
    for w, h in [(31, 22), (16, 16), (5, 1), (1, 4)]:
        add(f"lossy_{w}x{h}.webp", save(Image.fromarray(picture(w, h)), "WEBP", quality=90))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(pattern(31, 22, 1, 8, 7)))
    add("lossy_alpha.webp", save(rgba, "WEBP", quality=90))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    if int(PIL.__version__.split(".")[0]) < 13:  # the order of the passes of older versions, nothing else
        doc = dict(versions=dict(pillow=PIL.__version__), recipe=recipe_cases())
        write("golden_horizontal_first.json", doc)
        return
    jpeg_files()
    png_files()
    other_files()
    doc = dict(
        versions=dict(
            pillow=PIL.__version__,
            numpy=np.__version__,
            simplejpeg=version("simplejpeg"),
            libjpeg_turbo=features.version("libjpeg_turbo"),
            libwebp=features.version("webp"),
        ),
        resize=resize_cases(),
        recipe=recipe_cases(),
        files=FILES,
    )
    write("golden.json", doc)


def write(name, doc):
    lines = json.dumps(doc, separators=(",", ":")).replace("},{", "},\n{").replace("],\"", "],\n\"")
    (OUT / name).write_text(lines + "\n")


main()
