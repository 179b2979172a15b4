"""Putting objects into a cache: archive, then record, then realisation; references before referrers.

Whoever sees one of these can fetch all of it, at any instant, also after a push that was killed; the next one
goes on where it ended. What is there counts only as far as it is as its record states; the rest is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from vstore.archive import ArchiveInfo, Limits, pack
from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.fs.faults import Point, reached
from vstore.fs.trees.manifest import Manifest
from vstore.graph import bottom_up
from vstore.objects import ObjectInfo, StorePath
from vstore.remote.maintenance.integrity import archive_fault, delta_fault, quick_archive_fault
from vstore.remote.maintenance.plan import Policy
from vstore.remote.records import layout
from vstore.remote.records.cache import Cache
from vstore.remote.records.encoding import decode_delta, decode_object
from vstore.remote.records.model import Archive, DeltaRecord, ObjectRecord, Realisation
from vstore.remote.records.trust import SecretKey, Trust, sign
from vstore.remote.sync.delta import make_delta
from vstore.remote.transport.protocol import TransportError
from vstore.remote.transport.registry import check_target
from vstore.reporter import CancellableReporter, Reporter, Unit
from vstore.store import Store
from vstore.store.manifests import OWN_KEYS
from vstore.values import frozen

R = TypeVar("R", ObjectRecord, DeltaRecord)


@frozen
class Pushed:
    """The result of a push: objects that were there already, objects and bytes that were moved.

    `replaced`, which `pushed` includes, were there, but not as their records state.
    """

    present: tuple[StorePath, ...]
    pushed: tuple[StorePath, ...]
    replaced: tuple[StorePath, ...]
    moved_bytes: int
    conflicts: tuple[str, ...]


class Pusher:
    """Pushes objects of one store into one cache, signing with all its keys.

    `trust` tells which signatures in the cache are wrong. With `verify` every byte that is there is read and compared.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        *,
        keys: Sequence[SecretKey],
        reporter: Reporter,
        jobs: int = 2,
        level: int | None,
        without: Container[StorePath] = (),
        trust: Trust | None = None,
        verify: bool = False,
    ) -> None:
        self.store = store
        self.cache = cache
        self.keys = tuple(keys)
        self.reporter = CancellableReporter(reporter, cache.cancel)
        self.jobs = jobs
        self.level = level
        self.without = without  # what is known to be where this goes
        self.trust = Trust(keys=(*(trust.keys if trust else ()), *(key.public for key in keys)))
        self.verify = verify
        self._own = {key.public.raw for key in keys}
        self._replaced: set[StorePath] = set()

    def push(self, tops: Iterable[StorePath]) -> Pushed:
        """Push these and their closures. CacheError when the cache does not take it; nothing half is listed then."""
        infos = {path: info for path, info in self._closure(tops).items() if path not in self.without}
        check_target(self.cache, self.store.layout.root)
        self.cache.create()
        reached(Point.PUSH_STARTED)
        self.reporter.progress("push", f"asking for {len(infos)} objects")
        with self.cache.threads() as pool:
            there = dict(zip(infos, pool.map(self._is_there, infos.values()), strict=True))
        with self.cache.threads(self.jobs) as pool:
            running: dict[StorePath, Future[int]] = {}
            for path, info in infos.items():
                if not there[path]:
                    below = [running[reference] for reference in info.references if reference in running]
                    running[path] = pool.submit(self._push, info, below)
            moved = sum(future.result() for future in running.values())
        with self.cache.threads() as pool:
            conflicts = [text for found in pool.map(self._realise, infos.values()) for text in found]
        for text in conflicts:
            self.reporter.warn(text)
        return Pushed(
            present=tuple(path for path in infos if there[path]),
            pushed=tuple(running),
            replaced=tuple(path for path in running if path in self._replaced),
            moved_bytes=moved,
            conflicts=tuple(conflicts),
        )

    def push_deltas(self, tops: Iterable[StorePath], older: StorePath) -> int:
        """Let each object be made from the one of the same name in the closure of `older`; returns bytes moved."""
        below = {path.name: path for path in self._closure([older])}
        moved = 0
        for path in self._closure(tops):
            old = below.get(path.name)
            if old is not None and old != path:
                moved += self._push_delta(path, old)
        return moved

    def _push_delta(self, new: StorePath, old: StorePath) -> int:
        if self._has_delta(new, old):
            return 0
        started = time.monotonic()
        self.reporter.progress(new.name, "making a delta")
        manifests = [self.store.manifest(path)[0] for path in (old, new)]
        trees = [self.store.layout.object(path) for path in (old, new)]
        data = make_delta(trees[0], manifests[0], trees[1], manifests[1])
        if data is None:
            return 0
        made = DeltaRecord(new=new, old=old, size_bytes=len(data), sha256=sha256(data).hexdigest())
        self.cache.transport.put(layout.delta_key(new, old), data)
        reached(Point.PUSH_DELTA_UPLOADED)
        key = layout.delta_record_key(new, old)
        found, _ = self._read(key, decode_delta)
        if found is not None and found.line == made.line:
            made = self._standing(found)
        self.cache.write(key, sign(made, self.keys))
        reached(Point.PUSH_DELTA_DESCRIBED)
        self.reporter.completed(new.name, "delta pushed", time.monotonic() - started)
        return len(data)

    def _closure(self, tops: Iterable[StorePath]) -> dict[StorePath, ObjectInfo]:
        """All objects to push, references first."""
        tops = tuple(tops)
        self.store.add_temp_root(*tops)
        found = {path: self.store.objects.info(path) for path in self.store.objects.closure(tops)}
        infos = {path: info for path, info in found.items() if info is not None}
        return {path: infos[path] for path in bottom_up({path: info.references for path, info in infos.items()})}

    def _has_delta(self, new: StorePath, old: StorePath) -> bool:
        """Whether the delta is there as its record states, signed by this store.

        One that others made is not signed here but made again: what is signed is given to a decoder.
        """
        found, fault = self._read(layout.delta_record_key(new, old), decode_delta)
        if found is not None:
            with self.store.staging("push-delta") as folder:
                fault = delta_fault(self.cache, found, folder if self.verify else None, self._manifest)
        self._warn(layout.delta_key(new, old), fault)
        return found is not None and fault is None and self._own <= self.trust.signers(found.line, found.signatures)

    def _is_there(self, info: ObjectInfo) -> bool:
        """Whether all of it is there as its record states; what is not is told, and replaced.

        An old record is touched, so that no collection takes it meanwhile.
        """
        key = layout.object_key(info.path)
        found, fault = self._read(key, decode_object)
        joined = None
        if found is not None:
            joined, fault = self._joined(info, self._standing(found))
        if fault is not None:
            self._replaced.add(info.path)
            self._warn(key, fault)
        if joined is None:
            return False
        stat = self.cache.transport.head(key)
        if joined != found or (stat is not None and datetime.now(UTC) - stat.modified > Policy().grace / 2):
            self.cache.add_object(joined)
        return joined != found or stat is not None

    def _joined(self, info: ObjectInfo, found: ObjectRecord) -> tuple[ObjectRecord | None, str | None]:
        """The record with this store's signatures, or why it is to be replaced. What is signed anew is read whole.

        A record that somebody else signed stays as it is where it lends other parts or tells other metadata.
        """
        stated = (found.digest, found.kind, found.size_bytes, found.references)
        if stated != (info.digest, info.kind, info.size_bytes, info.references):
            return None, "its record does not say what the object is"
        signs = bool(self._own - self.trust.signers(found.line, found.signatures))
        if signs and _record(info, self.store.manifest(info.path)[1], found.archive).line != found.line:
            signs = False
            if not found.signatures:
                return None, "nobody has signed its record, which tells other metadata"
        whole = self.verify or signs
        check = archive_fault(self.cache, found, contents=True) if whole else quick_archive_fault(self.cache, found)
        if check is not None:
            return None, f"its archive {check}"
        return (sign(found, self.keys) if signs else found), None

    def _read(self, key: str, decode: Callable[[bytes, str], R]) -> tuple[R | None, str | None]:
        """The record at a key, or why it is none."""
        try:
            return self.cache.read(key, decode), None
        except TransportError:
            raise
        except CacheError as error:
            return None, error.message

    def _standing(self, found: R) -> R:
        """The record without signatures that are known to be wrong."""
        return replace(found, signatures=self.trust.standing(found.line, found.signatures))

    def _warn(self, key: str, fault: str | None) -> None:
        if fault is not None:
            self.reporter.warn(f"{self.cache.name}: {key} is replaced: {fault}")

    def _manifest(self, path: StorePath) -> Manifest:
        return self.store.manifest(path)[0]

    def _push(self, info: ObjectInfo, below: Sequence[Future[int]]) -> int:
        started = time.monotonic()
        name = info.path.name
        manifest, metadata = self.store.manifest(info.path)
        with self.store.staging(f"push-{name}") as staging:
            file, packed_bytes = staging / "archive", 0

            def on_bytes(count: int) -> None:
                nonlocal packed_bytes
                packed_bytes += count
                self.reporter.progress(name, "packing", packed_bytes, info.size_bytes, Unit.BYTES)

            on_bytes(0)
            tree = self.store.layout.object(info.path)
            limits = Limits().trusting() if self.keys else Limits()  # what a trusted key signs, clients take
            made = pack(tree, manifest, file, name=str(info.path), level=self.level, limits=limits, on_bytes=on_bytes)
            reached(Point.PUSH_PACKED)
            self.reporter.progress(name, "pushing", 0, made.size_bytes, Unit.BYTES)
            self.cache.transport.put(layout.archive_key(info.path), file)
        reached(Point.PUSH_UPLOADED)
        record = record_of(info, metadata, made)
        for future in below:
            future.result()
        self.cache.add_object(sign(record, self.keys))
        reached(Point.PUSH_DESCRIBED)
        self.reporter.completed(name, "pushed", time.monotonic() - started)
        return made.size_bytes

    def _realise(self, info: ObjectInfo) -> list[str]:
        """Say what the recipes of this object give; returns where another builder says otherwise."""
        conflicts = []
        for recipe in self.store.realisations.recipes_of([info.path]):
            mine = realisation_of(info, recipe, self.keys)
            found = self.cache.add_realisation(mine, self.trust, self._warn)
            reached(Point.PUSH_REALISED)
            if found.path != mine.path:
                conflicts.append(
                    f"{self.cache.name}: builders disagree: a recipe gave {mine.path} here, {found.path} there"
                )
        return conflicts


def realisation_of(info: ObjectInfo, recipe: Digest, keys: Iterable[SecretKey]) -> Realisation:
    """That this recipe gives this object, signed."""
    return sign(Realisation(recipe=recipe, path=info.path, digest=info.digest, size_bytes=info.size_bytes), keys)


def record_of(info: ObjectInfo, metadata: Mapping[str, object], made: ArchiveInfo) -> ObjectRecord:
    """What is said of an object and its archive, not yet signed."""
    assert made.index_digest is not None
    archive = Archive(size_bytes=made.size_bytes, sha256=made.sha256, index_digest=made.index_digest)
    return _record(info, metadata, archive)


def _record(info: ObjectInfo, metadata: Mapping[str, object], archive: Archive) -> ObjectRecord:
    parts = metadata.get("parts")
    return ObjectRecord(
        path=info.path,
        digest=info.digest,
        kind=info.kind,
        size_bytes=info.size_bytes,
        references=info.references,
        archive=archive,
        parts=tuple(sorted(bytes.fromhex(str(part)) for part in parts)) if isinstance(parts, list) else (),
        metadata={key: value for key, value in metadata.items() if key not in OWN_KEYS},
    )
