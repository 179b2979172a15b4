"""How many bytes uv has downloaded: read off the progress bars that it draws on a terminal, here one of our own.

uv has no other report of them. A bar is ``name ---- 29.12 MiB/33.71 MiB``; a uv that draws others only tells nothing.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

OnBytes = Callable[[int, int], None]
_SIZE = struct.pack("HHHH", 200, 400, 0, 0)  # rows: uv draws no more bars; columns: it cuts no names
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_BAR = re.compile(r"(\S+) +-+ +([\d.]+) ?([KMGT]?i?B)/([\d.]+) ?([KMGT]?i?B)")
_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB"))}
_DRAWN = re.compile(r"^\s*[⠀-⣿░█]|" + _BAR.pattern)
_LONGEST_BAR = 500
_READ_BYTES = 1 << 16


class Bars:
    """The bars drawn so far: what is done and the whole, over all downloads, in bytes."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._bytes: dict[str, tuple[int, int]] = {}
        self._tail = ""

    def draw(self, text: str) -> None:
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


class Terminal:
    """A terminal for uv's standard error, read by a thread."""

    @classmethod
    def open(cls, on_bytes: OnBytes, held: ExitStack) -> Terminal | None:
        """Make one, closed with `held`; None where the system has none, as progress is worth no error."""
        try:
            import fcntl
            import pty
            import termios

            reader, handle = pty.openpty()
            fcntl.ioctl(handle, termios.TIOCSWINSZ, _SIZE)
        except (ImportError, OSError):
            return None
        return held.enter_context(cls(on_bytes, reader, handle))

    def __init__(self, on_bytes: OnBytes, reader: int, handle: int) -> None:
        self._reader, self.handle = reader, handle
        self._bars = Bars(on_bytes)
        self._text: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.said()
        os.close(self._reader)

    def said(self) -> str:
        """Wait for the end of whoever writes to it; what was written, without bars and styles."""
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
            except OSError:  # Linux says so when nobody has it open any more
                return
            if not data:
                return
            text = data.decode("utf-8", "replace")
            self._text.append(text)
            self._bars.draw(text)
