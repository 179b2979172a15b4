"""Partial fetches: the files that a fetch had written when it was killed, cancelled or cut off, for the next one.

They lie in ``tmp/fetch-<store path>-…`` without an owner, so a collection may remove them at any time. They are not
trusted: each file is hashed before it is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.fs.trees.manifest import Entry
from vstore.fs.trees.removal import remove_tree
from vstore.objects import StorePath
from vstore.store import StoreLayout

TREE = "tree"


def staging_name(path: StorePath) -> str:
    """Return the start of the names of an object's staging folders."""
    return f"fetch-{path}"


def find_partial(layout: StoreLayout, path: StorePath) -> list[Path]:
    """Return this user's folders of partial fetches of an object. The caller holds the lock of its fetch."""
    found = layout.tmp.glob(f"{staging_name(path)}-*")
    return [folder for folder in found if folder.suffix != ".lock" and _is_own(folder)]


def _is_own(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def complete_files(folders: Iterable[Path], files: Iterable[Entry]) -> dict[bytes, Path]:
    """Return the files that were written to their end, by digest: the time is set last."""
    found = {}
    for tree in [folder / TREE for folder in folders]:
        for entry in files:
            path = tree / os.fsdecode(entry.path)
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime) == (entry.size, entry.mtime):
                found[entry.digest] = path
    return found


@contextmanager
def keep_partial(staging: Path, older: Iterable[Path], *, after: Callable[[BaseException], bool]) -> Iterator[None]:
    """Keep the tree in `staging` after an error for which `after` is true, in place of the `older` partial fetches."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # then nothing is kept
            if after(error) and (staging / TREE).is_dir():
                kept = staging.with_name(f"{staging.name}-left")
                kept.mkdir(0o700)
                (staging / TREE).rename(kept / TREE)
                remove_partial(older)
        raise


def remove_partial(folders: Iterable[Path]) -> None:
    """Delete partial fetches."""
    for folder in folders:
        remove_tree(folder)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
