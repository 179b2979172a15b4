"""`--log-file`: everything that a command reports, with times, whatever the terminal shows."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from vstore.credentials import redact
from vstore.errors import UsageError, printable

_LINE = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]{12}Z \d+ |\Z")  # the start of a line; or the file is empty
_LINE_BYTES = 40


class LogFile:
    """A file to which lines are added, each with its time (UTC) and the number of the process. Logins are hidden."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises UsageError if that fails, or if it is no log of vstore."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:  # a FIFO without a reader too
            raise UsageError(f"--log-file {path}: cannot be opened: {error.strerror}") from error
        mode = os.fstat(self._descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            os.close(self._descriptor)
            raise UsageError(f"--log-file {path}: not a file")
        if stat.S_ISREG(mode) and _LINE.match(os.read(self._descriptor, _LINE_BYTES)) is None:
            os.close(self._descriptor)
            raise UsageError(f"--log-file {path}: there is a file that is no log of vstore", hint="choose another file")

    def write(self, kind: str, text: str) -> None:
        """Add a line for each line of the text. Lines that cannot be written are lost: a log never stops the work."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = [f"{now} {os.getpid()} {kind:<8} {printable(line)}\n" for line in redact(text).splitlines()]
        with suppress(OSError):
            os.write(self._descriptor, "".join(lines).encode(errors="backslashreplace"))
