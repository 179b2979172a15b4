"""Write to paths that a user names; never replace, remove or follow files that vstore did not make.

`claim` checks a path before any work is done: it must be free, or hold something that vstore recognisably made.
`put_file`, `put_folder` and `put_link` then replace the entry that `claim` found, and nothing else. A new name is
created in one step of the kernel that fails if the name exists by now (renameat2(2) with RENAME_NOREPLACE, link(2),
symlink(2)). To replace, two names are exchanged, and exchanged back if the old one turns out to be another file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vstore.errors import UsageError
from vstore.fs.atomic import exchange, flush_file, fsync_directory
from vstore.fs.faults import Point, reached
from vstore.fs.paths import quoted
from vstore.fs.rename import rename_new
from vstore.fs.scratch import scratch

_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Claim(NamedTuple):
    """A path that may be written. `old` is the status of the file that vstore made there, None if it is free."""

    path: Path
    old: os.stat_result | None


def claim(path: Path, ours: Callable[[Path, os.stat_result], bool], *, store: Path | None = None) -> Claim:
    """Check a path that a user names for an output, without changing anything.

    `ours` decides from the path and its lstat whether vstore made the existing entry for this purpose. The path must
    not be inside `store`, the root of the store. Raises UsageError, naming the path and the kind of the entry.
    """
    check_folder(path.parent)
    if store is not None and _is_inside(path.parent, store):  # the target of our link is in it
        raise UsageError(f"the output path is inside the store: {path}", hint="choose a path outside of it")
    return recognise(path, ours)


def recognise(path: Path, ours: Callable[[Path, os.stat_result], bool]) -> Claim:
    """Like `claim`, for a path in a folder that vstore has claimed. The folder may not exist yet."""
    old = lstat_or_none(path)
    if old is not None and not ours(path, old):
        raise not_ours(path, old)
    return Claim(path, old)


class PlaceTaken(UsageError):
    """A path changed after it was claimed. Claim it again to learn whether vstore may still write it."""


def lstat_or_none(path: Path) -> os.stat_result | None:
    """Return the lstat of a path; None if it does not exist. Raises UsageError if that cannot be determined."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def check_folder(folder: Path) -> None:
    """Raise UsageError unless entries can be created in this folder. It may be a link to a folder."""
    try:
        status = os.stat(folder)
    except FileNotFoundError as error:
        raise UsageError(f"no such folder: {folder}", hint=f"create it first: `mkdir -p {quoted(folder)}`") from error
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"not a folder: {folder}", hint="choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the folder is not writable: {folder}", hint="choose another place, or ask its owner")


def check_output_folder(folder: Path, *, store: Path) -> None:
    """Raise UsageError unless files can be created in this folder, which may not exist yet."""
    if _is_inside(folder, store):
        raise UsageError(f"the output folder is inside the store: {folder}", hint="choose a folder outside of it")
    check_parents(folder)


def check_parents(folder: Path) -> None:
    """Raise UsageError unless entries can be created in this folder, or the folder itself."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    check_folder(there)


def real_folder(folder: Path) -> None:
    """Raise UsageError unless the path is free, or a folder and not a link."""
    recognise(folder, lambda _, status: stat.S_ISDIR(status.st_mode))


def _is_inside(path: str | Path, folder: Path) -> bool:
    """Return whether a path is inside a folder, by their real paths."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def kind_of(status: os.stat_result) -> str:
    """Return the kind of a file with its article, such as ``a FIFO``."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "something")


def not_ours(path: Path, there: os.stat_result) -> UsageError:
    """Return the error for a path that holds something that vstore did not make."""
    kind = kind_of(there)
    if stat.S_ISLNK(there.st_mode):
        kind += f" to {os.readlink(path)}"
    return UsageError(
        f"there is {kind} that vstore did not make: {path}", hint="choose another place, or remove it yourself"
    )


def put_file(new: Path, place: Claim) -> None:
    """Move a finished file into place on the same file system, with the mode of the file that it replaces."""
    if place.old is not None:
        os.chmod(new, stat.S_IMODE(place.old.st_mode))
    _put(new, place)


def put_bytes(data: bytes, place: Claim) -> None:
    """Write a file with this content, flushed, into place."""
    with scratch(place.path.parent, "file") as aside:
        with open(aside / "file", "xb") as file:
            file.write(data)
            file.flush()
            flush_file(file.fileno())
        put_file(aside / "file", place)


def create_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Create a small file, not following a link. Raises UsageError if the path exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    except FileExistsError as error:
        raise UsageError(f"the path exists already: {path}", hint="choose another place") from error
    with open(handle, "wb") as file:
        file.write(data)


def put_folder(new: Path, place: Claim) -> None:
    """Move a finished folder into place on the same file system. The folder that it replaces is then at `new`."""
    _put(new, place)


def put_link(target: str, place: Claim) -> None:
    """Make a symlink in place, or make our link that is there lead to `target` in one step."""
    if place.old is None:
        try:
            os.symlink(target, place.path)
        except FileExistsError as error:
            raise _taken(place.path) from error
        except OSError as error:
            raise _no_link(place.path.parent, error) from error
    elif os.readlink(place.path) != target:
        with scratch(place.path.parent, "link") as aside:
            os.symlink(target, aside / "link")
            _put(aside / "link", place)
    fsync_directory(place.path.parent)


def try_link(folder: Path) -> None:
    """Raise UsageError unless symlinks can be made in a folder. Makes one to try: some file systems have none."""
    trial = folder / f".vstore-{os.urandom(6).hex()}"
    try:
        os.symlink("trial", trial)
    except OSError as error:
        raise _no_link(folder, error) from error
    os.unlink(trial)


def _put(new: Path, place: Claim) -> None:
    reached(Point.PLACE_READY)
    if place.old is None:
        try:
            rename_new(new, place.path)
        except FileExistsError as error:
            raise _taken(place.path) from error
    elif exchange(new, place.path):
        if not _same(os.lstat(new), place.old):
            exchange(new, place.path)
            raise _taken(place.path)
    else:
        _replace(new, place.path, place.old)
    reached(Point.PLACE_FILLED)
    fsync_directory(place.path.parent)


def _replace(new: Path, path: Path, old: os.stat_result) -> None:
    """Check again and replace, a folder in two steps: for systems that cannot exchange names."""
    there = lstat_or_none(path)
    if there is None or not _same(there, old):
        raise _taken(path)
    if stat.S_ISDIR(old.st_mode):
        path.rename(new.with_name(f"{new.name}.old"))
        rename_new(new, path)
    else:
        os.replace(new, path)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether it is the same file, unchanged."""
    return os.path.samestat(one, other) and (one.st_mtime_ns, one.st_mode) == (other.st_mtime_ns, other.st_mode)


def _no_link(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"links cannot be made in {folder}: {(error.strerror or str(error)).lower()}", hint="choose another place"
    )


def _taken(path: Path) -> PlaceTaken:
    return PlaceTaken(
        f"the path was changed by another process meanwhile: {path}", hint="choose another place, and run it again"
    )


def _unusable(path: Path, error: OSError | ValueError) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UsageError(f"the path cannot be used: {path} ({reason.lower()})", hint="choose another place")
