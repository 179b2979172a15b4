"""Whether a tree from outside may be written (pure): safe names, parents that are folders, links that stay, limits."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict

from vstore.archive.model import Index, Limits
from vstore.errors import ArchiveError, StoreError
from vstore.fs.tree import Entry, EntryKind, Manifest, linked_object

_WINDOWS = frozenset(b'<>:"\\|?*')


class Admission:
    """Looks at entries one by one, parents before children, before anything of them is written."""

    def __init__(self, limits: Limits, *, windows: bool = os.name == "nt") -> None:
        self._limits = limits
        self._windows = windows
        self._directories = {b""}
        self._seen: set[bytes] = set()
        self.total_bytes = 0

    def admit(self, entry: Entry) -> None:
        """ArchiveError if the entry may not be written."""
        limits, path = self._limits, entry.path
        if len(self._seen) >= limits.entries:
            raise ArchiveError(f"refused: more than {limits.entries} entries")
        if why := self._bad_path(path) or self._bad_content(entry):
            raise ArchiveError(f"refused {os.fsdecode(path)[:200]!r}: {why}")
        self._seen.add(path)
        self.total_bytes += entry.size
        if entry.kind == EntryKind.DIRECTORY:
            self._directories.add(path)
        if self.total_bytes > limits.total_bytes:
            raise ArchiveError(f"refused: more than {limits.total_bytes} bytes of content")

    def _bad_path(self, path: bytes) -> str | None:
        parts = path.split(b"/")
        if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
            return "not a plain relative path"
        if len(path) > self._limits.path_bytes or len(parts[-1]) > self._limits.name_bytes:
            return "its name is too long"
        if self._windows and (parts[-1][-1:] in (b".", b" ") or not _WINDOWS.isdisjoint(parts[-1])):
            return "Windows has no such names"
        if path in self._seen:
            return "it is there twice"
        if path.rpartition(b"/")[0] not in self._directories:
            return "it is not in a folder of the archive"
        return None

    def _bad_content(self, entry: Entry) -> str | None:
        if entry.size > self._limits.file_bytes:
            return f"larger than {self._limits.file_bytes} bytes"
        if entry.kind == EntryKind.SYMLINK:
            if b"\0" in entry.target or len(entry.target) > self._limits.path_bytes:
                return "not a link's target"
            try:
                linked_object(entry.path, entry.target)
            except StoreError as error:
                return error.message
        return None


def admit_all(manifest: Manifest, limits: Limits) -> None:
    """ArchiveError unless the whole tree may be written."""
    admission = Admission(limits)
    for entry in manifest.entries:
        admission.admit(entry)


def check_cost(index: Index, limits: Limits) -> None:
    """ArchiveError if unpacking costs more than the limits or the tree may not be written."""
    content = index.starts[-1]
    if content > max(limits.ratio_free_bytes, limits.ratio * index.archive_bytes):
        raise ArchiveError(f"refused: its content is more than {limits.ratio} times its size")
    if any(frame.content_bytes > limits.frame_bytes for frame in index.frames):
        raise ArchiveError(f"refused: a frame of more than {limits.frame_bytes} bytes")
    admit_all(index.manifest, limits)


def case_collisions(manifest: Manifest) -> list[tuple[str, ...]]:
    """The paths that a file system that ignores case or Unicode's composed forms takes for one, each group sorted."""
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in manifest.entries:
        path = os.fsdecode(entry.path)
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
        groups[folded].append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]
