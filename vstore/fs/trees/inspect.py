"""Whether a tree is still as one in a store is: its entries as they are now, and what is not frozen any more."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.errors import StoreError
from vstore.fs.trees.manifest import Entry, EntryKind
from vstore.fs.trees.scan import Shard, scan

_FROZEN = {stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444, stat.S_IFREG | 0o555}


class TreeState(NamedTuple):
    """The entries of a tree, or of a shard; `mode_changes` are those with other modes or times than a store gives."""

    entries: tuple[Entry, ...]
    mode_changes: tuple[tuple[bytes, str], ...]
    unreadable: str | None = None


def look(folder: Path, share: Shard | None = None) -> TreeState:
    """Hash what is there; of a folder that is missing, or only a link, that is nothing."""
    mode_changes: list[tuple[bytes, str]] = []

    def note(entry: Entry, status: os.stat_result) -> None:
        if status.st_mode not in _FROZEN and os.name == "posix":
            mode_changes.append((entry.path, f"its mode is {stat.S_IMODE(status.st_mode):04o}"))
        if status.st_mtime_ns != entry.mtime * 10**9:
            mode_changes.append((entry.path, "its time was changed"))

    try:
        entries = scan(folder, on_found=note, share=share).entries if is_folder(folder) else ()
    except (StoreError, OSError) as error:
        return TreeState((), tuple(mode_changes), str(error))
    return TreeState(entries, tuple(mode_changes))


def folders_changed(folder: Path, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The folders of a tree that gained or lost an entry since it was frozen: one lstat(2) each, no file is read."""
    top = os.fsencode(folder)
    for entry in (Entry(b"", EntryKind.DIRECTORY), *entries):
        if entry.kind == EntryKind.DIRECTORY:
            try:
                status = os.lstat(os.path.join(top, entry.path))
            except OSError:
                continue  # then the folder that it was in has another time
            if status.st_mtime_ns != entry.mtime * 10**9:
                yield entry.path


def is_folder(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink()
