"""Match the files of a newer object with their predecessors in an older one (pure).

Names are compared without versions: auditwheel and delvewheel put digits of the content into the names of vendored
libraries, and ``.dist-info`` folders contain the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vstore.fs.trees.manifest import Entry, EntryKind, Manifest

_HASHED = re.compile(rb"-[0-9a-f]{8,64}(?=\.)")
_VERSIONED = re.compile(rb"-[0-9][^/]*(?=\.(?:dist-info|data|libs)/)")


def unversioned(path: bytes) -> bytes:
    """Return the path without the parts that change from version to version."""
    return _HASHED.sub(b"", _VERSIONED.sub(b"", path))


def match_files(old: Manifest, new: Manifest) -> Iterator[tuple[Entry | None, Entry]]:
    """Yield each file that the older object lacks, with its likeliest predecessor there, if any."""
    files = [entry for entry in old.entries if entry.kind == EntryKind.FILE and entry.size]
    present = {entry.digest for entry in files}
    names = {entry.path: entry for entry in files}
    by_name: dict[bytes, Entry] = {}
    for entry in files:
        by_name.setdefault(unversioned(entry.path), entry)
    for entry in new.entries:
        if entry.kind == EntryKind.FILE and entry.size and entry.digest not in present:
            present.add(entry.digest)
            yield names.get(entry.path) or by_name.get(unversioned(entry.path)), entry
