"""Checking a cache: that what is listed is there, is whole, and says what it should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vstore.archive import read_index, unpack
from vstore.errors import ArchiveError, CacheError, StoreError
from vstore.objects import StorePath
from vstore.remote import layout
from vstore.remote.cache import Cache
from vstore.remote.inventory import Inventory, Item, read_inventory
from vstore.remote.plan import roots
from vstore.remote.reader import RemoteReader
from vstore.remote.trust import Trust
from vstore.report import Report
from vstore.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheProblem:
    """Something wrong in a cache, in one line."""

    key: str
    problem: str


def verify_cache(
    store: Store, cache: Cache, *, contents: bool, trust: Trust, report: Report
) -> tuple[int, list[CacheProblem]]:
    """Check every object, with `contents` every byte of it. Returns how many there are, and what is wrong.

    Nothing is added to `store`; archives are unpacked in its staging area.
    """
    bad: dict[str, str] = {}
    inventory = read_inventory(cache, bad)
    problems = [CacheProblem(key=key, problem=text) for key, text in sorted(bad.items())]
    problems += _records(inventory, trust)
    for number, item in enumerate(inventory.items.values()):
        report.stage("cache verify", "reading archives", number, len(inventory.items))
        problems += [
            CacheProblem(key=layout.archive_key(item.path), problem=text)
            for text in _archive(store, cache, item, contents)
        ]
    return len(inventory.items), problems


def _records(inventory: Inventory, trust: Trust) -> Iterator[CacheProblem]:
    for path, item in inventory.items.items():
        for reference in item.record.references:
            if reference not in inventory.items:
                yield CacheProblem(key=layout.object_key(path), problem=f"refers to {reference}, which is not there")
    for key, realisation in inventory.realisations.items():
        if realisation.path not in inventory.items:
            yield CacheProblem(key=key, problem=f"gives {realisation.path}, which is not there")
        reason = trust.refusal(realisation.line, realisation.signatures) if trust.keys else None
        if reason is not None:
            yield CacheProblem(key=key, problem=reason)
    for path, reason in roots(inventory, keep=1).items():
        if path not in inventory.items:
            yield CacheProblem(key=layout.object_key(path), problem=f"is not there, and {reason} points to it")


def _archive(store: Store, cache: Cache, item: Item, contents: bool) -> Iterator[str]:
    key, record = layout.archive_key(item.path), item.record
    try:
        stat = cache.transport.head(key)
        if stat is None:
            yield "is missing"
            return
        if stat.size_bytes != record.archive.size_bytes:
            yield f"has {stat.size_bytes} bytes, its record says {record.archive.size_bytes}"
            return
        reader = RemoteReader(cache, key, stat.size_bytes)
        manifest = read_index(reader).manifest
        if StorePath.make(manifest.digest, item.path.name) != item.path:
            yield "holds another tree"
        elif contents:
            with store.staging("verify") as staging:
                unpack(reader, staging / "tree", expected=manifest)
    except (ArchiveError, CacheError, StoreError) as error:
        yield error.message
