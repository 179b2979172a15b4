"""Decide what a push can reuse: the records and files in the cache that are sound. The rest is replaced."""

from __future__ import annotations

from contextlib import nullcontext

from vstore.fs.trees.manifest import Manifest
from vstore.objects import ObjectInfo, StorePath
from vstore.remote.maintenance.integrity import archive_fault, delta_fault, file_fault, quick_archive_fault
from vstore.remote.records.builders import own_statement
from vstore.remote.records.cache import Cache, attempt
from vstore.remote.records.model import ObjectRecord, SbomRecord
from vstore.remote.records.trust import Signer
from vstore.reporter import Reporter
from vstore.store import Store


class ReuseCheck:
    """Compares the objects that a store would push with the files of a cache.

    With `verify` every byte in the cache is read.

    `replaced` collects the objects whose files in the cache are not as their records state.
    """

    def __init__(self, store: Store, cache: Cache, signer: Signer, *, verify: bool, reporter: Reporter) -> None:
        self.replaced: set[StorePath] = set()
        self._store = store
        self._cache = cache
        self._signer = signer
        self._verify = verify
        self._reporter = reporter

    def has_object(self, info: ObjectInfo) -> bool:
        """Return whether the cache has the object and its archive, and sign its record if this store has not.

        The record is written again when it is old, so that no collection deletes it during the push.
        """
        found, fault = attempt(lambda: self._cache.object(info.path, self._signer.known))
        if found is None and fault is None:
            return False
        if found is not None:
            metadata = self._store.manifest(info.path)[1]
            own = ObjectRecord.of(info, metadata, found.archive)
            fault = self._fault(info, own, found)
            if fault is None:
                return self._cache.writer.keep_object(found, own, self._signer.stating(own_statement(metadata)))
        self.replaced.add(info.path)
        self.warn(f"the record of {info.path}", fault or "")
        return False

    def _fault(self, info: ObjectInfo, own: ObjectRecord, found: ObjectRecord) -> str | None:
        """Return the reason why a record must be replaced; None if it is sound.

        A signature vouches for the archive, so it is read whole first. A record with other parts or metadata that
        somebody else signed stays as it is.
        """
        stated = (found.digest, found.kind, found.size_bytes, found.references)
        if stated != (info.digest, info.kind, info.size_bytes, info.references):
            return "its record differs from the object"
        sound = self._signer.known.without_wrong(found)
        signs = not self._signer.has_signed(sound)
        if signs and own.fingerprint != found.fingerprint:
            signs = False
            if not sound.signatures:
                return "its record has other metadata and no signature"
        if self._verify or signs:
            fault = archive_fault(self._cache, found, contents=True)
        else:
            fault = quick_archive_fault(self._cache, found)
        return None if fault is None else f"its archive {fault}"

    def has_delta(self, new: StorePath, old: StorePath) -> bool:
        """Return whether the cache has the delta, signed by this store.

        A delta that others made is made again rather than signed: clients pass a signed delta to a decoder.
        """
        found, fault = attempt(lambda: self._cache.delta(new, old, self._signer.known))
        if found is not None:
            with self._store.staging("push-delta") if self._verify else nullcontext() as folder:
                fault = delta_fault(self._cache, found, folder, self._manifest)
        if fault is not None:
            self.warn(f"the delta of {new} from {old}", fault)
        return found is not None and fault is None and self._signer.has_signed(found)

    def has_sbom(self, own: SbomRecord) -> bool:
        """Return whether the cache has this very SBOM, signed by this store."""
        found, fault = attempt(lambda: self._cache.sbom(own.path, own.format, self._signer.known))
        if found is not None and found.fingerprint == own.fingerprint:
            with self._store.staging("push-sbom") if self._verify else nullcontext() as folder:
                fault = file_fault(self._cache, found, folder)
            if fault is None and self._signer.has_signed(found):
                return True
        if fault is not None:
            self.warn(f"the SBOM of {own.path} as {own.format}", fault)
        return False

    def warn(self, what: str, fault: str) -> None:
        """Warn that something in the cache is replaced."""
        self._reporter.warn(f"{self._cache.name}: {what} is replaced: {fault}")

    def _manifest(self, path: StorePath) -> Manifest:
        return self._store.manifest(path)[0]
