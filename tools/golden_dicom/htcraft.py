"""Writes codestreams of one HTJ2K code-block from its parts (T.814), as no public encoder lets us."""
import struct


def mel_bytes(events):
    """The run-length stream of events."""
    exps = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5]
    bits, k, run = [], 0, 0
    for e in events:
        if not e:
            run += 1
            if run == 1 << exps[k]:
                bits.append(1)
                k, run = min(12, k + 1), 0
        else:
            bits.append(0)
            bits += [run >> i & 1 for i in reversed(range(exps[k]))]
            k, run = max(0, k - 1), 0
    if run:
        bits.append(1)
    return pack_high(bits) + b"\0"


def pack_high(bits):
    """Bits from the highest of each byte on; seven in the byte after one of ones."""
    out, cur, n = [], 0, 8
    for b in bits:
        n -= 1
        cur |= b << n
        if n == 0:
            out.append(cur)
            n, cur = 7 if cur == 0xFF else 8, 0
    if n != 8:
        out.append(cur)
    if out and out[-1] == 0xFF:
        out.append(0)
    return bytes(out)


def pack_low(bits):
    """Bits from the lowest of each byte on; seven in the byte after one of ones."""
    out, cur, n, size = [], 0, 0, 8
    for b in bits:
        cur |= b << n
        n += 1
        if n == size:
            out.append(cur)
            size, cur, n = 7 if cur == 0xFF else 8, 0, 0
    if n:
        out.append(cur)
    if out and out[-1] == 0xFF:
        out.append(0)
    return bytes(out)


def pack_back(bits, cur=0, n=0, last=0xFF):
    """Bytes in the order of reading of a stream that is read backwards."""
    out = []
    for b in bits:
        cur |= b << n
        n += 1
        if n == 8 or (n == 7 and last > 0x8F and cur == 0x7F):
            out.append(cur)
            last, cur, n = cur, 0, 0
    if n:
        out.append(cur)
    return out


def cleanup(magsgn, mel, vlc_bits):
    """A cleanup segment."""
    v = pack_back(vlc_bits, 0xF, 4)
    suffix = len(mel) + len(v) + 1
    v[0] = v[0] & 0xF0 | suffix & 0xF
    return bytes(magsgn) + bytes(mel) + bytes(reversed(v)) + bytes([suffix >> 4])


def pass_count(n):
    if n == 1:
        return [0]
    if n == 2:
        return [1, 0]
    if n < 6:
        return [1, 1] + high(n - 3, 2)
    return [1, 1, 1, 1] + high(n - 6, 5)


def high(v, n):
    return [v >> i & 1 for i in reversed(range(n))]


def log2(n):
    return n.bit_length() - 1


def stream(w, h, segments, passes, prec=26, signed=True, zero=0, style=0x40, first=None):
    """A codestream without decompositions of one code-block up to 64 x 64. The first segment counts for the passes in first,
    1 unless placeholders come before it, the second for the others."""
    o = b"\xff\x4f\xff\x51" + struct.pack(">HHIIIIIIIIHBBB", 41, 0x4000, w, h, 0, 0, w, h, 0, 0, 1,
                                          prec - 1 | (0x80 if signed else 0), 1, 1)
    o += b"\xff\x50" + struct.pack(">HIH", 8, 0x20000, 2)
    o += b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 2, 1, 0, 0, 4, 4, style, 1)
    o += b"\xff\x5c" + struct.pack(">HBB", 4, 1 << 5, prec << 3)
    first = first or 1
    shares = [first] + ([passes - first] if passes > first else [])
    width = 4
    while any(len(s) >= 1 << (width + log2(p) - 1) for s, p in zip(segments, shares)):
        width += 1
    bits = [1, 1] + [0] * zero + [1] + pass_count(passes) + [1] * (width - 3) + [0]
    for s, p in zip(segments, shares):
        bits += high(len(s), width + log2(p))
    body = pack_high(bits) + b"".join(segments)
    return o + b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14 + len(body), 0, 1) + b"\xff\x93" + body + b"\xff\xd9"


def code_tables(path="dicom/jpeg2000/internal/ht/vlc_table.go"):
    """The measured codes: [table][context], a list of (sig, more, known, one, length, word)."""
    tables, level = [], 0
    for line in open(path):
        line = line.strip()
        if line == "{":
            level += 1
            (tables.append([]) if level == 1 else tables[-1].append([]))
        elif line == "},":
            level -= 1
        elif line.startswith("{"):
            tables[-1][-1] += [tuple(map(int, r.strip("{ ,").split(", "))) for r in line.split("}") if r.strip(" ,")]
    return tables


def excess_bits(u):
    """Prefix, suffix and extension of an excess."""
    if u < 3:
        return ([1] if u == 1 else [0, 1]), [], []
    if u < 5:
        return [0, 0, 1], [u - 3], []
    if u < 33:
        return [0, 0, 0], low(u - 5, 5), []
    return [0, 0, 0], low(28 + (u - 33) % 4, 5), low((u - 33) // 4, 4)


def low(v, n):
    return [v >> i & 1 for i in range(n)]


def encode_cleanup(x, tables):
    """The cleanup segment for an array of signed integers."""
    h, w = x.shape
    across = (w + 1) // 2
    get = lambda j, i: int(x[j, i]) if 0 <= j < h and 0 <= i < w else 0
    exp = lambda j, i: (2 * abs(get(j, i)) - 1).bit_length() if get(j, i) else 0
    events, codes, mags = [], [], []
    for j in range(0, h, 2):
        for pair in range(0, across, 2):
            more = []
            for q in range(pair, min(pair + 2, across)):
                at = [(j, 2 * q), (j + 1, 2 * q), (j, 2 * q + 1), (j + 1, 2 * q + 1)]
                e = [exp(*p) for p in at]
                sig = sum((v > 0) << n for n, v in enumerate(e))
                left = [exp(j, 2 * q - 2), exp(j + 1, 2 * q - 2), exp(j, 2 * q - 1), exp(j + 1, 2 * q - 1)]
                up = [exp(j - 1, 2 * q + d) for d in (-1, 0, 1, 2)]
                if j == 0:
                    ctx = int(left[0] + left[1] > 0) + 2 * int(left[2] > 0) + 4 * int(left[3] > 0)
                else:
                    ctx = int(up[0] + up[1] > 0) + 2 * int(left[2] + left[3] > 0) + 4 * int(up[2] + up[3] > 0)
                if ctx == 0:
                    events.append(int(sig != 0))
                    if sig == 0:
                        more.append(0)
                        continue
                kappa = max(1, max(up) - 1) if j and bin(sig).count("1") > 1 else 1
                top = max(kappa, *e)
                u = top - kappa
                more.append(u)
                fits = [c for c in tables[j > 0][ctx] if c[0] == sig and c[1] == (u > 0) and
                        all(not c[2] >> n & 1 or (c[3] >> n & 1) == (e[n] == top) for n in range(4))]
                _, _, known, _, length, word = max(fits, key=lambda c: bin(c[2]).count("1"))
                codes += low(word, length)
                for n in range(4):
                    if e[n]:
                        v = get(*at[n])
                        mags += low(2 * (abs(v) - 1) + (v < 0), top - (known >> n & 1))
            more += [0] * (2 - len(more))
            a, b = more
            if j == 0 and a and b:
                events.append(int(min(a, b) > 2))
                if min(a, b) > 2:
                    a, b = a - 2, b - 2
                elif a > 2:
                    p = excess_bits(a)
                    codes += p[0] + [b - 1] + p[1] + p[2]
                    continue
            p = excess_bits(a) if a else ([], [], [])
            q = excess_bits(b) if b else ([], [], [])
            codes += p[0] + q[0] + p[1] + q[1] + p[2] + q[2]
    return cleanup(pack_low(mags), mel_bytes(events), codes)
