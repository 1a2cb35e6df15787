#!/usr/bin/env python3
"""Starts the tritonserver of the package nvidia-pytriton on loopback, with models given by name; becomes its process.

    python bench/serving/triton/server.py --models REPOSITORY --load NAME... --run DIR [--onnxruntime DIR]

The package brings Triton's Python backend and no other. --onnxruntime is the folder backends/onnxruntime of a Triton
installation of the same version, for repositories of ONNX models. DIR is for the folder of backends that is put together.
"""

import argparse
import os
import pathlib
import shutil
import sys
import sysconfig

import pytriton

package = pathlib.Path(pytriton.__file__).parent
triton = package / "tritonserver"
libraries = package.parent / "nvidia_pytriton.libs"


def backends(args):
    """Puts the backends together: the Python backend looks for the stub of its interpreter beside itself."""
    folder = args.run / "backends"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(triton / "backends" / "python", folder / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "python")
    if args.onnxruntime:
        (folder / "onnxruntime").symlink_to(args.onnxruntime.resolve())
    return folder


def environment():
    """Where the copied backend finds its libraries, and its interpreter this one's packages."""
    env = dict(os.environ, CUDA_VISIBLE_DEVICES="")
    env["PATH"] = f"{pathlib.Path(sys.executable).parent}:{env['PATH']}"
    env["LD_LIBRARY_PATH"] = f"{libraries}:{sysconfig.get_config_var('LIBDIR')}:{env.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    return env


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", type=pathlib.Path, required=True)
    p.add_argument("--load", nargs="+", default=[])
    p.add_argument("--run", type=pathlib.Path, required=True)
    p.add_argument("--onnxruntime", type=pathlib.Path)
    p.add_argument("--port", type=int, default=18000)
    p.add_argument("--grpc-port", type=int, default=18001)
    args = p.parse_args()
    command = [triton / "bin" / "tritonserver", f"--model-repository={args.models}", f"--backend-directory={backends(args)}",
               "--model-control-mode=explicit", *(f"--load-model={name}" for name in args.load), "--allow-metrics=false",
               "--http-address=127.0.0.1", f"--http-port={args.port}", "--grpc-address=127.0.0.1", f"--grpc-port={args.grpc_port}"]
    os.execve(command[0], [str(c) for c in command], environment())


if __name__ == "__main__":
    main()
