"""Standard output and standard error: a lost result is an error, a lost message is not.

Results go to standard output. If a result cannot be written, the work is done, and the command exits with the code of
`OutputError`. Messages and progress go to standard error, and never stop the work.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from vstore.errors import OutputError

_BROKEN_PIPE_CODE = 141  # as shells report a program that SIGPIPE ended


class BrokenOutput(OutputError):
    """The reader of standard output is gone. No message is shown, as usual for programs in a pipe."""

    exit_code = _BROKEN_PIPE_CODE


class _ResultStream(io.FileIO):
    """Standard output. Raises OutputError if it cannot be written."""

    def write(self, data: object) -> int:
        try:
            while (count := super().write(data)) is None:  # type: ignore[arg-type]
                _wait_until_writable(self)
            return count
        except BrokenPipeError as error:
            raise BrokenOutput("the reader of standard output is gone") from error
        except OSError as error:
            reason = "it is closed" if self.fileno() in _closed else str(error.strerror).lower()
            raise OutputError(
                f"the result cannot be written to standard output: {reason}",
                details=["the work of the command is done"],
            ) from error


class _MessageStream(io.FileIO):
    """Standard error. Messages that cannot be written are dropped."""

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        with suppress(OSError):
            super().write(data)  # type: ignore[arg-type]
        return size


_closed: set[int] = set()


def prepare() -> None:
    """Make standard output and standard error safe to write to. Call this once, before any file is opened.

    The null device takes the place of closed descriptors among 0, 1 and 2. Otherwise a file of the store could get such
    a number, and messages would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _closed.add(descriptor)
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _stream(_ResultStream, 1, sys.stdout)
    sys.stderr = _stream(_MessageStream, 2, sys.stderr)


def _stream(kind: Callable[..., io.FileIO], descriptor: int, old: object) -> io.TextIOWrapper:
    raw = kind(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", "utf-8"),
        errors="backslashreplace",  # a name that the terminal cannot show is shown escaped
        line_buffering=descriptor == 2 or raw.isatty(),
    )


def _wait_until_writable(file: io.FileIO) -> None:
    """Wait for a pipe that another process has made non-blocking."""
    import select

    select.select([], [file], [])
