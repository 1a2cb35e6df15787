"""Writes internal/npz/testdata and dataset/testdata: archives as NumPy makes them.

Run by hand from the repository root, with numpy:

    python tools/golden_npz/golden.py
"""

import io
import zipfile

import numpy as np


def ramp(shape, dtype):
    """Elements that follow from their number only, which the Go tests repeat: (7 i + 3) mod 251, booleans i mod 3 == 0."""
    i = np.arange(int(np.prod(shape)))
    a = (i % 3 == 0) if dtype == "?" else ((7 * i + 3) % 251)
    return a.reshape(shape).astype(dtype)


arrays = {
    "u1": ramp((5, 4, 3), "|u1"),
    "u2": ramp((5, 4, 3), "<u2") * np.uint16(257),
    "u2big": (ramp((5, 4, 3), "<u2") * np.uint16(257)).astype(">u2"),
    "i1": ramp((9,), "<i8").astype("i1"),
    "i8": ramp((6, 2), "<i8") - 100,
    "i4big": (ramp((6, 2), "<i8") - 100).astype(">i4"),
    "bool": ramp((7, 1), "?"),
    "f4": ramp((3, 2), "<f4"),
    "none": np.zeros((0, 28, 28), "u1"),
}
np.savez("internal/npz/testdata/stored.npz", **arrays)
np.savez_compressed("internal/npz/testdata/packed.npz", **arrays)

odd = {
    "fortran": np.asfortranarray(ramp((5, 4), "|u1")),
    "scalar": np.uint8(7),
    "complex": np.zeros(3, "c8"),
    "text": np.array(["a", "bc"]),
    "record": np.zeros(2, [("a", "u1"), ("b", "<f4")]),
}
np.savez_compressed("internal/npz/testdata/odd.npz", **odd)

# Headers of versions 2 and 3, which NumPy writes only when it must.
with zipfile.ZipFile("internal/npz/testdata/versions.npz", "w") as z:
    for v in (2, 3):
        b = io.BytesIO()
        np.lib.format.write_array(b, ramp((5, 4, 3), "|u1"), version=(v, 0))
        z.writestr(f"v{v}.npy", b.getvalue())


def medmnist(name, colour, columns, classes, rows=(12, 6, 6)):
    """The layout of MedMNIST's files."""
    out = {}
    for split, n in zip(("train", "val", "test"), rows):
        shape = (n, 9, 8, 3) if colour else (n, 9, 8)
        images = ramp(shape, "|u1") ^ (np.arange(n, dtype="u1") + len(split) * 16).reshape((n,) + (1,) * (len(shape) - 1))
        i = np.arange(n * columns).reshape(n, columns)
        out[split + "_images"] = images
        out[split + "_labels"] = (i % classes).astype("u1") if columns == 1 else (i % 5 == 0).astype("u1")
    np.savez_compressed(f"dataset/testdata/{name}.npz", **out)


medmnist("grey", False, 1, 2)
medmnist("colour", True, 1, 3)
medmnist("many", False, 3, 2)
