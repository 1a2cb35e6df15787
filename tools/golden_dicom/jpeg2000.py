"""Writes dicom/jpeg2000/testdata: small pictures drawn here, coded by public encoders, with what a public decoder makes of them.

Needs numpy and imagecodecs (requirements.txt), and opj_compress and opj_decompress of OpenJPEG (Debian: libopenjp2-tools).
Run from the top of the repository: python tools/golden_dicom/jpeg2000.py [folder]
"""
import hashlib, json, os, struct, subprocess, sys, tempfile

import htcraft
import imagecodecs
import numpy as np

OUT = sys.argv[1] if len(sys.argv) > 1 else "dicom/jpeg2000/testdata"


def picture(w, h, bits, signed=False, seed=1):
    """A gradient with edges, a flat part and noise, over the whole range of bits."""
    r = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    f = (x / max(w, 2) + y / max(h, 2)) / 2
    f = np.where((x // 7 + y // 5) % 4 == 0, 1 - f, f)
    f = np.where((x > w // 2) & (y > h // 2), 0.25, f + r.normal(0, 0.02, (h, w)))
    v = np.clip(np.round(f * (2**bits - 1)), 0, 2**bits - 1).astype(np.int64)
    return v - (2 ** (bits - 1) if signed else 0)


def write_raw(path, comps, bits):
    with open(path, "wb") as f:
        for c in comps:
            kind = np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32
            f.write((c & (2 ** (8 * np.dtype(kind).itemsize) - 1)).astype(np.dtype(kind).str.replace("i", "u")).tobytes())


def write_pgx(path, c, bits, signed):
    kind = ">u1" if bits <= 8 else ">u2" if bits <= 16 else ">u4"
    with open(path, "wb") as f:
        f.write(f"PG ML {'-' if signed else '+'} {bits} {c.shape[1]} {c.shape[0]}\n".encode())
        f.write((c & (2 ** (8 * np.dtype(kind).itemsize) - 1)).astype(kind).tobytes())


def read_pgx(path):
    """Returns samples, precision, signed of a PGX file."""
    data = open(path, "rb").read()
    head, body = data.split(b"\n", 1)
    words = head.replace(b"+", b"+ ").replace(b"-", b"- ").split()
    big, signed, bits, w, h = words[1] == b"ML", words[2] == b"-", int(words[3]), int(words[4]), int(words[5])
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    kind = f"{'>' if big else '<'}{'i' if signed else 'u'}{size}"
    return np.frombuffer(body, kind)[: w * h].reshape(h, w).astype(np.int32), bits, signed


def opj_decode(path):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["opj_decompress", "-i", path, "-o", f"{d}/o.pgx"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        names = sorted(os.listdir(d), key=lambda n: int("0" + "".join(c for c in n if c.isdigit())))
        return [read_pgx(f"{d}/{n}") for n in names]


CASES = []


def record(name, comps, lossy, note):
    entry = {"file": name, "note": note, "lossy": lossy, "components": [
        {"width": s.shape[1], "height": s.shape[0], "precision": b, "signed": g} for s, b, g in comps]}
    raw = b"".join(s.astype("<i4").tobytes() for s, _, _ in comps)
    entry["sha256"] = hashlib.sha256(raw).hexdigest()
    CASES.append(entry)


def opj(name, *args, w=61, h=53, n=1, bits=8, signed=False, sub=None, same=None, ext="j2k"):
    """One picture by opj_compress. Lossless ones must come back as they were drawn."""
    lossy = "-I" in args or "-r" in args or "-q" in args
    sub = sub or ["1x1"] * n
    comps = []
    for i in range(n):
        dx, dy = map(int, sub[i].split("x"))
        comps.append(picture(-(-w // dx), -(-h // dy), bits, signed, i + 1))
    path = f"{OUT}/{name}.{ext}"
    if "-n" not in args:  # this encoder wants a sample of each tile left at the coarsest resolution
        least = min(map(int, args[args.index("-t") + 1].split(","))) if "-t" in args else min(w, h)
        args = (*args, "-n", str(min(6, least.bit_length())))
    with tempfile.TemporaryDirectory() as d:
        if n == 1:
            write_pgx(f"{d}/i.pgx", comps[0], bits, signed)
            source = ["-i", f"{d}/i.pgx"]
        else:
            write_raw(f"{d}/i.rawl", comps, bits)
            source = ["-i", f"{d}/i.rawl", "-F", f"{w},{h},{n},{bits},{'s' if signed else 'u'}@{':'.join(sub)}"]
        subprocess.run(["opj_compress", *source, "-o", path, *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    back = opj_decode(path)
    if not lossy and not all(np.array_equal(a, b[0]) for a, b in zip(comps, back)):
        raise SystemExit(f"{name}: the reference does not give the picture back")
    record(f"{name}.{ext}", back, lossy, "opj_compress " + " ".join(args))


def codecs(name, bits, signed=False, level=0, w=61, h=53, n=1, **more):
    """One picture by the OpenJPEG that imagecodecs has, which takes any depth."""
    comps = [picture(w, h, bits, signed, i + 1) for i in range(n)]
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    a = np.stack(comps, -1).astype(f"{'' if signed else 'u'}int{size}")
    a = a[..., 0] if n == 1 else a
    data = imagecodecs.jpeg2k_encode(a, level=level, codecformat="j2k", bitspersample=bits, **more)
    open(f"{OUT}/{name}.j2k", "wb").write(data)
    back = imagecodecs.jpeg2k_decode(data)
    lossy = not more.get("reversible", True)
    if not lossy and not np.array_equal(a, back):
        raise SystemExit(f"{name}: the reference does not give the picture back")
    back = back.reshape(h, w, n).astype(np.int64)
    record(f"{name}.j2k", [(back[..., i], bits, signed) for i in range(n)], lossy, f"imagecodecs {bits} bits {more}")


def part1():
    opj("plain")
    opj("one", w=1, h=1)
    opj("row", w=200, h=1)
    opj("column", w=1, h=200)
    opj("irreversible", "-I")
    opj("irreversible16", "-I", "-r", "8", bits=16)
    for bits in (1, 2, 5, 12, 16):
        codecs(f"bits{bits}", bits, reversible=True)
        codecs(f"bits{bits}s", bits, signed=True, reversible=True)
    for bits in (20, 24):
        codecs(f"bits{bits}", bits, reversible=True)
    for order in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
        opj(f"order_{order}", "-p", order, "-t", "40,33", "-r", "20,8,1", "-c", "[32,16],[16,16]", n=2, w=70, h=50, bits=8)
        opj(f"orderl_{order}", "-mct", "0", "-p", order, "-c", "[64,64],[32,16]", n=3, w=90, h=70, bits=8, sub=["1x1", "2x2", "2x1"])
    for mode in (1, 2, 4, 8, 16, 32, 5, 63, 13):
        opj(f"mode{mode}", "-M", str(mode), bits=12)
        opj(f"mode{mode}q", "-M", str(mode), "-r", "12,4", "-b", "16,8", bits=16, w=100)
    opj("blocks_wide", "-b", "256,4", w=300, h=20)
    opj("blocks_tall", "-b", "4,512", w=20, h=600)
    opj("rct", n=3)
    opj("ict", "-I", n=3)
    opj("nomct", "-mct", "0", n=3)
    opj("four", n=4)
    opj("tiles", "-t", "17,19", n=3)
    opj("tiles_offset", "-t", "20,16", "-T", "3,5", "-d", "7,9", n=2, bits=16)
    opj("offset", "-d", "13,6", n=3)
    opj("offset97", "-d", "13,7", "-I", n=3)
    # With several tiles this encoder's tile-parts are sound for the progressions by position alone.
    opj("tileparts_R", "-TP", "R", "-p", "RLCP", n=3)
    opj("tileparts_L", "-TP", "L", "-r", "20,10,2")
    opj("tileparts_C", "-t", "40,33", "-TP", "C", "-p", "CPRL", n=3)
    opj("tileparts_RPCL", "-t", "40,33", "-TP", "R", "-p", "RPCL", n=3)
    opj("sopeph", "-SOP", "-EPH", "-r", "20,10,2", n=3)
    opj("tlmplt", "-TLM", "-PLT", "-t", "40,33")
    opj("poc", "-POC", "T1=0,0,1,3,3,CPRL/T1=3,0,1,6,3,RPCL", n=3)
    opj("poc_layers", "-POC", "T1=0,0,2,3,3,LRCP/T1=3,0,2,6,3,RLCP", "-r", "10,1", n=3)
    opj("levels0", "-n", "1")
    opj("levels7", "-n", "8", w=129, h=130)
    opj("roi", "-ROI", "c=0,U=6", bits=8)
    opj("roi97", "-ROI", "c=0,U=9", "-I", bits=8)
    opj("guard", "-GuardBits", "5", bits=10)
    opj("boxed", n=3, ext="jp2")


def ht(name, bits=8, signed=False, w=61, h=53, n=1, level=0, **more):
    """One picture by the OpenJPH that imagecodecs has, as it and OpenJPEG decode it."""
    comps = [picture(w, h, bits, signed, i + 1) for i in range(n)]
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    a = np.stack(comps, -1).astype(f"{'' if signed else 'u'}int{size}")
    a = a[..., 0] if n == 1 else a
    if more.get("planar"):
        a = np.ascontiguousarray(np.moveaxis(a, -1, 0))
    data = imagecodecs.htj2k_encode(a, level=level, **more)
    open(f"{OUT}/{name}.j2c", "wb").write(data)
    back = imagecodecs.htj2k_decode(data, planar=more.get("planar"))
    lossy = not more.get("reversible", True)
    if not lossy and not np.array_equal(a, back):
        raise SystemExit(f"{name}: the reference does not give the picture back")
    if lossy:  # OpenJPH lets samples beyond their range wrap around
        back = imagecodecs.jpeg2k_decode(data)
    if more.get("planar"):
        back = np.moveaxis(back, 0, -1)
    back = back.reshape(h, w, n).astype(np.int64)
    record(f"{name}.j2c", [(back[..., i], size, signed) for i in range(n)], lossy, f"OpenJPH {bits} bits {more}")


def part15():
    for bits in (8, 12, 16, 24, 31, 32):
        ht(f"ht{bits}", bits, reversible=True)
        ht(f"ht{bits}s", bits, True, reversible=True)
    for w, h in ((1, 1), (2, 2), (3, 1), (1, 5), (5, 7), (130, 67), (64, 64), (4, 4)):
        ht(f"ht_{w}x{h}", 12, w=w, h=h, reversible=True)
    ht("ht_rgb", n=3, rgb=True, reversible=True)
    ht("ht_planar", n=3, planar=True, reversible=True)
    ht("ht_tiles", n=3, tile=(17, 19), reversible=True)
    ht("ht_levels0", 16, resolutions=0, reversible=True)
    ht("ht_levels1", 16, resolutions=1, reversible=True)
    for q in (0.0005, 0.002, 0.01, 0.1):
        ht(f"ht_lossy{q}", n=3, level=q, rgb=True, reversible=False)
        ht(f"ht_lossy12_{q}", 12, level=q, reversible=False)
    ht("ht_tlm", 12, tile=(17, 19), tlm=True, tilepart=1, reversible=True)


def refinement_segment(x, causal, passes):
    """The bits of the passes that bring |x| >> 1 to |x|."""
    h, w = x.shape
    sig = np.zeros((h + 2, w + 2), int)
    sig[1:-1, 1:-1] = np.abs(x) >> 1 != 0
    before = sig.copy()
    ahead, back = [], []
    for y0 in range(0, h, 4):
        for x0 in range(0, w, 4):
            signs = []
            for i in range(x0, min(x0 + 4, w)):
                for j in range(y0, min(y0 + 4, h)):
                    around = sig[j:j + 3, i:i + 3].copy()
                    if causal and j == y0 + 3:
                        around[2] = 0
                    if sig[j + 1, i + 1] or not around.any():
                        continue
                    one = int(abs(x[j, i]) == 1)
                    ahead.append(one)
                    if one:
                        sig[j + 1, i + 1] = 1
                        signs.append(int(x[j, i] < 0))
            ahead += signs
    for y0 in range(0, h, 4):
        for i in range(w):
            back += [int(abs(x[j, i]) & 1) for j in range(y0, min(y0 + 4, h)) if before[j + 1, i + 1]]
    ahead = htcraft.pack_low(ahead)
    return ahead + bytes(reversed(htcraft.pack_back(back))) if passes > 1 else ahead


def refined():
    """Refinement passes and placeholders, which public encoders do not write, from our own bits."""
    tables = htcraft.code_tables()
    rng = np.random.default_rng(9)
    for w, h in ((64, 64), (33, 18)):
        y, x = np.mgrid[0:h, 0:w]
        pic = np.round(rng.laplace(0, 1 + (x + y) / 9)).astype(int)
        first = htcraft.encode_cleanup(np.sign(pic) * (np.abs(pic) >> 1), tables)
        for causal in (False, True):
            for passes in (1, 2):
                for skipped in (0, 3):
                    name = f"htref_{w}x{h}_{passes}{'c' if causal else ''}_{skipped}"
                    second = refinement_segment(pic, causal, passes)
                    n = 3 * skipped + 1
                    data = htcraft.stream(w, h, [first, second], n + passes, prec=16, zero=14 - skipped,
                                          style=0x48 if causal else 0x40, first=n)
                    open(f"{OUT}/{name}.j2c", "wb").write(data)
                    back = imagecodecs.htj2k_decode(data)
                    if passes == 2 and not causal and not skipped and not np.array_equal(back, imagecodecs.jpeg2k_decode(data)):
                        raise SystemExit(f"{name}: the two references differ")
                    record(f"{name}.j2c", [(back, 16, True)], passes == 1, f"refinement, {skipped} placeholders")


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def wrapped(name, codestream, *header, brand=b"jp2 ", order=None):
    """A codestream in boxes of our own."""
    raw = open(f"{OUT}/{codestream}", "rb").read()
    data = (box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", brand, struct.pack(">I", 0), brand) +
            box(b"jp2h", *header) + box(b"jp2c", raw))
    open(f"{OUT}/{name}", "wb").write(data)
    return opj_decode(f"{OUT}/{name}") if order is None else order


def boxes():
    palette = [(i * 3 % 256, i * 7 % 256, 255 - i) for i in range(32)]
    ihdr = lambda n, bits: box(b"ihdr", struct.pack(">IIHBBBB", 53, 61, n, bits - 1, 7, 0, 0))
    colr = lambda space: box(b"colr", struct.pack(">BBBI", 1, 0, 0, space))
    pclr = box(b"pclr", struct.pack(">HB", 32, 3), bytes([7, 7, 7]), *(bytes(p) for p in palette))
    cmap = box(b"cmap", *(struct.pack(">HBB", 0, 1, i) for i in range(3)))
    record("palette.jp2", wrapped("palette.jp2", "bits5.j2k", ihdr(1, 5), colr(16), pclr, cmap), False, "palette")
    cdef = box(b"cdef", struct.pack(">H", 3), *(struct.pack(">HHH", c, 0, a) for c, a in ((0, 3), (1, 2), (2, 1))))
    record("channels.jp2", wrapped("channels.jp2", "rct.j2k", ihdr(3, 8), colr(16), cdef), False, "blue first")
    back = imagecodecs.jpeg2k_decode(open(f"{OUT}/ht_rgb.j2c", "rb").read())
    whole = [(back[..., i].astype(np.int64), 8, False) for i in range(3)]
    record("file.jph", wrapped("file.jph", "ht_rgb.j2c", ihdr(3, 8), colr(16), brand=b"jph ", order=whole), False, "JPH")


def main():
    os.makedirs(OUT, exist_ok=True)
    part1()
    part15()
    refined()
    boxes()
    with open(f"{OUT}/golden.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in CASES) + "\n]\n")


main()
