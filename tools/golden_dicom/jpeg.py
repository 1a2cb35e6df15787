#!/usr/bin/env python3
"""Writes dicom/pixel/testdata/jpeg: small objects in every JPEG and JPEG-LS process that DCMTK, GDCM and CharLS write, and golden.json
with the digest of the samples that another decoder gives for each (DCMTK for JPEG, CharLS for JPEG-LS).

    python3 -m venv V && V/bin/pip install pydicom==3.0.2 numpy pyjpegls
    apt-get install dcmtk libgdcm-tools
    V/bin/python tools/golden_dicom/jpeg.py
"""
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, JPEGLSNearLossless

out = Path(__file__).resolve().parents[2] / "dicom/pixel/testdata/jpeg"


def picture(height, width, bits, samples, signed=False):
    """A smooth ramp with an edge, a flat part and some noise, over the whole range of bits."""
    rng = np.random.default_rng(bits * 100 + samples)
    y, x = np.mgrid[:height, :width]
    planes = []
    for s in range(samples):
        p = 0.5 + 0.4 * np.sin(0.3 * x + s) * np.cos(0.2 * y) + 0.02 * rng.standard_normal((height, width))
        p[: height // 3, : width // 2] = 0.25 + 0.1 * s
        p[height // 2 :, width - 3 :] = 1.0
        planes.append(np.clip(p, 0, 1) * (2**bits - 1))
    a = np.stack(planes, -1).round().astype(np.int64)
    if signed:
        a -= 2 ** (bits - 1)
    return a if samples > 1 else a[..., 0]


def dataset(a, bits, allocated, samples, signed=False):
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.Modality, ds.PatientID, ds.PatientName = "OT", "1", "A"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    ds.Rows, ds.Columns = a.shape[:2]
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    if samples > 1:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, bits, bits - 1, int(signed)
    data = a.astype({8: np.uint8, 16: np.uint16}[allocated] if not signed else {8: np.int8, 16: np.int16}[allocated]).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return ds


def digest(b):
    return hashlib.sha256(b).hexdigest()[:16]


def raw(path):
    """The samples of an uncompressed object."""
    ds = pydicom.dcmread(path)
    return bytes(ds.PixelData)[: ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8], ds


def main():
    out.mkdir(parents=True, exist_ok=True)
    golden = {}
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)

        def dcmtk(name, a, bits, allocated, samples, *options, signed=False):
            dataset(a, bits, allocated, samples, signed).save_as(tmp / "plain.dcm", enforce_file_format=True)
            subprocess.run(["dcmcjpeg", *options, tmp / "plain.dcm", out / f"{name}.dcm"], check=True, capture_output=True)
            if "+es" in options or "+ep" in options:
                golden[name] = ""  # refused
                return
            subprocess.run(["dcmdjpeg", "+cn", out / f"{name}.dcm", tmp / "back.dcm"], check=True, capture_output=True)
            b, ds = raw(tmp / "back.dcm")
            if samples == 3 and ds.PlanarConfiguration == 1:
                b = np.frombuffer(b, np.uint8).reshape(3, -1).T.tobytes()
            golden[name] = digest(b)

        for bits, allocated in ((8, 8), (12, 16), (16, 16)):
            a = picture(17, 23, bits, 1)
            for sv in range(1, 8):
                dcmtk(f"lossless_{bits}_sv{sv}", a, bits, allocated, 1, "+el", "+sv", str(sv))
        dcmtk("lossless_16_signed", picture(17, 23, 16, 1, True), 16, 16, 1, "+e1", signed=True)
        dcmtk("lossless_12_point2", picture(17, 23, 12, 1), 12, 16, 1, "+el", "+sv", "4", "+pt", "2")
        for sv in (1, 4, 7):
            dcmtk(f"lossless_rgb_sv{sv}", picture(17, 23, 8, 3), 8, 8, 3, "+el", "+sv", str(sv))
        dcmtk("baseline_grey", picture(17, 23, 8, 1), 8, 8, 1, "+eb")
        dcmtk("baseline_grey_q30", picture(40, 39, 8, 1), 8, 8, 1, "+eb", "+q", "30")
        for sampling in ("+s4", "+s2", "+n2", "+n1"):
            dcmtk(f"baseline_ybr{sampling}", picture(21, 37, 8, 3), 8, 8, 3, "+eb", sampling)
        dcmtk("baseline_rgb", picture(17, 23, 8, 3), 8, 8, 3, "+eb", "+cr")
        dcmtk("extended_8", picture(17, 23, 8, 1), 8, 8, 1, "+ee", "+be")
        dcmtk("extended_12", picture(17, 23, 12, 1), 12, 16, 1, "+ee", "+bt")
        dcmtk("extended_12_q20", picture(40, 39, 12, 1), 12, 16, 1, "+ee", "+bt", "+q", "20")
        dcmtk("progressive", picture(17, 23, 8, 1), 8, 8, 1, "+ep")

        def charls(name, a, bits, allocated, samples, near, interleave, signed=False):
            ds = dataset(a, bits, allocated, samples, signed)
            b = np.frombuffer(ds.PixelData[: a.size * allocated // 8], np.uint8 if allocated == 8 else np.uint16).reshape(a.shape)
            planes = samples > 1 and interleave == 0  # the library takes and gives planes then
            if planes:
                b = b.transpose(2, 0, 1)
            code = jpeg_ls.encode_array(np.ascontiguousarray(b), lossy_error=near, interleave_mode=interleave if samples > 1 else 0)
            code = bytes(code)
            ds.file_meta.TransferSyntaxUID = JPEGLSNearLossless if near else JPEGLSLossless
            ds.PixelData = encapsulate([code])
            ds["PixelData"].is_undefined_length = True
            ds.save_as(out / f"{name}.dcm", enforce_file_format=True)
            back = jpeg_ls.decode(np.frombuffer(next(iter(generate_frames(ds.PixelData, number_of_frames=1))), np.uint8))
            if planes and back.shape[0] == samples:
                back = back.transpose(1, 2, 0)
            golden[name] = digest(np.ascontiguousarray(back).tobytes())

        for bits, allocated in ((8, 8), (10, 16), (12, 16), (16, 16)):
            for near in (0, 1, 3, 10):
                charls(f"ls_{bits}_near{near}", picture(17, 23, bits, 1), bits, allocated, 1, near, 0)
        for interleave in (0, 1, 2):
            for near in (0, 2):
                charls(f"ls_rgb_mode{interleave}_near{near}", picture(17, 23, 8, 3), 8, 8, 3, near, interleave)
        charls("ls_narrow", picture(300, 4, 8, 1), 8, 8, 1, 0, 0)
        charls("ls_flat", np.full((20, 300), 7), 8, 8, 1, 0, 0)
    (out / "golden.json").write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
