"""Which file of an older object is the forerunner of a file of a newer one (pure).

By family, not by name: auditwheel and delvewheel put digits of the content into the names of vendored libraries,
and ``.dist-info`` folders carry the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vstore.fs.trees.manifest import Entry, EntryKind, Manifest

_HASHED = re.compile(rb"-[0-9a-f]{8,64}(?=\.)")
_VERSIONED = re.compile(rb"-[0-9][^/]*(?=\.(?:dist-info|data|libs)/)")


def family(path: bytes) -> bytes:
    """The path without what changes from version to version."""
    return _HASHED.sub(b"", _VERSIONED.sub(b"", path))


def pairs(old: Manifest, new: Manifest) -> Iterator[tuple[Entry | None, Entry]]:
    """Each file that the older object has not, with its likeliest forerunner there, if any."""
    files = [entry for entry in old.entries if entry.kind == EntryKind.FILE and entry.size]
    held = {entry.digest for entry in files}
    names = {entry.path: entry for entry in files}
    families: dict[bytes, Entry] = {}
    for entry in files:
        families.setdefault(family(entry.path), entry)
    for entry in new.entries:
        if entry.kind == EntryKind.FILE and entry.size and entry.digest not in held:
            held.add(entry.digest)
            yield names.get(entry.path) or families.get(family(entry.path)), entry
