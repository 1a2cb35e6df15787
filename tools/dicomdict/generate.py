#!/usr/bin/env python3
"""Writes dicom/elements.tsv and dicom/uids.tsv: the registries of PS3.6 (data elements, unique identifiers), as pydicom lists them.

    python3 -m venv V && V/bin/pip install pydicom==3.0.2
    V/bin/python tools/dicomdict/generate.py
"""
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

out = Path(__file__).resolve().parents[2] / "dicom"

# Where the registry leaves a choice, "XS" stands for US or SS (PixelRepresentation decides) and OW for the others.
CHOICES = {"US or SS": "XS", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "NONE": "UN"}

rows = [(f"{tag:08X}", vr, vm, keyword) for tag, (vr, vm, _, _, keyword) in DicomDictionary.items() if keyword]
rows += [(tag, vr, vm, keyword) for tag, (vr, vm, _, _, keyword) in RepeatersDictionary.items() if keyword]
with open(out / "elements.tsv", "w", newline="\n") as f:
    for tag, vr, vm, keyword in sorted(rows):
        f.write(f"{tag}\t{CHOICES.get(vr, vr)}\t{vm}\t{keyword}\n")

wanted = {"Transfer Syntax", "SOP Class", "Meta SOP Class"}
with open(out / "uids.tsv", "w", newline="\n") as f:
    for uid, (name, kind, _, _, _) in sorted(UID_dictionary.items()):
        if kind in wanted:
            f.write(f"{uid}\t{'syntax' if kind == 'Transfer Syntax' else 'class'}\t{' '.join(name.split())}\n")
