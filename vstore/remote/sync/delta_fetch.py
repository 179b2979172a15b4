"""Files made by a delta while an object is fetched: the signed delta of a cache that is cheaper than the ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vstore.errors import CacheError
from vstore.fs.trees.manifest import Manifest
from vstore.objects import StorePath
from vstore.remote.records.cache import Cache
from vstore.remote.records.layout import delta_key
from vstore.remote.records.model import DeltaRecord
from vstore.remote.records.trust import Trust
from vstore.remote.sync.delta import apply_delta, available
from vstore.store import Store
from vstore.values import frozen

LEAST_BYTES = 256 << 10  # less is not worth a question
_MOST_OLD = 3  # how many older objects are asked about
_MOST_BYTES = 1 << 30


@frozen
class Patched:
    """The files made, by digest, and what that took; `problem` says why there are none where there should be."""

    files: Mapping[bytes, Path] = {}
    moved_bytes: int = 0
    problem: str | None = None


def patch_files(
    store: Store,
    cache: Cache,
    expected: Manifest,
    path: StorePath,
    find: Callable[[bytes], Path | None],
    ranges_bytes: int,
    folder: Path,
    trust: Trust,
) -> Patched:
    """Take the smallest signed delta from an object of the same name, if it is smaller than the ranges."""
    if not available():
        return Patched()
    moved = 0
    try:
        record = _smallest(store, cache, path, trust)
        if record is None or record.size_bytes >= min(ranges_bytes, _MOST_BYTES):
            return Patched()
        folder.mkdir()
        delta = folder / "delta"
        moved = cache.transport.download(delta_key(record.new, record.old), delta, limit=record.size_bytes) or 0
        if not moved:
            return Patched()
        return Patched(files=apply_delta(delta, record, find, expected, folder, cache.cancel), moved_bytes=moved)
    except CacheError as error:
        return Patched(moved_bytes=moved, problem=error.message)


def _smallest(store: Store, cache: Cache, path: StorePath, trust: Trust) -> DeltaRecord | None:
    infos = [store.objects.info(one) for one in store.objects.find(path.name) if one.name == path.name]
    newest = sorted((info for info in infos if info), key=lambda info: info.registered_at, reverse=True)[:_MOST_OLD]
    found = [cache.delta(path, info.path) for info in newest]
    # one trusted key is enough: what a patch gives is verified, so that only decoding it takes trust
    signed = [one for one in found if one and trust.refusal(one.line, one.signatures, require=1) is None]
    return min(signed, key=lambda one: one.size_bytes, default=None)
