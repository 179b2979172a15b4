"""Checking a cache: that what is listed is there, is whole, and says what it should."""

from __future__ import annotations

from collections.abc import Iterator

from vstore.archive import read_index
from vstore.errors import ArchiveError, CacheError
from vstore.fs.trees.manifest import Manifest
from vstore.objects import StorePath
from vstore.remote.maintenance.integrity import archive_fault, delta_fault
from vstore.remote.maintenance.plan import roots
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_delta
from vstore.remote.records.inventory import Inventory, Item, read_inventory
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation
from vstore.remote.records.trust import Trust
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import TransportError
from vstore.reporter import Reporter
from vstore.store import Store
from vstore.values import frozen

_ARCHIVES_AT_ONCE = 4


@frozen
class CacheProblem:
    """Something wrong in a cache, in one line."""

    key: str
    problem: str


def verify_cache(
    store: Store, cache: Cache, *, contents: bool, trust: Trust, reporter: Reporter
) -> tuple[int, list[CacheProblem]]:
    """Check every record, archive and delta, with `contents` every byte of them.

    Return the number of objects, and what is wrong. Signatures are checked where a key is trusted. Nothing is added to
    `store`; deltas are downloaded to its staging area. Raises TransportError.
    """
    bad: dict[str, str] = {}
    inventory = read_inventory(cache, bad)
    problems = [CacheProblem(key=key, problem=text) for key, text in sorted(bad.items())]
    problems += _records(inventory, trust)
    with cache.threads(_ARCHIVES_AT_ONCE) as pool:
        items = list(inventory.items.values())
        for number, fault in enumerate(
            pool.map(lambda item: archive_fault(cache, item.record, contents=contents), items)
        ):
            reporter.progress("cache verify", "reading archives", number, len(items))
            if fault is not None:
                problems.append(CacheProblem(key=layout.archive_key(items[number].path), problem=fault))
    for item in items:
        problems += _deltas(store, cache, item, inventory, trust, contents)
    return len(items), problems


def _records(inventory: Inventory, trust: Trust) -> Iterator[CacheProblem]:
    for path, item in inventory.items.items():
        for reference in item.record.references:
            if reference not in inventory.items:
                yield CacheProblem(key=layout.object_key(path), problem=f"refers to {reference}, which is not there")
        yield from _distrusted(layout.object_key(path), item.record, trust)
    for key, realisation in inventory.realisations.items():
        if realisation.path not in inventory.items:
            yield CacheProblem(key=key, problem=f"gives {realisation.path}, which is not there")
        elif inventory.items[realisation.path].record.size_bytes != realisation.size_bytes:
            yield CacheProblem(key=key, problem=f"gives another size of {realisation.path} than its record")
        yield from _distrusted(key, realisation, trust)
    for key, channel in inventory.current.items():
        yield from _distrusted(key, channel, trust)
        numbered = inventory.channels.get(layout.channel_number_key(channel.name, channel.number))
        if numbered is None or numbered.line != channel.line:
            yield CacheProblem(key=key, problem=f"is not number {channel.number} of the channel")
    for path, reason in roots(inventory, keep=1).items():
        if path not in inventory.items:
            yield CacheProblem(key=layout.object_key(path), problem=f"is not there, and {reason} points to it")


def _distrusted(
    key: str, record: Realisation | ObjectRecord | Channel | DeltaRecord, trust: Trust
) -> Iterator[CacheProblem]:
    """The reason for which a client would not believe the record. One with no signature lends and gives nothing."""
    reason = trust.refusal(record.line, record.signatures) if trust.keys else None
    if reason is not None:
        yield CacheProblem(key=key, problem=reason)


def _deltas(
    store: Store, cache: Cache, item: Item, inventory: Inventory, trust: Trust, contents: bool
) -> Iterator[CacheProblem]:
    def manifest(path: StorePath) -> Manifest | None:
        record = inventory.items[path].record if path in inventory.items else None
        if record is None:
            return None
        try:
            return read_index(RemoteReader(cache, layout.archive_key(path), record.archive.size_bytes)).manifest
        except TransportError:
            raise
        except (ArchiveError, CacheError):
            return None  # told of its archive

    for key in item.keys:
        if not key.startswith("deltas/") or not key.endswith(".json"):
            continue
        try:
            record = cache.read(key, decode_delta)
        except TransportError:
            raise
        except CacheError as error:
            yield CacheProblem(key=key, problem=error.message)
            continue
        if record is None:
            continue
        yield from _distrusted(key, record, Trust(keys=trust.keys))
        with store.staging("verify") as folder:
            fault = delta_fault(cache, record, folder if contents else None, manifest)
        if fault is not None:
            yield CacheProblem(key=layout.delta_key(record.new, record.old), problem=fault)
