"""Measures the variable-length codes of T.814 annex C at a decoder, and writes dicom/jpeg2000/internal/ht/vlc_table.go.

A code table says, for a context and the next seven bits, which samples of a quad are significant, whether an excess of the
exponent follows, which highest bits are implied and what they are. All of that shows in decoded magnitudes. So code-blocks of
one to four quads are made whose last codeword is unknown, followed by several fillers, with magnitude bits all zero or all
one. Each of the 128 values of seven bits leaves hypotheses (length of the codeword and its meaning); those that do not hold for
every value that begins with the same codeword are wrong. What remains must be a complete prefix code, which is checked.

Needs numpy and imagecodecs (its OpenJPEG decodes). Run from the top of the repository: python tools/golden_dicom/htvlc.py
"""
import os

from htcraft import cleanup, mel_bytes, stream

import imagecodecs
import numpy as np

OUT = "dicom/jpeg2000/internal/ht/vlc_table.go"

rng = np.random.default_rng(5)
FILL = [[0] * 60, [1] + [0] * 59, [0, 1] + [0] * 58, [1, 1] + [0] * 58, [1] * 60, [0, 1] * 30, [0, 0, 1, 1] * 15,
        [1, 0] * 30] + [list(map(int, rng.integers(0, 2, 60))) for _ in range(4)]
ONES, ZEROS = b"", b"\0" * 40  # beyond their end magnitudes are ones
PREC = 26


def decode(w, h, magnitudes, bits):
    """Samples of a code-block all of whose events are ones, or None."""
    data = stream(w, h, [cleanup(magnitudes, mel_bytes([1] * 8), bits)], 1, prec=PREC, zero=PREC - 1)
    try:
        a = np.abs(imagecodecs.jpeg2k_decode(data).reshape(h, w).astype(np.int64))
    except Exception:
        return None
    return None if a.max() >= 2 ** (PREC - 1) - 1 else a  # saturated


def excess(bits):
    """The excess that bits begin with."""
    b = iter(bits)
    if next(b):
        return 1
    if next(b):
        return 2
    if next(b):
        return 3 + next(b)
    suffix = sum(next(b) << i for i in range(5))
    more = 4 * sum(next(b) << i for i in range(4)) if suffix >= 28 else 0
    return 5 + suffix + more


def magnitudes(sig, meaning, value, fill, ones):
    """What a decoder gives for a quad, if the codeword has this meaning; None: an exponent beyond all."""
    more, known, one, length = meaning
    bits = [value >> i & 1 for i in range(7)] + fill
    exponent = 1 + (excess(bits[length:]) if more else 0)
    if exponent > 45:
        return None
    out = []
    for n in range(4):
        if not sig >> n & 1:
            out.append(0)
            continue
        m = exponent - (known >> n & 1)
        v = ((1 << m) - 1 if ones else 0) + ((one & known) >> n & 1) * (1 << m)
        out.append((v >> 1) + 1)
    return out


def meanings(sig):
    subsets = [s for s in range(16) if s & ~sig == 0]
    for length in range(1, 8):
        yield 0, 0, 0, length
        for known in subsets:
            for one in range(16):
                if one & ~known == 0:
                    yield 1, known, one, length


def hypotheses(before, w, h, x, y, value):
    """The meanings that fit the quad at (x, y), coded by the seven bits of value after those before."""
    found = None
    for fill in FILL:
        for ones in (True, False):
            bits = before + [value >> i & 1 for i in range(7)] + fill
            a = decode(w, h, ONES if ones else ZEROS, bits)
            if a is None:
                continue
            got = [a[y, x], a[y + 1, x], a[y, x + 1], a[y + 1, x + 1]]
            sig = sum(int(v != 0) << n for n, v in enumerate(got))
            if found is None:
                found = {(sig, *m) for m in meanings(sig)}
            found = {f for f in found if f[0] == sig and
                     (p := magnitudes(sig, f[1:], value, fill, ones)) is not None and p == got}
    return found or set()


def measure(before, w, h, x, y):
    """The code of the quad at (x, y): (sig, more, known, one, length) -> codeword."""
    left = {v: hypotheses(before, w, h, x, y, v) for v in range(128)}
    again = True
    while again:
        again = False
        for v in range(128):
            for f in list(left[v]):
                if any(f not in left[u] for u in range(v % (1 << f[4]), 128, 1 << f[4])):
                    left[v].discard(f)
                    again = True
    code = {}
    for v in range(128):
        shortest = min(f[4] for f in left[v])
        (f,) = [f for f in left[v] if f[4] == shortest]
        code.setdefault(f, v % (1 << f[4]))
    assert sum(2.0 ** -f[4] for f in code) == 1, "not a complete prefix code"
    return code


def bits_of(code, sig):
    """The codeword for a pattern without an excess."""
    for f, word in code.items():
        if f[:2] == (sig, 0):
            return [word >> i & 1 for i in range(f[4])]
    raise KeyError(sig)


def bit(v, n):
    return v >> n & 1


def main():
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # decoders complain about wrong guesses
    first, other = {0: measure([], 2, 2, 0, 0)}, {}
    for ctx, sig in {1: 1, 2: 4, 3: 5, 4: 8, 5: 9, 6: 12, 7: 13}.items():  # by the quad before
        first[ctx] = measure(bits_of(first[0], sig), 4, 2, 2, 0)
    for ctx, sig in {0: 1, 1: 2, 4: 8, 5: 10}.items():  # by the quad above
        other[ctx] = measure(bits_of(first[0], sig), 2, 4, 0, 2)
    for ctx, (a, b) in {2: (1, 1), 3: (8, 1), 6: (1, 8), 7: (8, 8)}.items():  # by two above and the one before
        second = (bit(a, 0) | bit(a, 1)) + 2 * bit(a, 2) + 4 * bit(a, 3)
        below = bit(a, 1) + 4 * (bit(a, 3) | bit(b, 1))
        before = bits_of(first[0], a) + bits_of(first[second], b) + bits_of(other[below], 4)
        other[ctx] = measure(before, 4, 4, 2, 2)
    lines = []
    for table in (first, other):
        lines.append("\t{")
        for ctx in range(8):
            lines.append("\t\t{")
            rows = ["{" + ", ".join(map(str, (*f, word))) + "}," for f, word in sorted(table[ctx].items())]
            lines += ["\t\t\t" + " ".join(rows[i:i + 5]) for i in range(0, len(rows), 5)]
            lines.append("\t\t},")
        lines.append("\t},")
    with open(OUT, "w") as f:
        f.write("""package ht

// codewords are the variable-length codes of quads, ITU-T T.814 annex C: first those of a code-block's first row of quads,
// then those of other rows, each by context. tools/golden_dicom/htvlc.py measures them at a decoder.
var codewords = [2][8][]codeword{
""" + "\n".join(lines) + "\n}\n")


main()
