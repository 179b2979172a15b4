"""The files of packed archives in ``cache/archives``: at most so many bytes, those unused for longest go first.

Any process may remove any of them at any moment, and other users may write to the folder. So a file is used only
after its bytes were compared with a digest from the index, and under a name that nobody else removes.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.folder import Folder, link_file
from vstore.fs.reading import read_pieces
from vstore.store import StoreLayout

_PIECE_BYTES = 1 << 20


class ArchiveFiles:
    """The archives that a store keeps, at most `max_bytes` together. An archive that cannot be kept is no error."""

    def __init__(self, layout: StoreLayout, max_bytes: int) -> None:
        self._layout = layout
        self._max_bytes = max_bytes
        self._total_bytes: int | None = None  # as far as this process knows
        self._mutex = threading.Lock()

    def take(self, place: Path, to: Path, digest: str, check: Callable[[], None]) -> bool:
        """Make `to` an archive with this SHA-256, from the kept one at `place`, and note the use.

        It is a hard link where possible, otherwise a copy. Return False, with no file left, if the kept one is missing
        or has other bytes. `check` may raise to end the work.
        """
        try:
            with self._layout.opened(place.parent) as folder, Folder.open(to.parent) as other:
                own = _is_own(folder.lstat(place.name))  # so that nobody else can write to it once it was compared
                _link_or_copy(folder, place.name, other, to.name, link=own)
            if digest_of(to, check) == digest:
                note_use(place)
                return True
        except (OSError, StoreError):
            pass
        to.unlink(missing_ok=True)
        return False

    def keep(self, file: Path, place: Path, *, beyond_limit: bool = False) -> None:
        """Keep an archive at `place`. One above the limit is kept only if it may go `beyond_limit`."""
        size_bytes = file.stat().st_size
        if size_bytes > self._max_bytes and not beyond_limit:
            return
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with self._layout.opened(place.parent) as folder, Folder.open(file.parent) as source:
                folder.unlink(place.name)
                _link_or_copy(source, file.name, folder, place.name)
        except (OSError, StoreError):
            return
        self._make_room(place, size_bytes)

    def _make_room(self, kept: Path, added_bytes: int) -> None:
        """Remove archives until all are within the limit, except the one that was just kept.

        A little more is removed than is necessary, so that the folder is not listed for each archive.
        """
        with self._mutex:
            if self._total_bytes is not None:
                self._total_bytes += added_bytes
                if self._total_bytes <= self._max_bytes:
                    return
            found = kept_archives(self._layout)
            self._total_bytes = sum(status.st_size for status in found.values())
            if self._total_bytes <= self._max_bytes:
                return
            for name, status in sorted(found.items(), key=lambda one: one[1].st_atime_ns):
                if self._total_bytes <= self._max_bytes * 7 // 8:
                    return
                if name != kept.name:
                    with suppress(OSError, StoreError), self._layout.opened(kept.parent) as folder:
                        folder.unlink(name)
                        self._total_bytes -= status.st_size


def kept_archives(layout: StoreLayout) -> dict[str, os.stat_result]:
    """Return the regular files in ``cache/archives`` by name, with their status."""
    found = {}
    with suppress(FileNotFoundError), layout.opened(layout.archives) as folder:
        for name in folder.names():
            with suppress(FileNotFoundError):
                status = folder.lstat(name)
                if stat.S_ISREG(status.st_mode):
                    found[name] = status
    return found


def digest_of(file: Path, check: Callable[[], None]) -> str:
    """Return the SHA-256 of a file in hexadecimal. `check` may raise to end the work. Raises OSError."""
    digest = sha256()
    for piece in read_pieces(file, follow=False):
        check()
        digest.update(piece)
    return digest.hexdigest()


def note_use(place: Path) -> None:
    """Record the use of an archive in its access time, which is set regardless of the mount options."""
    with suppress(OSError):  # removed in this moment, or another user's
        os.utime(place, ns=(time.time_ns(), place.lstat().st_mtime_ns), follow_symlinks=False)


def _is_own(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def _link_or_copy(source: Folder, name: str, target: Folder, new: str, *, link: bool = True) -> None:
    """Give a file a name in another folder too, or copy it where that is not possible. Raises OSError."""
    if link:
        with suppress(OSError):
            link_file(source, name, target, new)
            return
    try:
        with source.open_file(name) as file, open(target.create(new), "wb") as copy:
            while piece := file.read(_PIECE_BYTES):
                copy.write(piece)
    except OSError:  # a full disk
        target.unlink(new)
        raise
