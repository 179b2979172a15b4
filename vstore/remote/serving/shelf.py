"""The offer of a store: records, signed with its keys, and archives, packed when they are first asked for.

An archive lies in ``cache/serve``. While it is packed its object is kept alive; afterwards the archive goes when the
object does, or when a collection finds that nobody has asked for it for long, or when there are too many.
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
from hashlib import sha256
from pathlib import Path

from vstore.archive import ArchiveInfo, FileReader, pack, read_index
from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.errors import ArchiveError
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.remote.records.encoding import encode
from vstore.remote.records.trust import SecretKey, sign
from vstore.remote.sync.push import realisation_of, record_of
from vstore.store import Store
from vstore.values import frozen

MOST_BYTES = 10 << 30  # of all archives together
_MOST_KNOWN = 10_000  # descriptions of archives that are kept in memory
_CHUNK_BYTES = 1 << 20


@frozen(kw_only=False)
class Offer:
    """An archive: its file as it was found, and what its record says of it."""

    file: Path
    status: os.stat_result
    info: ArchiveInfo

    @property
    def etag(self) -> str:
        return f'"{self.info.sha256[:32]}"'


@dataclass
class Shelf:
    """The records and archives of one store. Setting `cancel` ends what is being packed."""

    store: Store
    keys: tuple[SecretKey, ...]
    most_bytes: int = MOST_BYTES
    cancel: CancelToken = field(default_factory=CancelToken)
    _known: OrderedDict[Path, tuple[tuple[int, ...], ArchiveInfo]] = field(default_factory=OrderedDict)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def realisation(self, recipe: Digest) -> bytes | None:
        """Return the record of what a recipe gives; None if the store does not know."""
        path = self.store.realisations.object_of(recipe)
        info = self.store.objects.info(path) if path and self.store.is_valid(path) else None
        return encode(realisation_of(info, recipe, self.keys)) if info else None

    def object(self, path: StorePath, offer: Offer) -> bytes | None:
        """Return the record of an object with this archive; None if it is gone."""
        info = self.store.objects.info(path)
        if info is None:
            return None
        try:
            _, metadata = self.store.manifest(path)
        except FileNotFoundError:  # collected in this moment
            return None
        return encode(sign(record_of(info, metadata, offer.info), self.keys))

    def find(self, path: StorePath) -> Offer | None:
        """Return the archive of an object if it is packed and described, and note that it was asked for."""
        file = self.store.layout.served_archive(path)
        status = _own(file)
        with self._mutex:
            known = self._known.get(file)
        if status is None or known is None or known[0] != _identity(status):
            return None
        with suppress(OSError):  # it goes in this moment
            os.utime(file, ns=(time.time_ns(), status.st_mtime_ns))
        return Offer(file, status, known[1])

    def pack(self, path: StorePath) -> Offer | None:
        """Return the archive of an object, packed now if it was not; None if there is no such object.

        Takes as long as reading the object. Raises ArchiveError for a damaged object, OSError, and Cancelled.
        """
        layout = self.store.layout
        file = layout.served_archive(path)
        with self.store.kept_alive(path):
            if not self.store.is_valid(path):
                return None
            file.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(layout.locks.serve(path), transient=True, cancel=self.cancel):
                status, made = _own(file), None
                if status is not None:
                    with suppress(ArchiveError):  # cut off by a power cut
                        made = self._described(file)
                if made is None:
                    made = self._packed(path, file)
                status = file.stat()
        with self._mutex:
            self._known[file] = _identity(status), made
            self._known.move_to_end(file)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        self._make_room(file)
        return Offer(file, status, made)

    def _packed(self, path: StorePath, file: Path) -> ArchiveInfo:
        manifest, _ = self.store.manifest(path)
        with self.store.staging(f"serve-{path.name}") as staging:
            made = pack(
                self.store.layout.object(path),
                manifest,
                staging / "archive",
                name=str(path),
                on_bytes=lambda _: self.cancel.check(),
            )
            with (staging / "archive").open("r+b") as written:
                os.fsync(written.fileno())
            (staging / "archive").replace(file)
        return made

    def _described(self, file: Path) -> ArchiveInfo:
        """Describe an archive that an earlier process packed. Raises ArchiveError if it is not whole."""
        with FileReader(file) as reader:
            index = read_index(reader)
        digest = sha256()
        with file.open("rb") as content:
            while data := content.read(_CHUNK_BYTES):
                self.cancel.check()
                digest.update(data)
        return ArchiveInfo(
            size_bytes=file.stat().st_size,
            sha256=digest.hexdigest(),
            index_digest=index.digest,
            content_bytes=index.manifest.size_bytes,
        )

    def _make_room(self, kept: Path) -> None:
        """Remove archives, those first that were not asked for the longest, until they are within the limit."""
        found = sorted(self._archives(kept.parent), key=lambda one: one[1].st_atime_ns)
        held_bytes = sum(status.st_size for _, status in found)
        for file, status in found:
            if held_bytes <= self.most_bytes:
                return
            if file != kept:
                with suppress(OSError):  # another one has removed it
                    file.unlink()
                held_bytes -= status.st_size

    @staticmethod
    def _archives(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        for file in folder.iterdir():
            if (status := _own(file)) is not None:
                yield file, status


def _own(file: Path) -> os.stat_result | None:
    """The state of an archive that this user packed: what others put there may be a link to any file."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return status if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and own else None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
