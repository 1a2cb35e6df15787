"""Workload "start": from the start of a process to its first answer, with the page cache warm."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path

from engine import Failed
from plan import HERE, note
from preparation import Preparation
from rounds import relative

ANSWER_WITHIN = 5e-3  # relative, L2: another order of summation, and pixels in float32


def commands(args, folder: Path) -> dict[str, list[str]]:
    out = {"melo": [args.melo, "--json", "predict", "--workers", str(args.threads), "--base", str(folder / "base"),
                    "--adapter", str(folder / "adapter.safetensors"), str(folder / "image.png")]}
    for precision in ("bf16", "int8"):  # the adapter of a PEFT folder has no self-test, so that it is answered in f32 only
        out[f"melo {precision}, base alone"] = [args.melo, "--json", "predict", "--workers", str(args.threads), "--precision", precision,
                                                "--base", str(folder / "base"), str(folder / "image.png")]
    for library, name in (("timm", "torch, timm"), ("peft", "torch, peft"), ("onnxruntime", "onnxruntime, base alone")):
        out[name] = [args.python, str(HERE / "start_peer.py"), "--with", library, "--threads", str(args.threads), "--dir", str(folder)]
    return {n: c for n, c in out.items() if not args.engines or any(word in n for word in args.engines)}


def run(args, model: str, root: Path, env: dict[str, str], preparation: Preparation) -> dict:
    note(f"start, ViT-{model.capitalize()}")
    folder, left_out = preparation.folder, {}
    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    answers: dict[str, list[float]] = {}
    todo = commands(args, folder)
    try:
        preparation.need("base", "adapter")
        convert(args, folder, root)
    except Failed as e:
        return result(model, {}, {}, {}, {n: {"status": "failed", "reason": str(e)} for n in todo})
    for turn in range(args.start_rounds + 1):  # the first one warms the page cache
        for name, command in list(todo.items()):
            try:
                if "onnxruntime" in name:
                    preparation.need("onnx")
                time.sleep(args.pause)
                seconds, peak, line = first_answer(command, env, root)
            except Failed as e:
                note(f"  {name}: failed: {e}")
                left_out[name] = {"status": "failed", "reason": str(e)}
                todo.pop(name)
                continue
            if turn > 0:
                times.setdefault(name, []).append(seconds)
            peaks[name] = max(peaks.get(name, 0), peak)
            doc = json.loads(line)
            answers[name] = doc["logits"] if "logits" in doc else doc["results"][0]["logits"]
    return result(model, times, peaks, answers, left_out)


def convert(args, folder: Path, root: Path) -> None:
    """The PEFT folder as melo's own file."""
    labels = ",".join(f"class {i}" for i in range(14))
    done = subprocess.run([args.melo, "convert", "--base", str(folder / "base"), "--labels", labels, str(folder / "peft"),
                           str(folder / "adapter.safetensors")], cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"melo convert: {done.stderr.strip()}")


def first_answer(command: list[str], env: dict[str, str], root: Path) -> tuple[float, int, str]:
    """Seconds until the whole first document is there, the peak memory of the process, and the document."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | env, cwd=root, start_new_session=True)
    try:
        text = process.stdout.read()  # until its end: the answer is one document, indented by some
        seconds = time.perf_counter() - begin
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        process.stdout.close()
        process.stderr.close()
    if process.returncode != 0:
        lines = errors.strip().splitlines()
        raise Failed(f"ended with code {process.returncode}: {lines[-1][:300] if lines else 'no message'}")
    return seconds, usage.ru_maxrss * 1024, text


def result(model: str, times, peaks, answers, left_out) -> dict:
    want = answers.get("torch, timm") or answers.get("torch, peft")
    agreement = {}
    for name, got in answers.items():
        if want and "alone" not in name:
            away = relative(got, want)
            agreement[name] = {"what": "logits", "difference": away, "within": ANSWER_WITHIN, "ok": away <= ANSWER_WITHIN}
            note(f"  {name}: logits differ by {away:.1e}")
    engines = {n: {"precision": "f32", "ours": n.startswith("melo"), "median_seconds": statistics.median(t), "images_per_second": 1 / statistics.median(t),
                   "spread": (max(t) - min(t)) / statistics.median(t), "peak_bytes": peaks[n], "working_bytes": 0, "seconds": t}
               for n, t in times.items()}
    rounds = max((len(t) for t in times.values()), default=0)
    return {"model": model, "workload": "start", "precision": "f32", "rows": [{"batch": 1, "rounds": rounds, "engines": engines}],
            "agreement": agreement, "left_out": left_out}
