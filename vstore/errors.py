"""The errors of vstore, as one tree.

::

    VstoreError            1   any other error
    ├── UsageError         2   the command line or the request is not valid
    ├── SpecError          3   the spec has mistakes
    ├── LockError          4   locking or resolving failed, or the lock is stale
    ├── BuildError         5   a layer could not be built
    ├── StoreError         6   the store is damaged, unreadable, full, or refuses
    │   └── BusyError      7   another process holds a lock for too long
    ├── ProfileError       8   no such generation, or the profile cannot have it
    ├── ArchiveError       9   an archive is malformed
    ├── CacheError        10   a cache refuses, or has malformed records
    ├── ToolError         11   an external tool (uv, patchelf) failed
    ├── NotReproducibleError   12   a rebuild has other bytes
    ├── NotFoundError     13   no such object, profile, layer or application
    ├── OutputError       15   the work is done, but its output could not be written
    └── ClusterError      16   a scheduler does not answer, or no worker could do the work

An error has a one-line message with the fault and its place, details, and a hint with a command that helps.
Only ``vstore.cli`` turns it into text and an exit code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from vstore.credentials import redact

FOUND_SOMETHING = 14  # the exit code of a check that worked, and has findings

_DIRECTIONS = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # Unicode's Bidi_Control
_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *_DIRECTIONS)}


_MAX_CHARACTERS = 4000


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
    """The command line or the request is not valid."""

    exit_code = 2


class SpecError(VstoreError):
    """The spec has mistakes."""

    exit_code = 3


class LockError(VstoreError):
    """Locking failed, or a lock is stale or malformed."""

    exit_code = 4


class BuildError(VstoreError):
    """A layer could not be built."""

    exit_code = 5


class StoreError(VstoreError):
    """The store is damaged, unreadable or full, or refuses the operation."""

    exit_code = 6


class BusyError(StoreError):
    """Another process holds a lock for too long."""

    exit_code = 7


class ProfileError(VstoreError):
    """A profile has no such generation, or cannot have it."""

    exit_code = 8


class ArchiveError(VstoreError):
    """An archive is malformed."""

    exit_code = 9


class CacheError(VstoreError):
    """A cache refuses, or has malformed records."""

    exit_code = 10


class ToolError(VstoreError):
    """An external tool such as uv or patchelf failed."""

    exit_code = 11


class NotReproducibleError(VstoreError):
    """A rebuild has other bytes."""

    exit_code = 12


class NotFoundError(VstoreError):
    """There is no such object, profile, layer or application."""

    exit_code = 13


class OutputError(VstoreError):
    """The work is done, but its output could not be written."""

    exit_code = 15


class ClusterError(VstoreError):
    """A scheduler does not answer, or no worker could do the work."""

    exit_code = 16


def error_class(exit_code: int) -> type[VstoreError]:
    """Return the class of errors with this exit code, `VstoreError` if no class has it."""
    return next((one for one in _classes(VstoreError) if vars(one).get("exit_code") == exit_code), VstoreError)


def _classes(base: type[VstoreError]) -> Iterator[type[VstoreError]]:
    yield base
    for one in base.__subclasses__():
        yield from _classes(one)


def _shown(text: str) -> str:
    """Return one line of an error, shortened before a URL, as half a URL may show its login."""
    if len(text) > _MAX_CHARACTERS:
        text = text[:_MAX_CHARACTERS].rpartition("://")[0] or text[:_MAX_CHARACTERS]
        text += "…"
    return printable(redact(text))


def printable(text: str) -> str:
    """Return the text with control characters escaped, so that a name cannot break a line or control a terminal.

    Those of the direction of writing are escaped too: they would show a text in another order (CVE-2021-42574).
    """
    return text if text.isprintable() else text.translate(_CONTROLS)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the start of a hint that names the most similar known word; empty if there is none."""
    near = nearest(word, known)
    return f"did you mean {str(near)!r}? " if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most similar to this one, for a hint; None if there is none."""
    from difflib import get_close_matches  # 4 ms, only after a mistake

    return next(iter(get_close_matches(word, list(known), n=1)), None)
