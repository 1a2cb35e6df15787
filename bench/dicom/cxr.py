#!/usr/bin/env python3
"""Writes an image set with a labels.csv as DICOM, with a table of the same labels, splits and groups: every second object is MONOCHROME1,
patients come from the group column, windows and syntaxes take turns (native, implicit, RLE, JPEG lossless, JPEG-LS, JPEG 2000 lossless).
Every object shows the same picture as its file, so that training on either must give the same numbers.

    V/bin/python bench/dicom/cxr.py ../shared/data/cxr_pneumonia OUT [every Nth image]
    melo train --base BASE --data OUT/labels.csv ...          # and the same on the pictures: OUT/pictures.csv

Needs pydicom, pylibjpeg-openjpeg, pyjpegls, Pillow; DCMTK for JPEG lossless.
"""
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

source, out = Path(sys.argv[1]), Path(sys.argv[2])
every = int(sys.argv[3]) if len(sys.argv) > 3 else 1
out.mkdir(parents=True, exist_ok=True)
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, "jll", JPEGLSLossless, JPEG2000Lossless]

rows = list(csv.DictReader(open(source / "labels.csv")))[::every]
with open(out / "labels.csv", "w", newline="") as f, open(out / "pictures.csv", "w", newline="") as g:
    tables = [csv.DictWriter(h, rows[0].keys()) for h in (f, g)]
    for t in tables:
        t.writeheader()
    for i, row in enumerate(rows):
        a = np.asarray(Image.open(source / row["path"]).convert("L"))
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[row["path"]])
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(entropy_srcs=["s", row["path"]]), generate_uid(entropy_srcs=["e", row["path"]])
        ds.PatientID, ds.PatientName, ds.Modality, ds.ViewPosition = row.get("group") or str(i), "PLANTED^NAME", "CR", "PA"
        ds.Rows, ds.Columns = a.shape
        ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 8, 8, 7, 0
        ds.PhotometricInterpretation = "MONOCHROME2"
        if i % 2:
            ds.PhotometricInterpretation, a = "MONOCHROME1", 255 - a
        if i % 3 == 0:
            ds.WindowCenter, ds.WindowWidth = "128", "256"
        elif i % 3 == 1:
            ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = ["127.5", "10"], ["255", "5"], "LINEAR_EXACT"
        ds.PixelData = a.tobytes() + b"\0" * (a.size % 2)
        ds["PixelData"].VR = "OW"
        path = Path(row["path"]).with_suffix(".dcm")
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        syntax = SYNTAXES[i % len(SYNTAXES)]
        if syntax == "jll":
            ds.save_as(target, enforce_file_format=True)
            subprocess.run(["dcmcjpeg", "+el", "+sv", str(1 + i % 7), target, target], check=True, capture_output=True)
        else:
            if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
                ds.compress(syntax, generate_instance_uid=False)
            else:
                ds.file_meta.TransferSyntaxUID = syntax
            ds.save_as(target, enforce_file_format=True)
        tables[0].writerow(row | {"path": str(path)})
        tables[1].writerow(row | {"path": str((source / row["path"]).resolve())})
print(len(rows), "objects")
