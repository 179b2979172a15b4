"""Which file of an older object is the forerunner of a file of a newer one (pure).

By family, not by name: auditwheel and delvewheel put digits of the content into the names of vendored libraries,
and ``.dist-info`` folders carry the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vstore.fs.tree import EntryKind, Manifest

SMALLEST = 64 << 10  # smaller files are cheaper by range
_HASHED = re.compile(rb"-[0-9a-f]{8,64}(?=\.)")
_VERSIONED = re.compile(rb"-[0-9][^/]*(?=\.(?:dist-info|data|libs)/)")


def family(path: bytes) -> bytes:
    """The path without what changes from version to version."""
    return _HASHED.sub(b"", _VERSIONED.sub(b"", path))


def pairs(old: Manifest, new: Manifest) -> Iterator[tuple[bytes, bytes]]:
    """Paths (old, new) of large files whose content changed, each new one with its likeliest forerunner."""
    held = {entry.digest for entry in old.entries if entry.kind == EntryKind.FILE}
    names = {entry.path: entry for entry in old.entries if entry.kind == EntryKind.FILE and entry.size >= SMALLEST}
    families: dict[bytes, bytes] = {}
    for path in names:
        families.setdefault(family(path), path)
    for entry in new.entries:
        if entry.kind != EntryKind.FILE or entry.size < SMALLEST or entry.digest in held:
            continue
        forerunner = entry.path if entry.path in names else families.get(family(entry.path))
        if forerunner is not None:
            yield forerunner, entry.path
