"""Standard output and standard error: a lost answer is an error of its own, a lost message is none.

Answers go to standard output. A command whose answer cannot be written has done its work, and ends with the exit
code of `OutputError`. Messages and progress go to standard error, and never stop the work.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from vstore.errors import OutputError

_BROKEN_PIPE_CODE = 141  # as a shell says of a program that SIGPIPE ended


class BrokenOutput(OutputError):
    """Nobody reads standard output any more. Silent, as it is for any program in a pipe."""

    exit_code = _BROKEN_PIPE_CODE


class _Answers(io.FileIO):
    """Standard output. Raises OutputError for what cannot be written."""

    def write(self, data: object) -> int:
        try:
            while (count := super().write(data)) is None:  # type: ignore[arg-type]
                _wait_until_writable(self)
            return count
        except BrokenPipeError as error:
            raise BrokenOutput("nobody reads standard output") from error
        except OSError as error:
            reason = "it is closed" if self.fileno() in _closed else str(error.strerror).lower()
            raise OutputError(
                f"the answer cannot be written to standard output: {reason}",
                details=["the command has done its work"],
            ) from error


class _Messages(io.FileIO):
    """Standard error. Drops what cannot be written."""

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        with suppress(OSError):
            super().write(data)  # type: ignore[arg-type]
        return size


_closed: set[int] = set()


def prepare() -> None:
    """Make standard output and standard error safe to write to; call it once, before anything is opened.

    A closed descriptor among 0, 1 and 2 is held by the null device: a file of the store that is opened later must
    not get its number, since messages would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _closed.add(descriptor)
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _stream(_Answers, 1, sys.stdout)
    sys.stderr = _stream(_Messages, 2, sys.stderr)


def _stream(kind: Callable[..., io.FileIO], descriptor: int, old: object) -> io.TextIOWrapper:
    raw = kind(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", "utf-8"),
        errors="backslashreplace",  # a name that the terminal cannot show is shown escaped
        line_buffering=descriptor == 2 or raw.isatty(),
    )


def _wait_until_writable(file: io.FileIO) -> None:
    """Wait for a pipe that somebody else has made non-blocking."""
    import select

    select.select([], [file], [])
