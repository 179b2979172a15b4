"""Read all records of a cache in a registry, and join those of several signers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records.cache import Cache, attempt, check_exists, request_threads
from vstore.remote.records.encoding import (
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
)
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.model import Channel, ObjectRecord, R, add_signatures
from vstore.remote.registry_cache.repository import RecordRepository, StoredManifest
from vstore.remote.registry_cache.tags import RecordTag, is_claim, is_pin, pin_tag
from vstore.remote.transport.protocol import Stat

_DELETION_ORDER = ("recipe", "object", "sbom", "delta")
T = TypeVar("T")


def read_inventory(cache: Cache, repository: RecordRepository, problems: dict[str, str] | None) -> Inventory:
    """Read all records of a cache. Raises CacheError for a malformed one, unless `problems` takes it.

    Tags that are none of a cache, such as those of images, are left alone.
    """
    check_exists(cache)
    manifests = _Manifests(cache, repository, problems)
    objects = manifests.records("object", decode_object)
    realisations = manifests.records("recipe", decode_realisation)
    deltas = manifests.records("delta", decode_delta)
    sboms = manifests.records("sbom", decode_sbom)
    channels = manifests.records("channel", decode_channel)
    by_path: dict[StorePath, list[StoredManifest]] = {}
    owners = [(one, record.path) for one, record in objects]
    owners += [(one, record.path) for one, record in realisations]
    owners += [(one, record.new) for one, record in deltas]
    owners += [(one, record.path) for one, record in sboms]
    for stored, path in owners:
        by_path.setdefault(path, []).append(stored)
    items = _items(objects, by_path)
    joined = _joined(channels)
    return Inventory(
        items=items,
        realisations=_joined(realisations),
        deltas=_joined(deltas),
        sboms=_joined(sboms),
        channels=joined,
        current=_newest(joined),
        pins=tuple(sorted(manifests.pins())),
        orphans=tuple(_stat(one) for path, found in by_path.items() if path not in items for one in found),
        unfinished=tuple(_stat(one) for one in manifests.stored if is_claim(one.tag)),
    )


class _Manifests:
    """The manifests of all tags of a cache."""

    def __init__(self, cache: Cache, repository: RecordRepository, problems: dict[str, str] | None) -> None:
        self._repository = repository
        self._problems = problems
        tags = sorted(tag for tag in repository.tags() if RecordTag.parse(tag) or is_pin(tag) or is_claim(tag))
        with request_threads(cache) as pool:
            found = pool.map(lambda tag: self._sound(tag, partial(repository.read, tag)), tags)
            self.stored = [stored for stored in found if stored is not None]

    def records(self, kind: str, decode: Callable[[bytes, str], R]) -> list[tuple[StoredManifest, R]]:
        """Return the records of one kind, each with its manifest."""
        found = []
        for stored in self.stored:
            tag = RecordTag.parse(stored.tag)
            if tag is not None and tag.kind == kind:
                record = self._sound(stored.tag, partial(self._repository.decode, tag, stored, decode))
                found += [(stored, record)] if record is not None else []
        return found

    def pins(self) -> set[StorePath]:
        """Return the pinned objects."""
        stored = [one for one in self.stored if is_pin(one.tag)]
        return {path for one in stored if (path := self._sound(one.tag, partial(_pinned, one))) is not None}

    def _sound(self, tag: str, read: Callable[[], T | None]) -> T | None:
        """Return what `read` returns. A malformed manifest is an error, or a problem."""
        if self._problems is None:
            return read()
        found, problem = attempt(read)
        if problem is not None:
            self._problems[tag] = problem
        return found


def _pinned(stored: StoredManifest) -> StorePath:
    path = Fields.read(stored.text, stored.tag).parsed("path", StorePath.parse)
    if pin_tag(path) != stored.tag:
        raise CacheError(f"{stored.tag} contains the pin of something else")
    return path


def _joined(found: Iterable[tuple[StoredManifest, R]]) -> dict[str, R]:
    """Return each record once, by the first of its tags, with the signatures of all who wrote it alike."""
    tags: dict[bytes, str] = {}
    joined: dict[str, R] = {}
    for stored, record in found:
        tag = tags.setdefault(record.fingerprint, stored.tag)
        joined[tag] = add_signatures(joined[tag], *record.signatures) if tag in joined else record
    return joined


def _newest(channels: Mapping[str, Channel]) -> dict[str, Channel]:
    """Return the records of the highest number of each channel."""
    highest: dict[str, int] = {}
    for channel in channels.values():
        highest[channel.name] = max(highest.get(channel.name, 0), channel.number)
    return {tag: channel for tag, channel in channels.items() if channel.number == highest[channel.name]}


def _items(
    objects: list[tuple[StoredManifest, ObjectRecord]], by_path: Mapping[StorePath, list[StoredManifest]]
) -> dict[StorePath, Item]:
    """Return the objects. The record of one is that which most keys signed."""
    records: dict[StorePath, list[tuple[str, ObjectRecord]]] = {}
    for tag, record in _joined(objects).items():
        records.setdefault(record.path, []).append((tag, record))
    items = {}
    for path, found in records.items():
        (key, record), *others = sorted(found, key=lambda one: (-len(one[1].signatures), one[0]))
        stored = sorted(by_path[path], key=lambda one: (_DELETION_ORDER.index(_kind(one)), one.tag))
        files = {one.layer.digest: one.layer.size_bytes for one in stored}
        items[path] = Item(
            record=record,
            others=tuple(other for _, other in others),
            key=key,
            keys=tuple(one.key for one in stored),
            size_bytes=sum(one.manifest_bytes for one in stored) + sum(files.values()),
            touched_at=max(one.written_at for one in stored if _kind(one) == "object"),
            recipes=sum(_kind(one) == "recipe" for one in stored),
        )
    return items


def _kind(stored: StoredManifest) -> str:
    return stored.tag.partition("-")[0]


def _stat(stored: StoredManifest) -> Stat:
    return Stat(key=stored.key, size_bytes=stored.size_bytes, modified=stored.written_at)
