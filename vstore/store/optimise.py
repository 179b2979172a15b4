"""Sharing equal files of different objects by hard links, found by the digests in their manifests.

Only registered objects are touched, each kept alive meanwhile. Before a file is replaced its bytes are compared with
those of the one to be shared, so a damaged file is never spread. The exchange is one rename, so readers see
either; what runs keeps the file that it has open.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vstore.fs.filelock import lock_file
from vstore.fs.scan import freeze_directory
from vstore.fs.tree import EntryKind
from vstore.objects import ObjectInfo, StorePath
from vstore.report import Report
from vstore.store.store import Store

_FILES_AT_ONCE = 1_000_000  # how many files are known at a time, some 250 bytes each
_BLOCK_BYTES = 512  # the unit of st_blocks, stat(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimised:
    """What was shared: files that are links to others' now, and how many bytes only they had held."""

    objects: int
    shared_files: int
    saved_bytes: int


def optimise(store: Store, *, dry_run: bool = False, report: Report) -> Optimised:
    """Share the equal files of all objects, or count what would be shared. May be interrupted at any time.

    Files and folders of other users are left. BusyError if another process does it already.
    """
    infos = store.index.objects()
    shards = 1 + sum(info.files for info in infos) // _FILES_AT_ONCE
    with lock_file(store.layout.locks / "optimise", blocking=False), store.staging("optimise") as scratch:
        sharer = _Sharer(store, scratch, dry_run=dry_run)
        for shard in range(shards):
            for number, info in enumerate(infos):
                report.stage("optimise", "looking for equal files", shard * len(infos) + number, shards * len(infos))
                sharer.visit(info, shard, shards)
            sharer.first.clear()
    return Optimised(objects=len(infos), shared_files=sharer.shared_files, saved_bytes=sharer.saved_bytes)


class _Sharer:
    """Remembers where each content was first seen, and makes the others links to it."""

    def __init__(self, store: Store, scratch: Path, *, dry_run: bool) -> None:
        self.first: dict[tuple[bytes, bool], tuple[StorePath, bytes]] = {}
        self.shared_files = 0
        self.saved_bytes = 0
        self._store = store
        self._scratch = scratch
        self._dry_run = dry_run

    def visit(self, info: ObjectInfo, shard: int, shards: int) -> None:
        """Share the files of one object whose digests are in the shard."""
        self._store.temp_root(info.path)
        if not self._store.is_valid(info.path):
            return  # collected meanwhile
        manifest, _ = self._store.manifest(info.path)
        thawed: set[Path] = set()
        try:
            for entry in manifest.entries:
                if entry.kind != EntryKind.FILE or not entry.size or entry.digest[0] % shards != shard:
                    continue
                key = (entry.digest, entry.executable)
                known = self.first.setdefault(key, (info.path, entry.path))
                if known != (info.path, entry.path) and not self._share(*known, info.path, entry.path, thawed):
                    self.first[key] = (info.path, entry.path)
        finally:
            for folder in thawed:
                freeze_directory(folder)

    def _share(self, source: StorePath, there: bytes, target: StorePath, here: bytes, thawed: set[Path]) -> bool:
        """Make one file a link to the other; False if the other can be shared no more."""
        import filecmp  # other commands do without it

        old, new = self._place(source, there), self._place(target, here)
        before, after = old.lstat(), new.lstat()
        same_kind = (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)
        if before.st_ino == after.st_ino:
            self._left_writable(new.parent, thawed)
            return True
        if not same_kind or not filecmp.cmp(old, new, shallow=False):
            return True
        if not self._dry_run:
            try:
                self._replace(old, new, thawed)
            except PermissionError:  # another user's folder, or fs.protected_hardlinks
                return True
            except OSError as error:
                if error.errno == errno.EMLINK:
                    return False
                raise
        self.shared_files += 1
        if after.st_nlink == 1:
            self.saved_bytes += _held_bytes(after)
        return True

    def _replace(self, old: Path, new: Path, thawed: set[Path]) -> None:
        if new.parent not in thawed:
            new.parent.chmod(0o755)
            thawed.add(new.parent)
        link = self._scratch / "link"
        os.link(old, link)
        link.rename(new)

    def _left_writable(self, folder: Path, thawed: set[Path]) -> None:
        """By a process that was killed here: to be frozen again, if it is ours."""
        if self._dry_run or not hasattr(os, "geteuid"):  # Windows has no such mode of folders
            return
        status = folder.stat()
        if status.st_mode & stat.S_IWUSR and status.st_uid == os.geteuid():
            thawed.add(folder)

    def _place(self, path: StorePath, inside: bytes) -> Path:
        return self._store.layout.object(path) / os.fsdecode(inside)


def _held_bytes(status: os.stat_result) -> int:
    """What a file really takes on the disk."""
    blocks: int | None = getattr(status, "st_blocks", None)  # not on Windows
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES
