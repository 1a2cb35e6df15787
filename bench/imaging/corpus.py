"""Makes image files of many kinds for compare.py: python bench/imaging/corpus.py FOLDER

With Pillow, tifffile and imagecodecs; with tiffcp, cjpeg, jpegtran, cwebp, gif and netpbm's programs where they are installed.
"""

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

OUT = Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(16)


def picture(h, w, c=3):
    """Ramps, noise and edges, uint8 [h, w, c]."""
    y, x = np.mgrid[:h, :w]
    a = np.stack([x * 5 % 256, y * 3 % 256, (x * y // 7 + x) % 256, (255 - x * 2 - y) % 256], -1)[..., :c].astype(np.uint8)
    noise = rng.integers(0, 256, a.shape, np.uint8)
    where = ((x // 9 + y // 7) % 3 == 0)[..., None]
    return np.where(where, noise, a)


def run(*args):
    if shutil.which(args[0]) is None:
        return
    done = subprocess.run([str(a) for a in args], capture_output=True)
    if done.returncode:
        print("skipped:", " ".join(str(a) for a in args), done.stderr.decode()[:200])


def tiffs():
    d = OUT / "tifffile"
    d.mkdir(exist_ok=True)

    def write(name, a, **kw):
        try:
            tifffile.imwrite(d / f"{name}.tif", a, **kw)
        except Exception as e:  # noqa: BLE001 not every pair exists
            print("skipped:", name, e)
            (d / f"{name}.tif").unlink(missing_ok=True)

    for (h, w), planar, tile, codec in product([(61, 45), (33, 130)], ["contig", "separate"], [None, (16, 32)],
                                               ["none", "lzw", "zlib", "packbits", "zstd"]):
        for depth in (8, 16):
            rgb = picture(h, w)
            rgb = rgb if depth == 8 else rgb.astype(np.uint16) * 257 - rng.integers(0, 200, rgb.shape).astype(np.uint16)
            rgb = np.maximum(rgb, 0)
            a = rgb if planar == "contig" else np.moveaxis(rgb, -1, 0).copy()
            for order in "<>":
                for big in (False, True):
                    for predictor in ((False, True) if codec in ("lzw", "zlib", "zstd") else (False,)):
                        name = f"rgb{depth}_{w}x{h}_{planar}_{'tile' if tile else 'strip'}_{codec}_{'le' if order == '<' else 'be'}" + \
                            ("_big" if big else "") + ("_pred" if predictor else "")
                        write(name, a, photometric="rgb", planarconfig=planar, tile=tile, compression=None if codec == "none" else codec,
                              byteorder=order, bigtiff=big, predictor=predictor, rowsperstrip=None if tile else 7)
    grey = picture(61, 45, 1)[..., 0]
    for codec in ("none", "lzw", "zlib", "zstd"):
        c = None if codec == "none" else codec
        for dtype in ("uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64"):
            a = grey.astype(dtype)
            if dtype.startswith("float"):
                a = a / np.asarray(255, dtype)
            for order in "<>":
                for p in ((False, True) if c else (False,)):
                    write(f"grey_{dtype}_{codec}_{order == '<'}_{p}", a, photometric="minisblack", compression=c, predictor=p, byteorder=order,
                          rowsperstrip=16)
                    write(f"grey_{dtype}_{codec}_{order == '<'}_{p}_tile", a, photometric="minisblack", compression=c, predictor=p, byteorder=order,
                          tile=(32, 16))
    write("white", grey, photometric="miniswhite")
    write("white16", grey.astype(np.uint16) * 250, photometric="miniswhite")
    for bits in (1, 2, 3, 4, 6, 7, 9, 10, 12, 14, 15):
        a = (picture(40, 37, 1)[..., 0].astype(np.uint16) * 257 >> (16 - bits)).astype(np.uint8 if bits <= 8 else np.uint16)
        for c in (None, "lzw", "zlib"):
            write(f"bits{bits}_{c}", a, photometric="minisblack", bitspersample=bits, compression=c)
    write("bilevel", grey > 128, photometric="minisblack")
    write("bilevel_packbits", grey > 128, photometric="miniswhite", compression="packbits")
    for extra in ("unspecified", "assocalpha", "unassalpha"):
        rgba = picture(50, 41, 4)
        if extra == "assocalpha":
            rgba[..., :3] = np.minimum(rgba[..., :3], rgba[..., 3:])
        write(f"rgba_{extra}", rgba, photometric="rgb", extrasamples=[extra])
        write(f"rgba_{extra}_planar", np.moveaxis(rgba, -1, 0).copy(), photometric="rgb", extrasamples=[extra], planarconfig="separate")
        write(f"rgba16_{extra}", rgba.astype(np.uint16) * 257, photometric="rgb", extrasamples=[extra])
        write(f"la_{extra}", rgba[..., 2:], photometric="minisblack", extrasamples=[extra], planarconfig="contig")
    write("cmyk", picture(40, 41, 4), photometric="separated")
    write("cmyk16", picture(40, 41, 4).astype(np.uint16) * 257, photometric="separated")
    write("cmyk_planar", np.moveaxis(picture(40, 41, 4), -1, 0).copy(), photometric="separated", planarconfig="separate")
    for q in (50, 95):
        for tile in (None, (32, 48)):
            write(f"jpeg_rgb_{q}_{tile is None}", picture(61, 45), photometric="rgb", compression="jpeg", compressionargs={"level": q}, tile=tile)
            write(f"jpeg_grey_{q}_{tile is None}", grey, photometric="minisblack", compression="jpeg", compressionargs={"level": q}, tile=tile)
            for sub in ((1, 1), (2, 1), (2, 2)):
                write(f"jpeg_ycbcr_{q}_{tile is None}_{sub[0]}{sub[1]}", picture(64, 96), photometric="ycbcr", compression="jpeg", subsampling=sub,
                      compressionargs={"level": q}, tile=tile)
    with tifffile.TiffWriter(d / "pages.tif") as t:
        for k in range(3):
            t.write(picture(20 + k, 30), photometric="rgb")
    for name in ("lerc", "jpeg2000", "webp", "lzma", "jpegxl"):
        write(f"refuse_{name}", picture(40, 40), photometric="rgb", compression=name)
    write("lab", picture(40, 40), photometric="cielab")


def tiffcp():
    d = OUT / "tiffcp"
    d.mkdir(exist_ok=True)
    for w, h in ((45, 61), (2600, 40), (5300, 9), (8, 8), (1, 30)):
        a = np.zeros((h, w), bool)
        x = np.arange(w)
        for y in range(h):
            kind = y % 5
            if kind == 1:
                a[y] = (x * (y + 1) // 13) % 2 == 0
            elif kind == 2:
                a[y] = rng.random(w) < 0.1
            elif kind == 3:
                a[y] = (x + y) % (2 * y + 3) < y
            elif kind == 4:
                a[y, w // 3:] = True
        tifffile.imwrite(d / f"src_{w}.tif", a, photometric="miniswhite")
        for codec, order, fill in product(["g3", "g3:1d", "g3:2d", "g3:2d:fill", "g3:fill", "g4"], ["-B", "-L"], ["msb2lsb", "lsb2msb"]):
            name = d / f"{codec.replace(':', '_')}_{w}{order}_{fill}.tif"
            run("tiffcp", "-c", codec, order, "-f", fill, "-r", "16", d / f"src_{w}.tif", name)
        black = d / f"black_{w}.tif"
        tifffile.imwrite(black, a, photometric="minisblack")
        for codec in ("g3:1d", "g3:2d", "g4"):
            run("tiffcp", "-c", codec, black, d / f"black_{codec.replace(':', '_')}_{w}.tif")
    rgb = d / "src_rgb.tif"
    tifffile.imwrite(rgb, picture(64, 96), photometric="rgb")
    for codec, planar, tiled in product(["none", "lzw", "lzw:2", "zip:2", "packbits", "zstd", "jpeg:r:80", "jpeg:80"], ["contig", "separate"], [[], ["-t", "-w", "32", "-l", "16"]]):
        for fill in ("msb2lsb", "lsb2msb"):
            run("tiffcp", "-c", codec, "-p", planar, "-f", fill, *tiled, rgb, d / f"rgb_{codec.replace(':', '_')}_{planar}_{'t' if tiled else 's'}_{fill}.tif")
    run("rgb2ycbcr", "-c", "lzw", "-h", "2", "-v", "2", rgb, d / "ycbcr22.tif")
    run("rgb2ycbcr", "-c", "none", "-h", "1", "-v", "1", rgb, d / "ycbcr11.tif")
    run("rgb2ycbcr", "-c", "none", "-h", "4", "-v", "2", rgb, d / "ycbcr42.tif")
    run("tiff2bw", rgb, d / "bw.tif")
    im = Image.fromarray(picture(61, 45)).quantize(60)
    im.save(d / "palette.tif")
    im.save(d / "palette_lzw.tif", compression="tiff_lzw")


def jpegs():
    d = OUT / "jpeg"
    d.mkdir(exist_ok=True)
    for w, h in ((1, 1), (7, 9), (16, 16), (61, 45), (130, 97)):
        rgb = Image.fromarray(picture(h, w))
        ppm = d / f"src_{w}x{h}.ppm"
        rgb.save(ppm)
        for q, sample, more in product([10, 75, 100], ["1x1", "2x1", "2x2", "1x2", "4x1", "1x1,2x1,1x1", "2x2,1x1,2x1"], [[], ["-progressive"], ["-restart", "1"], ["-optimize"]]):
            run("cjpeg", "-quality", q, "-sample", sample, *more, "-outfile",
                d / f"{w}x{h}_{q}_{sample.replace(',', '+')}_{''.join(more).replace('-', '')}.jpg", ppm)
        run("cjpeg", "-rgb", "-outfile", d / f"rgb_{w}x{h}.jpg", ppm)
        run("cjpeg", "-grayscale", "-progressive", "-outfile", d / f"grey_{w}x{h}.jpg", ppm)
        run("cjpeg", "-arithmetic", "-outfile", d / f"arithmetic_{w}x{h}.jpg", ppm)
        rgb.convert("CMYK").save(d / f"cmyk_{w}x{h}.jpg")


def others():
    d = OUT / "others"
    d.mkdir(exist_ok=True)
    for w, h in ((1, 1), (7, 9), (61, 45)):
        rgb = Image.fromarray(picture(h, w))
        grey = rgb.convert("L")
        ppm, pgm = d / f"{w}x{h}.ppm", d / f"{w}x{h}.pgm"
        rgb.save(ppm)
        grey.save(pgm)
        grey.convert("1").save(d / f"{w}x{h}.pbm")
        for program, src, name in (("pnmtoplainpnm", ppm, f"plain_{w}x{h}.ppm"), ("pnmtoplainpnm", pgm, f"plain_{w}x{h}.pgm"),
                                   ("pnmtoplainpnm", d / f"{w}x{h}.pbm", f"plain_{w}x{h}.pbm")):
            if shutil.which(program):
                (d / name).write_bytes(subprocess.run([program, src], capture_output=True, check=True).stdout)
        for maxval in (1, 7, 100, 1023, 4095, 65535):
            if shutil.which("pamdepth"):
                for src in (ppm, pgm):
                    out = subprocess.run(["pamdepth", str(maxval), src], capture_output=True, check=True).stdout
                    (d / f"depth{maxval}_{src.name}").write_bytes(out)
        for mode in ("1", "L", "P", "RGB", "RGBA"):
            rgb.convert(mode).save(d / f"{mode}_{w}x{h}.bmp")
        for flags in (["-bpp=1"], ["-bpp=4"], ["-bpp=8"], ["-windows"], ["-os2"]):
            if shutil.which("ppmtobmp"):
                bpp = int(flags[0][5:]) if "bpp" in flags[0] else 8
                q = subprocess.run(["pnmquant", str(2 ** min(bpp, 7)), ppm], capture_output=True).stdout
                out = subprocess.run(["ppmtobmp", *flags], input=q, capture_output=True)
                if out.returncode == 0:
                    (d / f"{flags[0][1:].replace('=', '')}_{w}x{h}.bmp").write_bytes(out.stdout)
        for interlace in (False, True):
            rgb.quantize(100).save(d / f"{interlace}_{w}x{h}.gif", interlace=interlace)
        q = rgb.quantize(50)
        q.save(d / f"clear_{w}x{h}.gif", transparency=7)
        frames = [Image.fromarray(picture(h, w)).quantize(40) for _ in range(3)]
        frames[0].save(d / f"frames_{w}x{h}.gif", save_all=True, append_images=frames[1:])
        for lossless in (False, True):
            for m in ("RGB", "RGBA"):
                Image.fromarray(picture(h, w, 4 if m == "RGBA" else 3)).save(d / f"{m}_{lossless}_{w}x{h}.webp", lossless=lossless, exact=True)
            frames = [Image.fromarray(picture(h, w, 4)) for _ in range(3)]
            frames[0].save(d / f"frames_{lossless}_{w}x{h}.webp", save_all=True, append_images=frames[1:], lossless=lossless, exact=True)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
            im = Image.fromarray(picture(h, w, 1)[..., 0].astype(np.uint16) * 251) if mode == "I;16" else rgb.convert(mode)
            im.save(d / f"{mode.replace(';', '')}_{w}x{h}.png")
        frames = [Image.fromarray(picture(h, w)) for _ in range(3)]
        frames[0].save(d / f"frames_{w}x{h}.png", save_all=True, append_images=frames[1:])
        for o in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = o
            for suffix in ("jpg", "png", "webp", "tif"):
                rgb.save(d / f"exif{o}_{w}x{h}.{suffix}", exif=exif)


tiffs()
tiffcp()
jpegs()
others()
print(sum(1 for f in OUT.rglob("*") if f.is_file()), "files")
