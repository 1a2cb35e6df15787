#!/usr/bin/env python3
"""Writes dicom/deidentify/actions.tsv: the basic profile of PS3.15, table E.1-1, edition 2026c, as the package dicom-anonymizer lists it.

    python3 -m venv V && V/bin/pip install dicom-anonymizer==2.1.0
    V/bin/python tools/dicomdict/deidentify.py
"""
import importlib.util
from pathlib import Path

here = importlib.util.find_spec("dicomanonymizer").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("table", Path(here) / "dicom_anonymization_databases/dicomfields_2026c.py")
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

names = {"D_TAGS": "D", "Z_TAGS": "Z", "X_TAGS": "X", "U_TAGS": "U", "Z_D_TAGS": "Z/D", "X_Z_TAGS": "X/Z", "X_D_TAGS": "X/D",
         "X_Z_D_TAGS": "X/Z/D", "X_Z_U_STAR_TAGS": "X/Z/U*"}
rows = []
for name, action in names.items():
    for tag in getattr(table, name):
        # Groups of repeated tags have four numbers: tag, and what of it counts.
        number = f"{tag[0]:04X}{tag[1]:04X}"
        if len(tag) == 4:
            mask = f"{tag[2]:04X}{tag[3]:04X}"
            number = "".join(c if m == "F" else "x" for c, m in zip(number, mask))
        rows.append((number, action))
out = Path(__file__).resolve().parents[2] / "dicom/deidentify/actions.tsv"
out.parent.mkdir(exist_ok=True)
with open(out, "w", newline="\n") as f:
    f.write("# PS3.15 2026c, table E.1-1\n")
    for number, action in sorted(rows):
        f.write(f"{number}\t{action}\n")
