"""The archives of a store's objects, each packed once: for a cache, a folder, a bundle, a server or an image.

The index has the size and the digests of every archive that was packed, and ``cache/archives`` the files of those used
last. An archive follows from its object, the level and the version of the packer, so these are its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.archive import Limits, Packer
from vstore.errors import StoreError
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.objects import ArchiveInfo, StorePath
from vstore.remote.packing.archive_files import ArchiveFiles
from vstore.reporter import ByteProgress, CancellableReporter
from vstore.store import Store
from vstore.values import frozen


@frozen(kw_only=False)
class KeptArchive:
    """An archive in ``cache/archives``, and the status of its file. A later archive may take its place."""

    file: Path
    status: os.stat_result
    info: ArchiveInfo

    @property
    def etag(self) -> str:
        """The entity tag (RFC 9110, 8.8.3)."""
        return f'"{self.info.sha256[:32]}"'


class PackedArchives:
    """The ``.tar.zst`` archives of a store's objects, of one `level`, compressed in `jobs` threads each.

    `limits` are those of the readers. Progress is reported, and a cancelled `reporter` ends the work. The objects must
    be kept alive meanwhile.
    """

    def __init__(
        self,
        store: Store,
        *,
        level: int | None = None,
        limits: Limits | None = None,
        jobs: int = 1,
        reporter: CancellableReporter | None = None,
    ) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._packer = Packer(level=level, jobs=jobs, limits=self._limits)
        self._files = ArchiveFiles(store.layout, store.config.archive_bytes)
        self._reporter = reporter or CancellableReporter()
        self._read_only = store.database.read_only

    def info(self, path: StorePath) -> ArchiveInfo | None:
        """Return size and digests of an object's archive; None if it was not packed since the packer's last change."""
        return self._store.archives.find(path, self._packer.level, self._packer.version)

    @contextmanager
    def packed(self, path: StorePath) -> Iterator[tuple[Path, ArchiveInfo]]:
        """Yield the archive of an object, as a file that lasts as long as the block. Raises as `write` does."""
        with self._store.staging(f"pack-{path.name}") as staging:
            file = staging / "archive"
            yield file, self.write(path, file)

    def write(self, path: StorePath, file: Path, *, label: str | None = None) -> ArchiveInfo:
        """Make a new file the archive of an object: the kept one, or packed now and kept. `label` is for progress.

        The file may be a hard link to the kept one, so do not change it. Another process that packs the object is
        awaited. Raises ArchiveError for a damaged object, OSError, Cancelled and BusyError.
        """
        with self._locked(path):
            return self._taken(path, file) or self._pack(path, file, label or path.name)

    def keep(self, path: StorePath) -> KeptArchive | None:
        """Return the kept archive of an object, packed now if necessary; None if there is no such object.

        It is kept even if it alone is above the limit. Raises as `write` does.
        """
        place = self._place(path)
        with self._store.kept_alive(path):
            if not self._store.is_valid(path):
                return None
            with self._locked(path), self._store.staging(f"pack-{path.name}") as staging:
                file = staging / "archive"
                info = self._taken(path, file) or self._pack(path, file, path.name, beyond_limit=True)
                return KeptArchive(place, place.stat(), info)

    def _place(self, path: StorePath) -> Path:
        return self._store.layout.archive(path, self._packer.level)

    @contextmanager
    def _locked(self, path: StorePath) -> Iterator[None]:
        """Hold the lock of an object's archives. In a store that is only read nothing is kept, so none is needed."""
        if self._read_only:
            yield
            return
        lock = self._store.layout.locks.pack(path)
        with lock_file(lock, transient=True, builds=True, cancel=self._reporter.cancel):
            yield

    def _taken(self, path: StorePath, file: Path) -> ArchiveInfo | None:
        """Take the kept archive; None if there is none, or if the packer might refuse so large a content today."""
        info = self.info(path)
        if info is None:
            return None
        if 2 * info.content_bytes > max(self._limits.ratio_free_bytes, self._limits.ratio * info.size_bytes):
            return None
        if not self._files.take(self._place(path), file, info.sha256, self._reporter.cancel.check):
            return None
        self._reporter.detail(f"{path}: its archive is kept, nothing is packed")
        return info

    def _pack(self, path: StorePath, file: Path, label: str, *, beyond_limit: bool = False) -> ArchiveInfo:
        self._reporter.detail(f"{path}: packed, as its archive is not kept")
        manifest, _ = self._store.manifest(path)
        progress = ByteProgress(self._reporter, label, "packing", manifest.size_bytes)
        tree = self._store.layout.object(path)
        info = self._packer.pack(tree, manifest, file, name=str(path), on_bytes=progress.add)
        if not self._read_only:
            self._files.keep(file, self._place(path), beyond_limit=beyond_limit)
            reached(Point.PUSH_KEPT)
            with suppress(StoreError):  # a full disk
                self._store.archives.record(path, self._packer.level, self._packer.version, info)
        return info
