"""File names that are invalid or equal on another system (pure). Trees are checked before they are shipped there.

APFS by default ignores case and Unicode's normal form, NTFS ignores case. On Windows no file name may be ``aux`` or
``con.txt``, end in a dot or a space, or contain one of ``<>:"|?*\\`` or a control character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³"]
)
_REFUSED = frozenset('<>:"|?*\\/')


def fold(name: str) -> str:
    """Return the key that is equal for names that a system may treat as one.

    It is slightly coarser than the tables of file systems, so that names with different keys are safe on all.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def collisions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names of one folder that macOS or Windows treat as one."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(fold(name), name)
        if other != name:
            yield other, name


def refused_by_windows(name: str) -> str | None:
    """Return why a name is invalid on Windows; None if it is valid."""
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "the name of a device"
    if name.endswith((".", " ")):
        return f"it ends in {'a dot' if name.endswith('.') else 'a space'}"
    found = next((character for character in name if character in _REFUSED or ord(character) < 32), None)
    return None if found is None else f"it contains {found!r}"
