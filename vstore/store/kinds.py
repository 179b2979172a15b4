"""The kind of an object, read off its own tree: a word beside it, in a record or an index, may be wrong."""

from __future__ import annotations

import os
from pathlib import Path

from vstore.digest import parse_json
from vstore.fs.reading import read_regular
from vstore.fs.trees.manifest import EntryKind, Manifest
from vstore.objects import LAYER_FILE, SOURCE_FOLDER, STACK_FILE, Kind

_MOST_BYTES = 1 << 26
_LAYERS = {Kind.RUNTIME, Kind.FRAMEWORK, Kind.APPLICATION}


def kind_of(tree: Path, manifest: Manifest) -> Kind | None:
    """Return the kind that the files of a tree tell; None for a tree that tells none, such as an interpreter's.

    A layer's file decides first, as any wheel may bring a file called like a stack's.
    """
    files = {entry.path for entry in manifest.entries if entry.kind == EntryKind.FILE}
    if os.fsencode(str(LAYER_FILE)) in files:
        try:
            kind = Kind(parse_json(read_regular(tree / LAYER_FILE, limit=_MOST_BYTES, follow=False))["kind"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return kind if kind in _LAYERS else None
    if os.fsencode(str(STACK_FILE)) in files:
        return Kind.STACK
    tops = {entry.path.partition(b"/")[0] for entry in manifest.entries}
    return Kind.SOURCE if tops == {os.fsencode(str(SOURCE_FOLDER))} else None
