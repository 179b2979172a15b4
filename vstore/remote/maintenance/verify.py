"""Verify a cache: every listed file exists, is whole, and is as its record states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from vstore.archive import read_index
from vstore.errors import ArchiveError, CacheError
from vstore.fs.trees.manifest import Manifest
from vstore.objects import StorePath
from vstore.remote.maintenance.integrity import archive_fault, delta_fault, file_fault
from vstore.remote.maintenance.plan import cache_roots
from vstore.remote.records.cache import Cache, request_threads
from vstore.remote.records.inventory import Inventory
from vstore.remote.records.model import Record
from vstore.remote.records.trust import Trust
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import TransportError
from vstore.reporter import Reporter, Unit
from vstore.store import Store
from vstore.values import frozen

_MAX_ARCHIVES = 4  # at the same time


@frozen
class CacheProblem:
    """A problem with one file of a cache, in one line."""

    key: str
    problem: str


def verify_cache(
    store: Store, cache: Cache, *, contents: bool, trust: Trust, reporter: Reporter
) -> tuple[int, list[CacheProblem]]:
    """Verify every record, archive, delta and SBOM, with `contents` every byte.

    Return the number of objects, and the problems.

    Signatures are verified if a key is trusted. The store stays as it is; deltas and SBOMs are downloaded to its
    staging area. Raises TransportError.
    """
    malformed: dict[str, str] = {}
    inventory = cache.inventory(malformed)
    problems = [CacheProblem(key=key, problem=text) for key, text in sorted(malformed.items())]
    problems += _check_records(inventory, trust)
    with request_threads(cache, _MAX_ARCHIVES) as pool:
        items = list(inventory.items.values())
        records = [record for item in items for record in (item.record, *item.others)]
        faults = pool.map(lambda record: archive_fault(cache, record, contents=contents), records)
        done_bytes, total_bytes = 0, sum(record.archive.size_bytes for record in records)
        for number, fault in enumerate(faults):
            done_bytes += records[number].archive.size_bytes
            unit = Unit.BYTES if contents else Unit.ITEMS
            done, total = (done_bytes, total_bytes) if contents else (number + 1, len(records))
            reporter.progress("cache verify", "reading archives", done, total, unit)
            if fault is not None:
                problems.append(CacheProblem(key=cache.file(records[number]).key, problem=fault))
    problems += _check_deltas(store, cache, inventory, trust, contents)
    problems += _check_sboms(store, cache, inventory, trust, contents)
    return len(items), problems


def _check_records(inventory: Inventory, trust: Trust) -> Iterator[CacheProblem]:
    for item in inventory.items.values():
        for reference in item.record.references:
            if reference not in inventory.items:
                yield CacheProblem(key=item.key, problem=f"refers to {reference}, which is missing")
        yield from _check_trust(item.key, item.record, trust)
    for key, realisation in inventory.realisations.items():
        if realisation.path not in inventory.items:
            yield CacheProblem(key=key, problem=f"gives {realisation.path}, which is missing")
        elif inventory.items[realisation.path].record.size_bytes != realisation.size_bytes:
            yield CacheProblem(key=key, problem=f"states another size of {realisation.path} than its record")
        yield from _check_trust(key, realisation, trust)
    for key, channel in inventory.current.items():
        yield from _check_trust(key, channel, trust)
    for path, reason in cache_roots(inventory, keep=1).items():
        if path not in inventory.items:
            yield CacheProblem(key=str(path), problem=f"is missing, and {reason} points to it")


def _check_trust(key: str, record: Record, trust: Trust) -> Iterator[CacheProblem]:
    """Yield the reason why a client would not trust the record."""
    reason = trust.rejection(record) if trust.keys else None
    if reason is not None:
        yield CacheProblem(key=key, problem=reason)


def _check_deltas(
    store: Store, cache: Cache, inventory: Inventory, trust: Trust, contents: bool
) -> Iterator[CacheProblem]:
    def manifest(path: StorePath) -> Manifest | None:
        record = inventory.items[path].record if path in inventory.items else None
        if record is None:
            return None
        try:
            return read_index(RemoteReader(cache, cache.file(record), record.archive.size_bytes)).manifest
        except TransportError:
            raise
        except (ArchiveError, CacheError):
            return None  # reported for its archive

    for key, record in inventory.deltas.items():
        yield from _check_trust(key, record, Trust(keys=trust.keys))
        with store.staging("verify") if contents else nullcontext() as folder:
            fault = delta_fault(cache, record, folder, manifest)
        if fault is not None:
            yield CacheProblem(key=cache.file(record).key, problem=fault)


def _check_sboms(
    store: Store, cache: Cache, inventory: Inventory, trust: Trust, contents: bool
) -> Iterator[CacheProblem]:
    for key, record in inventory.sboms.items():
        yield from _check_trust(key, record, trust)
        with store.staging("verify") if contents else nullcontext() as folder:
            fault = file_fault(cache, record, folder)
        if fault is not None:
            yield CacheProblem(key=cache.file(record).key, problem=fault)
