"""Folders that an interrupted `optimise` left writable: noted before they are changed, frozen again by who comes next.

Its staging folder holds a file of the store paths of the objects that it changed, flushed before each is. A collector,
and the next `optimise`, read it before the folder goes.
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
from vstore.fs.trees.removal import BY_HANDLE
from vstore.fs.trees.scan import freeze_directory
from vstore.objects import StorePath
from vstore.store.layout import Layout
from vstore.store.manifests import read_manifest

STAGING = "optimise"
_NOTES = "changing"
_MOST_BYTES = 1 << 26


def note_change(scratch: Folder, path: StorePath) -> None:
    """Say, durably, that folders of this object become writable now."""
    handle = scratch.append(_NOTES)
    try:
        os.write(handle, f"{path}\n".encode())
        flush_file(handle)
    finally:
        os.close(handle)


def freeze_again(objects: Folder, path: StorePath, folders: Iterable[bytes]) -> None:
    """Freeze these folders of an object, given by their paths in it; what is no folder any more is left."""
    for place in folders:
        names = os.fsdecode(place).split("/") if place else []
        with suppress(FileNotFoundError, PermissionError, StoreError), objects.down(str(path), *names) as folder:
            freeze_directory(folder.handle if BY_HANDLE else folder.path)


def freeze_interrupted(layout: Layout) -> None:
    """Freeze all folders of the objects that an interrupted `optimise` noted, as far as they are this user's.

    Without a lock: another one that runs finds a folder frozen, and leaves a file in it as it is.
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
    """The objects that were being changed; a torn line is of one that was not."""
    found = []
    for line in left.read(_NOTES, limit=_MOST_BYTES).decode("ascii", "replace").splitlines():
        with suppress(ValueError):
            found.append(StorePath.parse(line))
    return found
