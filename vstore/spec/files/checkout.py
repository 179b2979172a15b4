"""A git checkout: its top folder, its ignore rules and its tracked files. Its configuration is never read.

The configuration of a repository is code, as git starts the programs that it names. So git is not run, and of the files
in ``.git`` only ``index`` and ``info/exclude`` are read. A repository of another user is treated as absent.
"""

from __future__ import annotations

import errno
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Set
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from vstore.fs.reading import read_regular
from vstore.spec.files.gitignore import Rule, read_rules
from vstore.values import frozen

_MAX_RULES_BYTES = 1 << 20
_MAX_INDEX_BYTES = 256 << 20  # also of the paths in it, which version 4 compresses
_MAX_LINK_BYTES = 1 << 16
_HASH_BYTES = (20, 32)  # SHA-1 or SHA-256; only the configuration states which
_STAT_BYTES = 40  # at the start of an entry, before the hash
_EXTENDED, _LONG_NAME = 0x4000, 0xFFF


@frozen(kw_only=False, slots=False)
class Checkout:
    """A checkout: its top folder, and the folder `git` with its index. Both are absolute."""

    top: Path
    git: Path

    def excluded(self) -> tuple[Rule, ...]:
        """Return the rules of ``info/exclude``, which a worktree shares with its repository."""
        try:
            common = self.git / os.fsdecode(read_regular(self.git / "commondir", limit=_MAX_LINK_BYTES).rstrip(b"\r\n"))
        except (FileNotFoundError, NotADirectoryError):
            common = self.git
        return _read_rules(common / "info" / "exclude", follow=True)

    @cached_property
    def tracked(self) -> tuple[bytes, ...]:
        """The paths in the index, relative to `top`, sorted. Raises ValueError for an index that cannot be read."""
        try:
            data = read_regular(self.git / "index", limit=_MAX_INDEX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        for hash_bytes in _HASH_BYTES:
            with suppress(struct.error, IndexError, ValueError):
                paths, split = _read_index(data, hash_bytes)
                break
        else:
            raise ValueError(f"the git index of {self.top} cannot be read")
        if split:
            raise ValueError(f"the git index of {self.top} is split; run `git update-index --no-split-index`")
        return tuple(sorted(paths))

    def tracks(self, path: bytes) -> bool:
        """Return whether the index has a file or submodule of this path. Raises ValueError as `tracked` does."""
        return self._first_from(path) == path

    def tracks_below(self, folder: bytes) -> bool:
        """Return whether the index has a file in this folder. Raises ValueError as `tracked` does."""
        return self._first_from(folder + b"/").startswith(folder + b"/")

    def _first_from(self, path: bytes) -> bytes:
        place = bisect_left(self.tracked, path)
        return self.tracked[place] if place < len(self.tracked) else b""


def find_checkout(folder: Path, owners: Set[int]) -> Checkout | None:
    """Find the checkout that contains a folder, upwards to the end of the file system, as git does.

    A repository is used if it belongs to one of `owners`.
    """
    device = os.stat(folder).st_dev
    for top in (folder, *folder.parents):
        if os.stat(top).st_dev != device:
            return None
        found = checkout_at(top, owners)
        if found is not None:
            return found
    return None


def foreign_repository(folder: Path, owners: Set[int]) -> Path | None:
    """Return the ``.git`` that git would find from a folder, if it belongs to none of `owners`."""
    for place in (top / ".git" for top in (folder, *folder.parents)):
        with suppress(OSError):
            return None if os.lstat(place).st_uid in owners else place
    return None


def checkout_at(top: Path, owners: Set[int]) -> Checkout | None:
    """Return the checkout with this top folder, if there is one and its repository belongs to one of `owners`."""
    place = top / ".git"
    try:
        if os.name == "posix" and not {os.lstat(place).st_uid, os.stat(place).st_uid} <= owners:
            return None
        if not place.is_dir():  # of a worktree or submodule
            line = read_regular(place, limit=_MAX_LINK_BYTES)
            if not line.startswith(b"gitdir: "):
                return None
            place = top / os.fsdecode(line.removeprefix(b"gitdir: ").rstrip(b"\r\n"))
        return Checkout(top, place) if os.path.lexists(place / "HEAD") else None
    except (OSError, ValueError):  # a loop of links, a FIFO, a name with a NUL
        return None


def ignore_rules(folder: Path) -> tuple[Rule, ...]:
    """Return the rules of a folder's ``.gitignore``. A link is ignored, as git does not follow it either."""
    return _read_rules(folder / ".gitignore", follow=False)


def _read_rules(file: Path, *, follow: bool) -> tuple[Rule, ...]:
    """Read rules. Raises OSError for a file that cannot be read or is too long."""
    if not follow and file.is_symlink():
        return ()
    try:
        return read_rules(read_regular(file, limit=_MAX_RULES_BYTES, follow=follow))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ()
    except OSError as error:
        raise OSError(error.errno or errno.EIO, f"{file}: {error.strerror}") from error


def _read_index(data: bytes, hash_bytes: int) -> tuple[list[bytes], bool]:
    """Return the paths in an index of version 2 to 4, and whether it is split (gitformat-index(5)).

    Raises ValueError, IndexError or struct.error if this is not an index with hashes of this length.
    """
    magic, version, count = struct.unpack_from(">4sII", data)
    if magic != b"DIRC" or version not in (2, 3, 4):
        raise ValueError(f"an index of version {version}")
    paths: list[bytes] = []
    at, path, total_bytes = 12, b"", 0
    for _ in range(count):
        begin, at = at, at + _STAT_BYTES + hash_bytes
        (flags,) = struct.unpack_from(">H", data, at)
        at += 4 if flags & _EXTENDED and version > 2 else 2
        if version == 4:
            dropped, at = _varint(data, at)
            end = data.index(b"\0", at)
            path, at = path[: max(len(path) - dropped, 0)] + data[at:end], end + 1
        else:
            end = data.index(b"\0", at)
            path, at = data[at:end], begin + (end - begin + 8) // 8 * 8
        total_bytes += len(path)
        if flags & _LONG_NAME != min(len(path), _LONG_NAME) or total_bytes > _MAX_INDEX_BYTES:
            raise ValueError("not an index that git wrote")
        paths.append(path)
    return paths, b"link" in _extensions(data, at, len(data) - hash_bytes)


def _extensions(data: bytes, at: int, end: int) -> Iterator[bytes]:
    """Return the names of the extensions after the entries."""
    while at < end:
        name, size = struct.unpack_from(">4sI", data, at)
        yield name
        at += 8 + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number in git's OFS_DELTA encoding, and the offset of its end."""
    value, last = data[at] & 0x7F, at + 8
    while data[at] & 0x80 and at < last:
        at += 1
        value = (value + 1 << 7) | data[at] & 0x7F
    return value, at + 1
