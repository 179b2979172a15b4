"""Everything that can go wrong, as one tree.

::

    VstoreError            1   any other error
    ├── UsageError         2   the command line or the request makes no sense
    ├── SpecError          3   the spec is wrong
    ├── LockError          4   locking or resolving failed, or the lock is stale
    ├── BuildError         5   a layer could not be built
    ├── StoreError         6   the store is damaged, unreadable, full, or refuses
    │   └── BusyError      7   another process holds what is needed
    ├── ProfileError       8   no such profile or generation
    ├── ArchiveError       9   an archive is malformed
    ├── CacheError        10   a remote collection failed
    ├── ToolError         11   an outside tool (uv, patchelf) failed
    ├── NotReproducibleError   12   a rebuild gave other bytes
    └── OutputError       15   the work is done, but its answer could not be written

An error carries one line that says what and where, details for below it, and a hint.
Only ``vstore.cli`` turns one into text and an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from vstore.credentials import redact

_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


_MOST_CHARACTERS = 4000


class VstoreError(Exception):
    """An error with a one-line message, details (one per line) and a hint. Logins in URLs are hidden in all three."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, details: Iterable[str] = (), hint: str | None = None) -> None:
        self.message = _shown(message)
        self.details = tuple(map(_shown, details))
        self.hint = _shown(hint) if hint else None
        super().__init__(self.message)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {line}" for line in self.details)]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(VstoreError):
    exit_code = 2


class SpecError(VstoreError):
    exit_code = 3


class LockError(VstoreError):
    exit_code = 4


class BuildError(VstoreError):
    exit_code = 5


class StoreError(VstoreError):
    exit_code = 6


class BusyError(StoreError):
    exit_code = 7


class ProfileError(VstoreError):
    exit_code = 8


class ArchiveError(VstoreError):
    exit_code = 9


class CacheError(VstoreError):
    exit_code = 10


class ToolError(VstoreError):
    exit_code = 11


class NotReproducibleError(VstoreError):
    exit_code = 12


class OutputError(VstoreError):
    exit_code = 15


def _shown(text: str) -> str:
    """One line of an error: a stranger's record may put a megabyte into it, and a URL that is cut shows its login."""
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS].rpartition("://")[0] or text[:_MOST_CHARACTERS]
        text += "…"
    return printable(redact(text))


def printable(text: str) -> str:
    """The text in one line: control characters escaped, so that no name can break a line or steer a terminal."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like this one, for a hint; None if none does."""
    from difflib import get_close_matches  # 4 ms that only a mistake pays

    return next(iter(get_close_matches(word, list(known), n=1)), None)
