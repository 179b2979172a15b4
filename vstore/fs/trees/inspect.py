"""Whether a tree is still as one in a store is: its entries as they are now, and what is not frozen any more."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.errors import StoreError
from vstore.fs.trees.manifest import Entry, EntryKind
from vstore.fs.trees.scan import Share, scan

_FROZEN = {stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444, stat.S_IFREG | 0o555}


class Looked(NamedTuple):
    """What is there of a tree, or of a share of it; `thawed` is what has another mode or time than all in a store."""

    entries: tuple[Entry, ...]
    thawed: tuple[tuple[bytes, str], ...]
    unreadable: str | None = None


def look(folder: Path, share: Share | None = None) -> Looked:
    """Hash what is there; of a folder that is missing, or only a link, that is nothing."""
    thawed: list[tuple[bytes, str]] = []

    def note(entry: Entry, status: os.stat_result) -> None:
        if status.st_mode not in _FROZEN and os.name == "posix":
            thawed.append((entry.path, f"its mode is {stat.S_IMODE(status.st_mode):04o}"))
        if status.st_mtime_ns != entry.mtime * 10**9:
            thawed.append((entry.path, "its time was changed"))

    try:
        entries = scan(folder, on_found=note, share=share).entries if is_folder(folder) else ()
    except (StoreError, OSError) as error:
        return Looked((), tuple(thawed), str(error))
    return Looked(entries, tuple(thawed))


def changed_folders(folder: Path, entries: Iterable[Entry]) -> Iterator[bytes]:
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
