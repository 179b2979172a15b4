"""The state of a tree: its entries, and the modes and times that are not those of a frozen tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.errors import StoreError
from vstore.fs.trees.manifest import FIXED_TIME, Entry, EntryKind, Outline
from vstore.fs.trees.scan import Shard, scan

FROZEN_TIME_NS = FIXED_TIME * 10**9  # of the folders and links of a frozen tree
_FROZEN = {stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444, stat.S_IFREG | 0o555}


class TreeState(NamedTuple):
    """The entries of a tree or a shard of it. `mode_changes` are paths with other modes or times than in a store.

    `unreadable` is the error if the tree cannot be read; then there are no entries.
    """

    entries: tuple[Entry, ...]
    mode_changes: tuple[tuple[bytes, str], ...]
    unreadable: str | None = None


def inspect_tree(folder: Path, shard: Shard | None = None) -> TreeState:
    """Hash a tree, or a shard of it. A missing folder, or a link, has no entries."""
    mode_changes: list[tuple[bytes, str]] = []

    def note(entry: Entry, status: os.stat_result) -> None:
        if status.st_mode not in _FROZEN and os.name == "posix":
            mode_changes.append((entry.path, f"its mode is {stat.S_IMODE(status.st_mode):04o}"))
        if status.st_mtime_ns != entry.mtime * 10**9:
            mode_changes.append((entry.path, "its time was changed"))

    try:
        entries = scan(folder, on_found=note, shard=shard).entries if is_folder(folder) else ()
    except (StoreError, OSError) as error:
        return TreeState((), tuple(mode_changes), str(error))
    return TreeState(entries, tuple(mode_changes))


def changed_folders(folder: Path | str, outline: Outline) -> Iterator[bytes]:
    """Yield the folders of a tree that gained or lost an entry since it was frozen. Needs one lstat(2) for each."""
    top = os.fsencode(folder)
    for path in (b"", *(path for path, kind in outline.kinds.items() if kind == EntryKind.DIRECTORY)):
        try:
            status = os.lstat(os.path.join(top, path))
        except OSError:
            continue  # the time of its parent has changed
        if status.st_mtime_ns != FROZEN_TIME_NS:
            yield path


def is_folder(folder: Path | str) -> bool:
    """Return whether a path is a folder and not a link."""
    try:
        return stat.S_ISDIR(os.lstat(folder).st_mode)
    except (OSError, ValueError):
        return False
