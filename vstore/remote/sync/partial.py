"""What a fetch of an object had written when it was killed or stopped, or its cache went away: donors for the next one.

It lies in ``tmp/fetch-<store path>-…`` without an owner, so a collection removes it at any time. Nothing of it is
believed: like all donors, each file is hashed before it is taken.
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
    return f"fetch-{path}"


def leftovers(layout: StoreLayout, path: StorePath) -> list[Path]:
    """This user's folders of fetches of this object that ended without cleaning up. Needs the lock of its fetch."""
    found = layout.tmp.glob(f"{staging_name(path)}-*")
    return [folder for folder in found if folder.suffix != ".lock" and _is_own(folder)]


def _is_own(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def whole_files(folders: Iterable[Path], files: Iterable[Entry]) -> dict[bytes, Path]:
    """The files that were written to their end, by digest; a file gets its time last."""
    found = {}
    for tree in [folder / TREE for folder in folders]:
        for entry in files:
            place = tree / os.fsdecode(entry.path)
            try:
                status = place.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime) == (entry.size, entry.mtime):
                found[entry.digest] = place
    return found


@contextmanager
def left_behind(staging: Path, kept: Iterable[Path], *, after: Callable[[BaseException], bool]) -> Iterator[None]:
    """After such an error let the tree stay that was begun in `staging`, in place of those it had as donors."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # then it is fetched anew
            if after(error) and (staging / TREE).is_dir():
                left = staging.with_name(f"{staging.name}-left")
                left.mkdir(0o700)
                (staging / TREE).rename(left / TREE)
                remove(kept)
        raise


def remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        remove_tree(folder)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
