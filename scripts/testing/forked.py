"""The real command line in a process of its own, forked from one that has its modules loaded: twenty times as fast.

Run as a module it is the server: it reads one call a line as JSON, and answers each with how the process ended. What an
interpreter reads when it starts, such as PYTHONHASHSEED, is that of the server for all its calls.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

SOURCE = Path(__file__).parents[2]
HUNG = -100
_SECONDS = 30.0
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "_VSTORE")
_LOADED_WHEN_USED = (  # these start threads, or may
    "vstore.__main__",
    "vstore.cluster",
    "vstore.store.health.reindex",
    "vstore.store.index.queries",
)


class Ended(NamedTuple):
    """The end of a command (`HUNG` if it took too long), and its output."""

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

    def run(
        self,
        *arguments: str | bytes,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
        until: str | None = None,
    ) -> Ended:
        """Run one command; `environment` None is that of the server. It gets SIGTERM once it has said `until`."""
        assert self._server.stdin is not None and self._server.stdout is not None
        os.umask(umask := os.umask(0o077))
        call = {
            "arguments": [os.fsdecode(one) for one in arguments],
            "cwd": str(cwd or SOURCE),
            "environment": None if environment is None else dict(environment),
            "umask": umask,
            "seconds": seconds,
            "until": until,
        }
        self._server.stdin.write(json.dumps(call).encode() + b"\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()


class CommandPool:
    """Servers for calls from several threads at the same time, started when they are needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[CommandLine] = []
        self._all: list[CommandLine] = []

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        """Run one command with this environment, whose variables for the start of an interpreter do not count."""
        with self._lock:
            line = self._idle.pop() if self._idle else None
        if line is None:
            line = CommandLine({})
            self._all.append(line)
        ended = line.run(*arguments, environment=environment, seconds=seconds)
        with self._lock:
            self._idle.append(line)
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._all:
            line.__exit__()


def starts_alike(environment: Mapping[str, str]) -> bool:
    """Return whether an interpreter with this environment starts as this one did."""
    return _read_at_start(environment) == _read_at_start(os.environ)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key.startswith(_READ_AT_START)}


def _serve() -> None:
    import vstore

    for module in pkgutil.walk_packages(vstore.__path__, "vstore."):
        if not module.name.startswith(_LOADED_WHEN_USED):
            importlib.import_module(module.name)
    if sys.platform == "linux" and len(os.listdir("/proc/self/task")) > 1:
        raise SystemExit("a module of vstore has started a thread: a process with threads cannot be forked")
    gc.freeze()  # children do not touch what they share
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps(_call(json.loads(line))) + "\n")
        sys.stdout.flush()


def _call(call: dict[str, Any]) -> dict[str, object]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        child = os.fork()
        if child == 0:
            _become(call, (out.fileno(), error.fileno()))
        code = _wait(child, call["seconds"], call["until"], error.fileno())
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "backslashreplace"))
    return {"code": code, "out": texts[0], "error": texts[1]}


def _become(call: dict[str, Any], outputs: tuple[int, int]) -> None:
    from vstore.cli import main

    os.chdir(call["cwd"])
    os.umask(call["umask"])
    if call["environment"] is not None:
        os.environ.clear()
        os.environ.update(call["environment"])
    sys.argv[1:] = call["arguments"]
    null = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((null, *outputs)):
        os.dup2(handle, number)
    try:
        main(list(call["arguments"]))
    finally:
        os._exit(99)  # `main` ends the process itself


def _wait(child: int, seconds: float, until: str | None, error: int) -> int:
    """Return how a child ended. It gets SIGTERM once its standard error has the text `until`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if until is not None and until.encode() in os.pread(error, 1 << 16, 0):
            os.kill(child, signal.SIGTERM)
            until = None
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


if __name__ == "__main__":
    _serve()
