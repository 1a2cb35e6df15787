"""The machine that a comparison ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def describe() -> dict:
    """The machine, and which class of the performance tables it belongs to."""
    info = {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    flags: set[str] = set()
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return info | {"class": "unknown"}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "Flags":
            flags = set(value.split())
        elif key in ("Model name", "CPU family", "Model", "L2 cache", "L3 cache"):
            info[key] = value.strip()
    known = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
    info["flags"] = [f for f in known if f in flags]
    info["class"] = class_of(flags)
    return info


def class_of(flags: set[str]) -> str:
    if {"avx512_vnni", "avx512_bf16"} <= flags:
        return "AVX-512 with BF16 and VNNI"
    if "avx512_vnni" in flags:
        return "AVX-512 with VNNI"
    if "avx512f" in flags:
        return "AVX-512"
    if {"avx2", "fma", "avx_vnni"} <= flags:
        return "AVX2+FMA and AVX-VNNI"
    if {"avx2", "fma"} <= flags:
        return "AVX2+FMA"
    return "NEON" if platform.machine() == "aarch64" else "other"


PACKAGES = ("torch", "timm", "transformers", "peft", "onnxruntime", "openvino", "nncf")


def versions(python: str) -> dict[str, str]:
    """The installed versions of the peers, of the interpreter that runs them."""
    script = "\n".join(("import importlib.metadata as m, platform", "print('python', platform.python_version())", f"for p in {PACKAGES!r}:",
                        "    try: print(p, m.version(p))", "    except m.PackageNotFoundError: pass"))
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def memory_of(pid: int) -> int:
    """Memory of a process beyond mapped files: RssAnon + RssShmem."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0
    return sum(int(fields[f].split()[0]) for f in ("RssAnon", "RssShmem") if f in fields) * 1024
