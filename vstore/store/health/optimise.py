"""Sharing equal files of different objects by hard links, found by the digests in their manifests.

Only registered objects are changed, and each is kept alive meanwhile. Before a file is replaced, its bytes are compared
with those of the shared file, so that a damaged file is never spread. A file is replaced in one rename: readers see one
or the other, and a running program keeps the file that it has open. The folder is writable meanwhile, which is recorded
first (`store.health.interrupted`).
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from typing import BinaryIO, NamedTuple

from vstore.errors import StoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, link_file
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import EntryKind
from vstore.fs.trees.usage import Tally
from vstore.objects import ObjectInfo, StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store.health.interrupted import STAGING, freeze_again, freeze_interrupted, note_change
from vstore.store.store import Store
from vstore.values import frozen

_FILES_AT_ONCE = 1_000_000  # files remembered at a time, some 250 bytes each
_READ_BYTES = 1 << 20
_LINK, _FULL = "link", "full"


@frozen
class Optimised:
    """The result: files that became links to others, and the bytes that this freed."""

    objects: int
    shared_files: int
    saved_bytes: int


def optimise(store: Store, *, dry_run: bool = False, reporter: Reporter | None = None) -> Optimised:
    """Share equal files of all objects; with `dry_run` only count them. Can be interrupted at any time.

    Only files of one owner are shared. Raises BusyError while another process does the same.
    """
    reporter = reporter or NullReporter()
    infos = store.objects.all()
    shards = 1 + sum(info.files for info in infos) // _FILES_AT_ONCE
    with ExitStack() as held:
        held.enter_context(lock_file(store.layout.locks.optimise, blocking=False))
        freeze_interrupted(store.layout)
        scratch = held.enter_context(store.layout.opened(held.enter_context(store.staging(STAGING))))
        objects = held.enter_context(store.layout.opened(store.layout.store))
        sharer = _Sharer(store, objects, scratch, dry_run=dry_run)
        for shard in range(shards):
            for number, info in enumerate(infos):
                reporter.progress(
                    "optimise", "looking for equal files", shard * len(infos) + number, shards * len(infos)
                )
                sharer.visit(info, shard, shards)
            sharer.first.clear()
    return Optimised(objects=len(infos), shared_files=sharer.shared_files, saved_bytes=sharer.saved_bytes)


class _Name(NamedTuple):
    folder: Folder
    name: str


class _Sharer:
    """Remembers the first file of each content, and makes later ones links to it."""

    def __init__(self, store: Store, objects: Folder, scratch: Folder, *, dry_run: bool) -> None:
        self.first: dict[tuple[bytes, bool, int], tuple[StorePath, bytes]] = {}
        self.shared_files = 0
        self.saved_bytes = 0
        self._gone = Tally()  # names already counted: in a dry run they still exist
        self._store = store
        self._objects = objects
        self._scratch = scratch
        self._dry_run = dry_run
        self._changed: set[bytes] = set()  # folders of the current object that are writable

    def visit(self, info: ObjectInfo, shard: int, shards: int) -> None:
        """Share the files of one object whose digests are in the shard."""
        self._store.add_temp_root(info.path)
        if not self._store.is_valid(info.path):
            return  # it was collected meanwhile
        manifest, _ = self._store.manifest(info.path)
        try:
            owner = self._objects.lstat(
                str(info.path)
            ).st_uid  # the owner of a file can change it, regardless of its mode
        except FileNotFoundError:
            return  # `verify` reports it
        if not _movable(self._objects, str(info.path), self._scratch):
            return
        try:
            for entry in manifest.entries:
                if entry.kind != EntryKind.FILE or not entry.size or entry.digest[0] % shards != shard:
                    continue
                key = (entry.digest, entry.executable, owner)
                known = self.first.setdefault(key, (info.path, entry.path))
                if known != (info.path, entry.path) and not self._share(*known, info.path, entry.path):
                    self.first[key] = (info.path, entry.path)
        finally:
            freeze_again(self._objects, info.path, self._changed)
            self._changed.clear()

    def _share(self, source: StorePath, there: bytes, target: StorePath, here: bytes) -> bool:
        """Make one file a link to another. Return False if the other cannot get more links."""
        try:
            with self._folder_of(source, there) as old, self._folder_of(target, here) as new:
                return self._share_in(_Name(old, _last(there)), _Name(new, _last(here)), target, here)
        except (FileNotFoundError, StoreError):
            return True  # a damaged object: `verify` reports it

    def _share_in(self, old: _Name, new: _Name, target: StorePath, here: bytes) -> bool:
        after = new.folder.lstat(new.name)
        with old.folder.open_file(old.name) as one, new.folder.open_file(new.name) as other:
            before = os.fstat(one.fileno())
            if before.st_ino == after.st_ino or _kind(before) != _kind(after) or not _same_bytes(one, other):
                return True
        if not self._dry_run:
            try:
                self._thaw(new.folder, target, here.rpartition(b"/")[0])
                if not self._replace(old, before, new):
                    return True
            except PermissionError:  # another user's folder, or fs.protected_hardlinks
                return True
            except OSError as error:
                if error.errno == errno.EMLINK:
                    return False
                raise
        self.shared_files += 1
        self.saved_bytes += self._gone.remove([after])
        return True

    def _thaw(self, folder: Folder, target: StorePath, inside: bytes) -> None:
        """Make a folder of the object writable until the end of the visit."""
        if inside not in self._changed:
            if not self._changed:
                note_change(self._scratch, target)
                reached(Point.OPTIMISE_NOTED)
            os.chmod(folder.at, 0o755)
            self._changed.add(inside)
            reached(Point.OPTIMISE_THAWED)

    def _replace(self, old: _Name, seen: os.stat_result, new: _Name) -> bool:
        """Replace a file by a link to the file with status `seen`. Return False if that is gone."""
        link_file(old.folder, old.name, self._scratch, _LINK)
        reached(Point.OPTIMISE_LINKED)
        if not os.path.samestat(self._scratch.lstat(_LINK), seen):  # its owner has exchanged it
            self._scratch.unlink(_LINK)
            return False
        self._scratch.rename(_LINK, new.folder, new.name)
        reached(Point.OPTIMISE_REPLACED)
        return True

    def _folder_of(self, path: StorePath, inside: bytes) -> Folder:
        """Open the folder of a file, following no link."""
        return self._objects.folder(str(path), *os.fsdecode(inside).split("/")[:-1])


def _movable(objects: Folder, name: str, scratch: Folder) -> bool:
    """Return whether an object is outside the lower layer of an overlay, where a link is a copy and frees nothing.

    An overlay refuses to move a folder of that layer (EXDEV) before it checks whether the target is empty. This target
    is not, so the folder is never moved.
    """
    with suppress(FileExistsError):
        scratch.make_folder(_FULL)
        with scratch.folder(_FULL) as full:
            full.make_folder(_FULL)
    try:
        objects.rename(name, scratch, _FULL)
    except OSError as error:
        return error.errno != errno.EXDEV
    raise AssertionError("a folder replaced one that is not empty")


def _last(path: bytes) -> str:
    return os.fsdecode(path.rpartition(b"/")[2])


def _kind(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mode, status.st_mtime_ns, status.st_uid


def _same_bytes(one: BinaryIO, other: BinaryIO) -> bool:
    while data := one.read(_READ_BYTES):
        if other.read(len(data)) != data:
            return False
    return not other.read(1)
