"""File names that some system cannot have, or takes for one: trees are checked before they are shipped there.

APFS ignores case and Unicode's normal form as Macs are set up, NTFS ignores case. Windows has no file called ``aux`` or
``con.txt``, none that ends in a dot or a blank, and none with one of ``<>:"|?*\\`` or a control character.
Pure: these take and return names.
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
    """What two names have in common when a system takes them for one.

    A little coarser than each file system's own table, so that what is not refused is safe on all.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def collisions(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names of one folder that macOS or Windows take for one."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(fold(name), name)
        if other != name:
            yield other, name


def refused_by_windows(name: str) -> str | None:
    """Why Windows cannot have a file of that name; None if it can."""
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return "the name of a device"
    if name.endswith((".", " ")):
        return f"it ends in {'a dot' if name.endswith('.') else 'a blank'}"
    found = next((character for character in name if character in _REFUSED or ord(character) < 32), None)
    return None if found is None else f"it has {found!r} in it"
