"""Runs the steps of prepare.py when they are first needed, and remembers what cannot be made."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from engine import Failed
from plan import MADE, note, prepare_command


class Preparation:
    def __init__(self, args, model: str, folder: Path, env: dict[str, str]):
        self.args, self.model, self.folder, self.env = args, model, folder, env
        self.failed: dict[str, str] = {}

    def need(self, *steps: str) -> None:
        for step in steps:
            if step in self.failed:
                raise Failed(self.failed[step])
            if not (self.folder / MADE[step]).exists():
                self.make(step)

    def make(self, step: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        done = subprocess.run(prepare_command(self.args, step, self.model, self.folder), env=os.environ | self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode != 0:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            self.failed[step] = f"prepare.py {step}: {lines[-1][:300] if lines else done.returncode}"
            raise Failed(self.failed[step])
        note(f"  prepared: {step} of ViT-{self.model.capitalize()} ({time.monotonic() - begin:.0f} s)")
