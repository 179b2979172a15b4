"""Decide what a push can reuse: records, archives and deltas in the cache that are sound. The rest is replaced."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

from vstore.fs.trees.manifest import Manifest
from vstore.objects import ObjectInfo, StorePath
from vstore.remote.maintenance.integrity import archive_fault, delta_fault, quick_archive_fault
from vstore.remote.maintenance.plan import CachePolicy
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_delta, decode_object
from vstore.remote.records.model import ObjectRecord
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
        key = layout.object_key(info.path)
        found, fault = self._cache.try_read(key, decode_object)
        signed = None
        if found is not None:
            signed, fault = self._signed(info, self._signer.known.without_wrong(found))
        if fault is not None:
            self.replaced.add(info.path)
            self.warn(key, fault)
        if signed is None:
            return False
        stat = self._cache.transport.head(key)
        if signed != found or (stat is not None and datetime.now(UTC) - stat.modified > CachePolicy().grace / 2):
            self._cache.write(key, signed)
        return signed != found or stat is not None

    def _signed(self, info: ObjectInfo, found: ObjectRecord) -> tuple[ObjectRecord | None, str | None]:
        """Return the record with this store's signatures, or the reason why it must be replaced.

        A signature vouches for the archive, so it is read whole first. A record with other parts or metadata that
        somebody else signed stays as it is.
        """
        stated = (found.digest, found.kind, found.size_bytes, found.references)
        if stated != (info.digest, info.kind, info.size_bytes, info.references):
            return None, "its record differs from the object"
        signs = not self._signer.has_signed(found)
        if signs:
            own = ObjectRecord.of(info, self._store.manifest(info.path)[1], found.archive)
            if own.fingerprint != found.fingerprint:
                signs = False
                if not found.signatures:
                    return None, "its record has other metadata and no signature"
        if self._verify or signs:
            fault = archive_fault(self._cache, found, contents=True)
        else:
            fault = quick_archive_fault(self._cache, found)
        if fault is not None:
            return None, f"its archive {fault}"
        return (self._signer.sign(found) if signs else found), None

    def has_delta(self, new: StorePath, old: StorePath) -> bool:
        """Return whether the cache has the delta, signed by this store.

        A delta that others made is made again rather than signed: clients pass a signed delta to a decoder.
        """
        found, fault = self._cache.try_read(layout.delta_record_key(new, old), decode_delta)
        if found is not None:
            with self._store.staging("push-delta") if self._verify else nullcontext() as folder:
                fault = delta_fault(self._cache, found, folder, self._manifest)
        if fault is not None:
            self.warn(layout.delta_key(new, old), fault)
        return found is not None and fault is None and self._signer.has_signed(found)

    def warn(self, key: str, fault: str) -> None:
        """Warn that a file in the cache is replaced."""
        self._reporter.warn(f"{self._cache.name}: {key} is replaced: {fault}")

    def _manifest(self, path: StorePath) -> Manifest:
        return self._store.manifest(path)[0]
