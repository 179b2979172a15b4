"""Fetch a delta: the smallest signed one of a cache, if it is smaller than the ranges of the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vstore.errors import CacheError
from vstore.extras import missing_packages
from vstore.fs.trees.manifest import Manifest
from vstore.objects import StorePath
from vstore.remote.records.cache import Cache
from vstore.remote.records.model import DeltaRecord
from vstore.remote.records.trust import Trust
from vstore.remote.sync.delta import apply_delta
from vstore.store import Store
from vstore.values import frozen

MIN_BYTES = 256 << 10  # a smaller saving is not worth a request
_MAX_OLD = 3  # older objects to ask about
_MAX_BYTES = 1 << 30


@frozen
class PatchedFiles:
    """The patched files, by digest, the bytes fetched for them, and the problem if the delta was bad."""

    files: Mapping[bytes, Path] = {}
    fetched_bytes: int = 0
    problem: str | None = None


def find_delta(store: Store, cache: Cache, path: StorePath, trust: Trust, *, below_bytes: int) -> DeltaRecord | None:
    """Return the smallest signed delta from an older object of the same name, if it has fewer than `below_bytes`.

    One trusted key is enough, because the result is verified: only the decoder takes trust. Raises CacheError.
    """
    if missing_packages("delta"):
        return None
    found = [cache.delta(path, info.path, trust) for info in store.objects.newest_of(path.name)[:_MAX_OLD]]
    signed = [one for one in found if one and trust.rejection(one, require=1) is None]
    smallest = min(signed, key=lambda one: one.size_bytes, default=None)
    return smallest if smallest and smallest.size_bytes < min(below_bytes, _MAX_BYTES) else None


def fetch_delta(
    cache: Cache, record: DeltaRecord, expected: Manifest, find: Callable[[bytes], Path | None], folder: Path
) -> PatchedFiles:
    """Fetch a delta to the new folder `folder` and apply it there. If the cache lacks it, nothing is patched."""
    folder.mkdir()
    delta, fetched = folder / "delta", 0
    try:
        fetched = cache.file(record).download(delta, limit=record.size_bytes) or 0
        files = apply_delta(delta, record, find, expected, folder, cache.cancel) if fetched else {}
    except CacheError as error:
        return PatchedFiles(fetched_bytes=fetched, problem=error.message)
    return PatchedFiles(files=files, fetched_bytes=fetched)
