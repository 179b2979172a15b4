"""Freezing the folders that an interrupted `optimise` left writable.

Its staging folder holds a file with the store path of each object that it changes, flushed before the change. A
collector and the next `optimise` read it before they remove the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from vstore.errors import StoreError
from vstore.fs.atomic import flush_file
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import is_held
from vstore.fs.trees.manifest import EntryKind
from vstore.fs.trees.scan import freeze_directory
from vstore.objects import StorePath
from vstore.store.layout import StoreLayout
from vstore.store.manifests import read_manifest

STAGING = "optimise"
_NOTES = "changing"
_MAX_BYTES = 1 << 26


def note_change(scratch: Folder, path: StorePath) -> None:
    """Record durably that folders of this object become writable."""
    handle = scratch.create(_NOTES, 0o600, append=True)
    try:
        os.write(handle, f"{path}\n".encode())
        flush_file(handle)
    finally:
        os.close(handle)


def freeze_again(objects: Folder, path: StorePath, folders: Iterable[bytes]) -> None:
    """Freeze folders of an object, given by their paths in it. A path that is not a folder is skipped."""
    for place in folders:
        names = os.fsdecode(place).split("/") if place else []
        with suppress(FileNotFoundError, PermissionError, StoreError), objects.folder(str(path), *names) as folder:
            freeze_directory(folder.at)


def freeze_interrupted(layout: StoreLayout) -> None:
    """Freeze all folders of the objects that an interrupted `optimise` of this user recorded.

    No lock is needed: an `optimise` that runs meanwhile finds a folder frozen, and leaves the file in it alone.
    """
    with layout.opened(layout.tmp) as tmp, layout.opened(layout.store) as objects:
        for name in tmp.names():
            if name.startswith(f"{STAGING}-") and not name.endswith(".lock") and not is_held(tmp.path / f"{name}.lock"):
                with suppress(OSError, StoreError), tmp.folder(name) as left:
                    for path in _noted(left):
                        manifest = read_manifest(layout.manifest(path))[0]
                        places = [entry.path for entry in manifest.entries if entry.kind == EntryKind.DIRECTORY]
                        freeze_again(objects, path, [b"", *places])


def _noted(left: Folder) -> list[StorePath]:
    """Return the recorded objects. The object of a torn line was not changed yet."""
    found = []
    for line in left.read(_NOTES, limit=_MAX_BYTES).decode("ascii", "replace").splitlines():
        with suppress(ValueError):
            found.append(StorePath.parse(line))
    return found
