"""The records, archives and SBOMs that `vstore serve` offers: signed with the store's keys, made when requested."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache

from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.remote.packing.archive_files import note_use
from vstore.remote.packing.packed_archives import KeptArchive, PackedArchives
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import Archive, ObjectRecord, Realisation, SbomRecord
from vstore.remote.records.trust import SecretKey, sign
from vstore.reporter import CancellableReporter, Reporter
from vstore.sbom_format import Sbom, SbomFormat
from vstore.store import Store

_MAX_SBOMS = 16  # in memory
_MAX_KNOWN = 10_000  # archives, in memory


class ServedStore:
    """The records, archives and SBOMs of one store. Setting `cancel` ends all work on archives and SBOMs."""

    def __init__(
        self, store: Store, keys: Sequence[SecretKey], make_sbom: Callable[[StorePath, SbomFormat, Reporter], Sbom]
    ) -> None:
        self.store = store
        self.cancel = CancelToken()
        self._keys = keys
        self._make_sbom = lru_cache(_MAX_SBOMS)(make_sbom)
        self._reporter = CancellableReporter(cancel=self.cancel)
        self._archives = PackedArchives(store, reporter=self._reporter)
        self._known: OrderedDict[StorePath, KeptArchive] = OrderedDict()
        self._mutex = threading.Lock()

    def realisation(self, recipe: Digest) -> bytes | None:
        """Return the record of a recipe's object; None if the store has none."""
        path = self.store.realisations.object_of(recipe)
        info = self.store.objects.info(path) if path and self.store.is_valid(path) else None
        return encode(sign(Realisation.of(info, recipe), self._keys)) if info else None

    def object(self, path: StorePath, archive: KeptArchive) -> bytes | None:
        """Return the record of an object with this archive; None if the object is gone."""
        info = self.store.objects.info(path)
        if info is None:
            return None
        try:
            _, metadata = self.store.manifest(path)
        except FileNotFoundError:  # collected in this moment
            return None
        return encode(sign(ObjectRecord.of(info, metadata, Archive.of(archive.info)), self._keys))

    def sbom(self, path: StorePath, form: SbomFormat) -> Sbom | None:
        """Return the SBOM of an object, made now unless it was requested lately; None if there is no such object.

        Raises StoreError for a damaged object, and Cancelled.
        """
        with self.store.kept_alive(path):
            return self._make_sbom(path, form, self._reporter) if self.store.is_valid(path) else None

    def sbom_record(self, sbom: Sbom) -> bytes:
        """Return the record of an SBOM."""
        return encode(sign(SbomRecord.of(sbom), self._keys))

    def find(self, path: StorePath) -> KeptArchive | None:
        """Return the archive of an object if this process has packed or read it, and note the request."""
        with self._mutex:
            known = self._known.get(path)
        try:
            if known is None or _identity(known.file.lstat()) != _identity(known.status):
                return None
        except OSError:
            return None
        note_use(known.file)
        return known

    def pack(self, path: StorePath) -> KeptArchive | None:
        """Return the archive of an object, packed now if necessary; None if there is no such object.

        Takes as long as reading the object. Raises ArchiveError for a damaged object, OSError, and Cancelled.
        """
        found = self._archives.keep(path)
        if found is not None:
            with self._mutex:
                self._known[path] = found
                self._known.move_to_end(path)
                while len(self._known) > _MAX_KNOWN:
                    self._known.popitem(last=False)
        return found


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
