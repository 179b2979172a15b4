"""The real command line in a process of its own, forked from one that has its modules loaded: twenty times as fast.

Run as a module it is the server: it reads one call a line as JSON, and answers each with how the process ended.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

SOURCE = Path(__file__).parents[2]
HUNG = -100
_SECONDS = 30.0


class Ended(NamedTuple):
    """The end of a command (`HUNG` after half a minute), and its output."""

    code: int
    out: str
    error: str

    @property
    def text(self) -> str:
        return f"exit code {self.code}\n{self.out}{self.error}"


class CommandLine:
    """The server, and calls to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("VSTORE", "UV_", "PIP_"))}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "scripts.testing.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=SOURCE,
            env={**keep, **environment},
        )

    def run(self, *arguments: str | bytes, cwd: Path | None = None) -> Ended:
        assert self._server.stdin is not None and self._server.stdout is not None
        texts = [os.fsdecode(one) for one in arguments]
        self._server.stdin.write(json.dumps({"arguments": texts, "cwd": str(cwd or SOURCE)}).encode() + b"\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()


def _serve() -> None:
    from vstore.cli.commands import COMMANDS

    for module, _ in COMMANDS.values():
        importlib.import_module(f"vstore.cli.commands.{module}")
    for line in sys.stdin.buffer:
        call = json.loads(line)
        sys.stdout.write(json.dumps(_call(call["arguments"], call["cwd"])) + "\n")
        sys.stdout.flush()


def _call(arguments: Sequence[str], cwd: str) -> dict[str, object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        child = os.fork()
        if child == 0:
            _become(arguments, cwd, (out.fileno(), error.fileno()))
        code = _wait(child)
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
    return {"code": code, "out": texts[0], "error": texts[1]}


def _become(arguments: Sequence[str], cwd: str, outputs: tuple[int, int]) -> None:
    from vstore.cli import main

    os.chdir(cwd)
    null = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((null, *outputs)):
        os.dup2(handle, number)
    try:
        main(list(arguments))
    finally:
        os._exit(99)  # `main` ends the process itself


def _wait(child: int) -> int:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return HUNG


if __name__ == "__main__":
    _serve()
