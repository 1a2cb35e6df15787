"""Encodes random pictures with random options of opj_compress and OpenJPH, and compares what dicom/jpeg2000 makes of them with
OpenJPEG, bit for bit. Run from the top of the repository: python bench/dicom/jpeg2000_random.py [how many] [seed]
"""
import hashlib, os, random, subprocess, sys, tempfile

sys.argv, args = sys.argv[:1] + ["/nonexistent"], sys.argv[1:]
sys.path.insert(0, "tools/golden_dicom")
source = open("tools/golden_dicom/jpeg2000.py").read().replace("\nmain()\n", "\n")
exec(source)  # its pictures and readers

N, SEED = int(args[0]) if args else 200, int(args[1]) if len(args) > 1 else 1
R = random.Random(SEED)


def options(n):
    o = []
    if R.random() < 0.4:
        o += ["-I"]
    if R.random() < 0.4:
        rates = sorted((R.choice([2, 3, 5, 8, 15, 40, 100]) for _ in range(R.randint(1, 4))), reverse=True)
        o += ["-r", ",".join(map(str, rates))]
    if R.random() < 0.5:
        o += ["-M", str(R.randint(1, 63))]
    if R.random() < 0.5:
        bw, bh = R.choice([(4, 4), (8, 32), (16, 16), (64, 16), (32, 32), (128, 8), (1024, 4), (4, 1024), (64, 64)])
        o += ["-b", f"{bw},{bh}"]
    if R.random() < 0.4:
        o += ["-c", ",".join(f"[{R.choice([64, 128, 256])},{R.choice([64, 128, 256])}]" for _ in range(R.randint(1, 3)))]
    if R.random() < 0.5:
        o += ["-p", R.choice(["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])]
    for flag in ("-SOP", "-EPH", "-PLT", "-TLM"):
        if R.random() < 0.25:
            o += [flag]
    if R.random() < 0.3:
        o += ["-GuardBits", str(R.randint(1, 4))]
    if n == 3 and R.random() < 0.3:
        o += ["-mct", "0"]
    # With raw passes OpenJPEG counts the shift of a region to the bit-planes before them: its pictures are not those drawn.
    if R.random() < 0.2 and not ("-M" in o and int(o[o.index("-M") + 1]) & 1):
        o += ["-ROI", f"c={R.randrange(n)},U={R.randint(1, 10)}"]
    return o


def case(folder, i):
    n = R.choice([1, 1, 2, 3, 3, 4])
    w, h = R.randint(1, 200), R.randint(1, 200)
    bits = R.choice([8, 12, 16]) if n == 1 else R.choice([8, 16])
    signed = R.random() < 0.2
    o = options(n)
    sub = ["1x1"] * n
    if n >= 2 and "-t" not in o and R.random() < 0.3:
        sub = ["1x1"] + [R.choice(["2x2", "2x1", "1x2", "1x1"]) for _ in range(n - 1)]
        sub[1] = "1x1" if n == 3 else sub[1]
        if "-mct" not in o:
            o += ["-mct", "0"]
    least = min(w, h) // 2
    if R.random() < 0.4:
        tw, th = R.randint(16, 120), R.randint(16, 120)
        o += ["-t", f"{tw},{th}"]
        least = min(least, tw // 2, th // 2)
        if R.random() < 0.5 and sub == ["1x1"] * n and n > 1:
            dx, dy = R.randint(0, 40), R.randint(0, 40)
            o += ["-d", f"{dx},{dy}", "-T", f"{R.randint(max(0, dx - tw + 1), dx)},{R.randint(max(0, dy - th + 1), dy)}"]
    elif R.random() < 0.3 and n > 1 and sub == ["1x1"] * n:
        o += ["-d", f"{R.randint(0, 99)},{R.randint(0, 99)}"]
    o += ["-n", str(R.randint(1, max(1, min(6, least.bit_length()))))]
    comps = [picture(-(-w // int(s[0])), -(-h // int(s[2])), bits, signed, i * 7 + k) for k, s in enumerate(sub)]
    # opj_decompress turns what it takes for YCbCr into RGB: what a JP2 file says, and three components of which the others have
    # less samples. We leave colours to who asks.
    path = f"{folder}/{i}.{R.choice(['j2k', 'jp2']) if '-mct' not in o else 'j2k'}"
    if n == 1:
        write_pgx(f"{folder}/i.pgx", comps[0], bits, signed)
        source = ["-i", f"{folder}/i.pgx"]
    else:
        write_raw(f"{folder}/i.rawl", comps, bits)
        source = ["-i", f"{folder}/i.rawl", "-F", f"{w},{h},{n},{bits},{'s' if signed else 'u'}@{':'.join(sub)}"]
    done = subprocess.run(["opj_compress", *source, "-o", path, *o], capture_output=True)
    if done.returncode != 0 or not os.path.exists(path):
        return None
    try:
        want = hashlib.sha256(b"".join(c.astype("<i4").tobytes() for c, _, _ in opj_decode(path))).hexdigest()
    except subprocess.CalledProcessError:
        want = "refused"
    drawn = hashlib.sha256(b"".join(c.astype("<i4").tobytes() for c in comps)).hexdigest()
    return path, want, drawn, " ".join([f"{w}x{h}x{n}", f"{bits}{'s' if signed else ''}", *sub, *o])


def ht_case(folder, i):
    """A picture by OpenJPH; lossless ones must come back as drawn, lossy ones as OpenJPEG decodes them."""
    n = R.choice([1, 1, 3])
    w, h = R.randint(1, 300), R.randint(1, 300)
    reversible = R.random() < 0.6
    bits = R.choice([8, 10, 12, 16, 20, 26, 32] if reversible else [8, 10, 12, 16])
    signed = R.random() < 0.3
    comps = [picture(w, h, bits, signed, i * 7 + k) for k in range(n)]
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    a = np.stack(comps, -1).astype(f"{'' if signed else 'u'}int{size}")
    more = {"reversible": reversible, "resolutions": R.randint(1, 6)}
    if n == 3:
        more["rgb"] = R.random() < 0.5 and bits < 26
    if R.random() < 0.4:
        more["tile"] = (R.randint(8, 120), R.randint(8, 120))
    if R.random() < 0.3:
        more["tlm"] = True
    if not reversible:
        more["level"] = R.choice([1e-5, 1e-4, 1e-3, 0.01, 0.1])
    try:
        data = imagecodecs.htj2k_encode(a[..., 0] if n == 1 else a, **more)
    except Exception:
        return None
    path = f"{folder}/{i}.j2c"
    open(path, "wb").write(data)
    if reversible:
        back = np.moveaxis(a.astype(np.int64), -1, 0)
    else:  # not imagecodecs, whose OpenJPEG fuses products and sums
        subprocess.run(["cp", path, path + ".j2k"], check=True)
        back = np.stack([c for c, _, _ in opj_decode(path + ".j2k")])
    want = hashlib.sha256(back.astype("<i4").tobytes()).hexdigest()
    return path, want, want, f"OpenJPH {w}x{h}x{n} {bits}{'s' if signed else ''} {more}"


with tempfile.TemporaryDirectory() as folder:
    tool = f"{folder}/tool"
    subprocess.run(["go", "build", "-o", tool, "./bench/dicom/jpeg2000"], check=True)
    equal, better, bad, unwritten = 0, 0, 0, 0
    for i in range(N):
        c = case(folder, i) if i % 3 else ht_case(folder, i)
        if c is None:
            unwritten += 1
            continue
        path, want, drawn, what = c
        got = subprocess.run([tool, "-sum", path], capture_output=True, text=True).stdout.split(" ", 1)[1].strip()
        if got == want or (want == "refused" and len(got) != 64):
            equal += 1
        elif got == drawn:
            better += 1
            print("the picture as it was drawn, which OpenJPEG does not give:", what, flush=True)
        else:
            bad += 1
            print("DIFFERS", path.rsplit("/", 1)[1], "reference as drawn:", want == drawn, what, got[:90], want[:16], flush=True)
            if os.environ.get("KEEP"):
                subprocess.run(["cp", path, os.environ["KEEP"]])
        os.remove(path)
    print(f"{equal} equal, {better} as drawn and OpenJPEG not, {bad} differ, {unwritten} not written by the encoder")
