"""Folders for unfinished work beside what it will become, in folders of the user's.

Each has a mark that only vstore writes, locked while its owner lives. So what a killed process left can be told from
a folder of somebody else's that happens to have such a name, and from one whose owner still works.
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
_MARK, _TEXT = "vstore-unfinished", b"This folder is unfinished work of vstore; the next run removes it.\n"


@contextmanager
def scratch(folder: Path, purpose: str) -> Iterator[Path]:
    """A new folder inside `folder` for unfinished work; gone afterwards, as far as that is possible.

    What killed processes left there goes first.
    """
    sweep(folder)
    place = folder / f"{PREFIX}{purpose}-{os.urandom(6).hex()}"
    os.mkdir(place, 0o700)
    try:
        with ExitStack() as held:
            with suppress(OSError):  # a file system without locks: then nobody sweeps it
                held.enter_context(lock_file(place / _MARK))
            (place / _MARK).write_bytes(_TEXT)
            reached(Point.PLACE_BEGUN)
            yield place
    finally:  # the mark is closed: of an open file FUSE leaves a hidden one, and the folder stays
        with suppress(OSError):
            remove_tree(place)


def sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished in `folder`: with our mark in it, and nobody who holds its lock."""
    for place in folder.glob(f"{PREFIX}*"):
        with suppress(OSError, BusyError):
            if place.is_symlink() or read_regular(place / _MARK, limit=len(_TEXT), follow=False) != _TEXT:
                continue
            with lock_file(place / _MARK, blocking=False):
                pass
            remove_tree(place)
