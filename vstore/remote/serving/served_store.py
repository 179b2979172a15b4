"""The records and archives that `vstore serve` offers: signed with the store's keys, packed at the first request.

Archives lie in ``cache/serve``. The object is kept alive while it is packed. Its archive goes when the object goes,
when a collection finds that it was not requested for long, or when the archives exceed their limit.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vstore.archive import ArchiveInfo, FileReader, Packer, read_index, verify_archive
from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.errors import ArchiveError
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import Archive, ObjectRecord, Realisation
from vstore.remote.records.trust import SecretKey, sign
from vstore.store import Store
from vstore.values import frozen

MAX_ARCHIVE_BYTES = 10 << 30  # of all archives together
_MAX_INFOS = 10_000  # kept in memory


@frozen(kw_only=False)
class ServedArchive:
    """A packed archive: its file, the file's state, and its digests."""

    file: Path
    status: os.stat_result
    info: ArchiveInfo

    @property
    def etag(self) -> str:
        """The entity tag (RFC 9110, 8.8.3)."""
        return f'"{self.info.sha256[:32]}"'


@dataclass
class ServedStore:
    """The records and archives of one store. Setting `cancel` ends all packing."""

    store: Store
    keys: tuple[SecretKey, ...]
    max_bytes: int = MAX_ARCHIVE_BYTES
    cancel: CancelToken = field(default_factory=CancelToken)
    _infos: OrderedDict[Path, tuple[tuple[int, ...], ArchiveInfo]] = field(default_factory=OrderedDict)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def realisation(self, recipe: Digest) -> bytes | None:
        """Return the record of a recipe's object; None if the store has none."""
        path = self.store.realisations.object_of(recipe)
        info = self.store.objects.info(path) if path and self.store.is_valid(path) else None
        return encode(sign(Realisation.of(info, recipe), self.keys)) if info else None

    def object(self, path: StorePath, archive: ServedArchive) -> bytes | None:
        """Return the record of an object with this archive; None if the object is gone."""
        info = self.store.objects.info(path)
        if info is None:
            return None
        try:
            _, metadata = self.store.manifest(path)
        except FileNotFoundError:  # collected in this moment
            return None
        return encode(sign(ObjectRecord.of(info, metadata, Archive.of(archive.info)), self.keys))

    def find(self, path: StorePath) -> ServedArchive | None:
        """Return the archive of an object if it is packed and known, and note the request."""
        file = self.store.layout.served_archive(path)
        status = _own_file(file)
        with self._mutex:
            known = self._infos.get(file)
        if status is None or known is None or known[0] != _identity(status):
            return None
        with suppress(OSError):  # deleted in this moment
            os.utime(file, ns=(time.time_ns(), status.st_mtime_ns))
        return ServedArchive(file, status, known[1])

    def pack(self, path: StorePath) -> ServedArchive | None:
        """Return the archive of an object, packed now if necessary; None if there is no such object.

        Takes as long as reading the object. Raises ArchiveError for a damaged object, OSError, and Cancelled.
        """
        layout = self.store.layout
        file = layout.served_archive(path)
        with self.store.kept_alive(path):
            if not self.store.is_valid(path):
                return None
            file.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(layout.locks.serve(path), transient=True, cancel=self.cancel):
                status, info = _own_file(file), None
                if status is not None:
                    with suppress(ArchiveError):  # cut off by a power cut
                        info = self._read_info(file)
                if info is None:
                    info = self._pack(path, file)
                status = file.stat()
        with self._mutex:
            self._infos[file] = _identity(status), info
            self._infos.move_to_end(file)
            while len(self._infos) > _MAX_INFOS:
                self._infos.popitem(last=False)
        self._make_room(file)
        return ServedArchive(file, status, info)

    def _pack(self, path: StorePath, file: Path) -> ArchiveInfo:
        manifest, _ = self.store.manifest(path)
        tree = self.store.layout.object(path)
        with self.store.staging(f"serve-{path.name}") as staging:
            packed = staging / "archive"
            info = Packer().pack(tree, manifest, packed, name=str(path), on_bytes=lambda _: self.cancel.check())
            with packed.open("r+b") as written:
                os.fsync(written.fileno())
            packed.replace(file)
        return info

    def _read_info(self, file: Path) -> ArchiveInfo:
        """Read an archive that an earlier process packed. Raises ArchiveError if it is not whole."""
        with FileReader(file) as reader:
            index = read_index(reader)
            digests = verify_archive(reader, index)
        return ArchiveInfo(
            size_bytes=file.stat().st_size,
            sha256=digests.sha256,
            diff_id=digests.diff_id,
            index_digest=index.digest,
            content_bytes=index.manifest.size_bytes,
        )

    def _make_room(self, kept: Path) -> None:
        """Delete archives, the least recently requested first, until all are within the limit."""
        found = sorted(self._archives(kept.parent), key=lambda one: one[1].st_atime_ns)
        total_bytes = sum(status.st_size for _, status in found)
        for file, status in found:
            if total_bytes <= self.max_bytes:
                return
            if file != kept:
                with suppress(OSError):  # deleted by another process
                    file.unlink()
                total_bytes -= status.st_size

    @staticmethod
    def _archives(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        for file in folder.iterdir():
            if (status := _own_file(file)) is not None:
                yield file, status


def _own_file(file: Path) -> os.stat_result | None:
    """Return the state of a file that this user packed: a file of another user may be a link to any file."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return status if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and own else None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
