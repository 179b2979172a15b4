"""Validation of trees from outside (pure): safe names, folders as parents, links that stay inside, limits.

All readers of archives use it: of vstore's own archives, of bundles and caches, and of interpreters.
"""

from __future__ import annotations

import os

from vstore.errors import ArchiveError, StoreError
from vstore.fs.trees.manifest import Entry, EntryKind, linked_object
from vstore.values import frozen, replace

_WINDOWS = frozenset(b'<>:"\\|?*')


@frozen
class Limits:
    """Limits on an archive from outside; the defaults admit any layer in less than 300 MiB of memory."""

    entries: int = 250_000  # files, folders and links; and frames
    total_bytes: int = 256 << 30  # of all files
    file_bytes: int = 64 << 30  # of one file
    path_bytes: int = 4096  # of one path, and of one link's target
    name_bytes: int = 255  # of one part of a path
    frame_bytes: int = 16 << 20  # of one frame's content, which is held in memory
    index_bytes: int = 48 << 20  # of the index, uncompressed
    index_ratio: int = 100  # its content to its compressed size: half of it is digests, which do not compress
    index_free_bytes: int = 1 << 20  # no limit of the ratio below this
    ratio: int = 1000  # content to archive, where no expected manifest vouches for the content's size
    ratio_free_bytes: int = 256 << 20  # no limit of the ratio below this much content

    def without_ratio(self) -> Limits:
        """Return the limits without the ratio, for a tree that a trusted key has signed."""
        return replace(self, ratio_free_bytes=self.total_bytes)


class TreeValidator:
    """Checks entries one by one, parents before children, before any of them is written."""

    def __init__(self, limits: Limits, *, windows: bool = os.name == "nt") -> None:
        self._limits = limits
        self._windows = windows
        self._directories = {b""}
        self._seen: set[bytes] = set()
        self.total_bytes = 0

    def check_entry(self, entry: Entry) -> None:
        """Check the next entry. Raises ArchiveError for an unsafe name, a link to outside, or too much content."""
        limits, path = self._limits, entry.path
        if len(self._seen) >= limits.entries:
            raise ArchiveError(f"refused: the archive has more than {limits.entries} entries")
        if why := self._bad_path(path) or self._bad_content(entry):
            raise ArchiveError(f"refused {os.fsdecode(path)[:200]!r}: {why}")
        self._seen.add(path)
        self.total_bytes += entry.size
        if entry.kind == EntryKind.DIRECTORY:
            self._directories.add(path)
        if self.total_bytes > limits.total_bytes:
            raise ArchiveError(f"refused: the archive has more than {limits.total_bytes} bytes of content")

    def _bad_path(self, path: bytes) -> str | None:
        parts = path.split(b"/")
        if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
            return "not a plain relative path"
        if len(path) > self._limits.path_bytes or len(parts[-1]) > self._limits.name_bytes:
            return "the name is too long"
        if self._windows and (parts[-1][-1:] in (b".", b" ") or not _WINDOWS.isdisjoint(parts[-1])):
            return "the name is invalid on Windows"
        if path in self._seen:
            return "duplicate path"
        if path.rpartition(b"/")[0] not in self._directories:
            return "its folder is not in the archive"
        return None

    def _bad_content(self, entry: Entry) -> str | None:
        if entry.size > self._limits.file_bytes:
            return f"larger than {self._limits.file_bytes} bytes"
        if entry.kind == EntryKind.SYMLINK:
            if b"\0" in entry.target or len(entry.target) > self._limits.path_bytes:
                return "invalid link target"
            try:
                linked_object(entry.path, entry.target)
            except StoreError as error:
                return error.message
        return None
