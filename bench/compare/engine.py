"""A process that answers the line protocol of README.md."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import machine

ANSWER_SECONDS = 600  # a compiler on a slow machine takes minutes; what takes longer has failed
SAMPLE_SECONDS = 0.005


class Unsupported(Exception):
    """The engine does not have this mode on this machine."""


class Failed(Exception):
    """The engine should have answered and did not."""


class Engine:
    """A process that answers commands; it starts on the first and idles between them."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], root: Path):
        self.name = name
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=os.environ | env, cwd=root, start_new_session=True)

    def ask(self, command: str) -> dict:
        timer = threading.Timer(ANSWER_SECONDS, self.kill)
        timer.start()
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self.ended(command)
        doc = json.loads(line)
        if "unsupported" in doc:
            raise Unsupported(doc["unsupported"])
        if "error" in doc:
            raise Failed(f"{command!r}: {doc['error']}")
        return doc

    def ended(self, command: str) -> None:
        code = self.process.wait()
        last = self.last_error() or "no message"
        if code == 2 and "no instructions" in last:  # melo's refusal of a precision
            raise Unsupported(last)
        raise Failed(f"ended at {command!r} with code {code} (or took {ANSWER_SECONDS} s): {last}")

    def last_error(self) -> str:
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def sampled(self, command: str) -> tuple[dict, int]:
        """The answer, and the most memory beyond mapped files that the process held meanwhile."""
        most, done = 0, threading.Event()

        def sample() -> None:
            nonlocal most
            while True:
                most = max(most, machine.memory_of(self.process.pid))
                if done.wait(SAMPLE_SECONDS):
                    return

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            answer = self.ask(command)
        finally:
            done.set()
            sampler.join()
        return answer, max(most, machine.memory_of(self.process.pid))

    def kill(self) -> None:
        """Ends the process and what it started, such as compilers."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self, patience: float = 10) -> None:
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            self.process.wait(timeout=patience)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            pass
        self.kill()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
