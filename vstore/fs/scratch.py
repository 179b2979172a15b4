"""Scratch folders for unfinished output, in folders of the user.

Each holds a marker file that only vstore writes, locked while its owner lives. This distinguishes what a killed process
left from another program's folder of such a name, and from a scratch folder in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vstore.errors import BusyError
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.reading import read_regular
from vstore.fs.trees.removal import remove_tree

PREFIX = ".vstore-"
_MARKER, _TEXT = "vstore-unfinished", b"This folder is unfinished work of vstore; the next run removes it.\n"


@contextmanager
def scratch(folder: Path, purpose: str) -> Iterator[Path]:
    """Create a scratch folder in `folder`, and remove it at the end if possible. First `sweep` the folder."""
    sweep(folder)
    place = folder / f"{PREFIX}{purpose}-{os.urandom(6).hex()}"
    os.mkdir(place, 0o700)
    try:
        with ExitStack() as held:
            with suppress(OSError):  # no file locks: then nobody sweeps it
                held.enter_context(lock_file(place / _MARKER))
            (place / _MARKER).write_bytes(_TEXT)
            reached(Point.PLACE_BEGUN)
            yield place
    finally:  # the marker is closed: FUSE keeps a hidden copy of an open file, and the folder stays
        with suppress(OSError):
            remove_tree(place)


def sweep(folder: Path) -> None:
    """Remove the scratch folders that killed processes left in `folder`: those with our marker and without a lock."""
    for place in folder.glob(f"{PREFIX}*"):
        with suppress(OSError, BusyError):
            if place.is_symlink() or read_regular(place / _MARKER, limit=len(_TEXT), follow=False) != _TEXT:
                continue
            with lock_file(place / _MARKER, blocking=False):
                pass
            remove_tree(place)
