"""The progress of uv, read from a pseudo-terminal, as uv reports it in no other way.

A download is drawn as ``name ---- 29.12 MiB/33.71 MiB``, a resolved version as ``⠙ name==1.0``. If another uv draws
them in another way, no progress is reported.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, Self

OnBytes = Callable[[int, int], None]
OnPackages = Callable[[int], None]
_SIZE = struct.pack("HHHH", 200, 400, 0, 0)  # rows and columns: enough that uv omits no bar and cuts no name
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_BAR = re.compile(r"(\S+) +-+ +([\d.]+) ?([KMGT]?i?B)/([\d.]+) ?([KMGT]?i?B)")
_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB"))}
_DRAWN = re.compile(r"^\s*[⠀-⣿░█]|" + _BAR.pattern)
_RESOLVED = re.compile(r"[⠀-⣿]\s+([A-Za-z0-9][\w.-]*)==")
_LONGEST_BAR = 500
_READ_BYTES = 1 << 16


class DownloadBars:
    """Calls `on_bytes` with the bytes done and the bytes in total, over all downloads."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._bytes: dict[str, tuple[int, int]] = {}
        self._tail = ""

    def draw(self, text: str) -> None:
        """Read the next text that uv draws."""
        text = self._tail + _STYLE.sub("", text)
        end = 0
        for bar in _BAR.finditer(text):
            name, done, unit, whole, of = bar.groups()
            end = bar.end()
            if unit in _UNITS and of in _UNITS:
                self._bytes[name] = round(float(done) * _UNITS[unit]), round(float(whole) * _UNITS[of])
        self._tail = text[end:][-_LONGEST_BAR:]
        if end:
            done_bytes, whole_bytes = (sum(part) for part in zip(*self._bytes.values(), strict=True))
            self._on_bytes(done_bytes, whole_bytes)


class ResolvedPackages:
    """Calls `on_packages` with the number of packages that are resolved so far."""

    def __init__(self, on_packages: OnPackages) -> None:
        self._on_packages = on_packages
        self._names: set[str] = set()
        self._line = ""

    def draw(self, text: str) -> None:
        """Read the next text that uv draws."""
        *lines, self._line = re.split(r"[\r\n]+", self._line + _STYLE.sub("", text))
        found = {name for line in lines for name in _RESOLVED.findall(line)} - self._names
        if found:
            self._names |= found
            self._on_packages(len(self._names))


class Drawing(Protocol):
    """Reads the progress that uv draws."""

    def draw(self, text: str) -> None:
        """Read the next text that uv draws."""


class Terminal:
    """A pseudo-terminal for uv's standard error, read by a thread."""

    @classmethod
    def open(cls, drawing: Drawing, held: ExitStack) -> Terminal | None:
        """Open a terminal until `held` closes. Return None if the system has none, as progress is not essential."""
        try:
            import fcntl
            import pty
            import termios

            reader, handle = pty.openpty()
            fcntl.ioctl(handle, termios.TIOCSWINSZ, _SIZE)
        except (ImportError, OSError):
            return None
        return held.enter_context(cls(drawing, reader, handle))

    def __init__(self, drawing: Drawing, reader: int, handle: int) -> None:
        self._reader, self.handle = reader, handle
        self._drawing = drawing
        self._text: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.output()
        os.close(self._reader)

    def output(self) -> str:
        """Wait for the writers to end, and return the text without bars and styles."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
            self._thread.join()
        lines = re.split(r"[\r\n]+", _STYLE.sub("", "".join(self._text)))
        return "\n".join(line.rstrip() for line in lines if line.strip() and not _DRAWN.search(line))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._reader, _READ_BYTES)
            except OSError:  # on Linux, when there is no more writer
                return
            if not data:
                return
            text = data.decode("utf-8", "replace")
            self._text.append(text)
            self._drawing.draw(text)
