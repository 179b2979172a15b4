"""Push objects to a cache: archive, then record, then realisation; references before referrers.

Whoever sees a record can fetch all that it refers to, at any instant, even after a killed push; the next push
continues where it stopped. A file in the cache is reused only if it is as its record states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from vstore.archive import Limits
from vstore.errors import UsageError
from vstore.fs.faults import Point, reached
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.plural import count
from vstore.remote.packing.packed_archives import PackedArchives
from vstore.remote.records.builders import own_statement, signatures_of_builders
from vstore.remote.records.cache import Cache, request_threads
from vstore.remote.records.channels import PublishedChannel, check_new_channel, publish_channel
from vstore.remote.records.model import (
    Archive,
    DeltaRecord,
    ObjectRecord,
    Realisation,
    SbomRecord,
    add_signatures,
)
from vstore.remote.records.trust import Signer
from vstore.remote.sync.delta import make_delta
from vstore.remote.sync.reuse import ReuseCheck
from vstore.remote.sync.sboms import push_sbom
from vstore.reporter import CancellableReporter, Reporter, Unit
from vstore.sbom_format import Sbom
from vstore.store import Store
from vstore.store.manifests import ManifestMetadata
from vstore.values import frozen


@frozen
class PushOptions:
    """The options of a push.

    `channel` is to point to the pushed stack, for `lifetime`. Deltas are made from the objects in the closure of
    `delta_from`. `sbom` makes the SBOM that is attached to each top of the push. `level` is that of zstd, `jobs` the
    number of objects at the same time. With `verify` every byte that the cache has is read, and damaged files are
    replaced. Without `realisations` the objects of recipes are not stated.
    """

    channel: str | None = None
    lifetime: timedelta = timedelta(days=30)
    delta_from: StorePath | None = None
    sbom: Callable[[StorePath], Sbom] | None = None
    level: int | None = None
    jobs: int = 2
    verify: bool = False
    realisations: bool = True


@frozen
class Pushed:
    """The result of a push: the objects that the cache had, those that were pushed, and the bytes sent.

    `replaced`, a part of `pushed`, were in the cache but not as their records state. `conflicts` names recipes for
    which another builder has another object. `sboms` are the attached SBOMs, of which the cache had `present_sboms`.
    """

    present: tuple[StorePath, ...]
    pushed: tuple[StorePath, ...]
    replaced: tuple[StorePath, ...]
    archive_bytes: int
    conflicts: tuple[str, ...]
    delta_bytes: int = 0
    sboms: tuple[SbomRecord, ...] = ()
    present_sboms: tuple[SbomRecord, ...] = ()
    sbom_bytes: int = 0
    channel: PublishedChannel | None = None


def push(
    store: Store, cache: Cache, tops: Sequence[StorePath], options: PushOptions, *, signer: Signer, reporter: Reporter
) -> Pushed:
    """Push objects and their closures, then deltas and SBOMs, then point the channel to the stack.

    Safe beside a collection of the cache: after the channel is written, everything that a collection may have deleted
    before it could see the channel is pushed again. Raises UsageError, before anything is sent, if a channel would
    have no key or point to anything but one stack, and CacheError if the cache refuses.
    """
    stack = None
    if options.channel is not None:
        check_new_channel(options.channel, signer)
        stack = store.objects.info(tops[0]) if len(tops) == 1 else None
        if stack is None or stack.kind != Kind.STACK:
            raise UsageError(
                f"channel {options.channel} points to one stack", hint="give one profile, or the path of a stack"
            )
    pusher = Pusher(store, cache, signer, options, reporter=reporter)
    sboms = [options.sbom(top) for top in dict.fromkeys(tops)] if options.sbom else []
    done = pusher.push(tops)
    if options.delta_from is not None:
        done = replace(done, delta_bytes=pusher.push_deltas(tops, options.delta_from))
    attached = [pusher.push_sbom(sbom) for sbom in sboms]
    done = replace(
        done,
        sboms=tuple(record for record, _ in attached),
        present_sboms=tuple(record for record, sent_bytes in attached if not sent_bytes),
        sbom_bytes=sum(sent_bytes for _, sent_bytes in attached),
    )
    if options.channel is not None and stack is not None:
        made = publish_channel(
            cache, options.channel, stack, signer=signer, lifetime=options.lifetime, now=datetime.now(UTC)
        )
        again = Pusher(store, cache, signer, replace(options, verify=False), reporter=reporter)
        again.push(tops)
        for sbom in sboms:
            again.push_sbom(sbom)
        done = replace(done, channel=made)
    return done


class Pusher:
    """Pushes objects of one store to one cache. `without` are objects that the receiver has already."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        signer: Signer,
        options: PushOptions | None = None,
        *,
        reporter: Reporter,
        without: Container[StorePath] = (),
    ) -> None:
        options = options or PushOptions()
        self._store = store
        self._cache = cache
        self._signer = signer
        self._reporter = CancellableReporter(reporter, cache.cancel)
        self._jobs = options.jobs
        self._states_realisations = options.realisations
        self._without = without
        limits = Limits().without_ratio() if signer.keys else Limits()  # those of clients that trust a key
        self._archives = PackedArchives(store, level=options.level, limits=limits, reporter=self._reporter)
        self._reuse = ReuseCheck(store, cache, signer, verify=options.verify, reporter=self._reporter)

    def push(self, tops: Iterable[StorePath]) -> Pushed:
        """Push objects and their closures. After a CacheError no incomplete object is listed."""
        infos = {path: info for path, info in self._closure(tops).items() if path not in self._without}
        self._cache.writer.create(self._store.layout.root)
        reached(Point.PUSH_STARTED)
        self._reporter.progress("push", f"looking for {count(len(infos), 'object')}")
        with request_threads(self._cache) as pool:
            present = dict(zip(infos, pool.map(self._reuse.has_object, infos.values()), strict=True))
        with request_threads(self._cache, self._jobs) as pool:
            running: dict[StorePath, Future[int]] = {}
            for path, info in infos.items():
                if not present[path]:
                    references = [running[reference] for reference in info.references if reference in running]
                    running[path] = pool.submit(self._push, info, references)
            archive_bytes = sum(future.result() for future in running.values())
        with request_threads(self._cache) as pool:
            stated = infos.values() if self._states_realisations else ()
            conflicts = [text for found in pool.map(self._push_realisations, stated) for text in found]
        for text in conflicts:
            self._reporter.warn(text)
        return Pushed(
            present=tuple(path for path in infos if present[path]),
            pushed=tuple(running),
            replaced=tuple(path for path in running if path in self._reuse.replaced),
            archive_bytes=archive_bytes,
            conflicts=tuple(conflicts),
        )

    def _closure(self, tops: Iterable[StorePath]) -> dict[StorePath, ObjectInfo]:
        """Return all objects to push, references first, and keep them alive."""
        tops = tuple(tops)
        self._store.add_temp_root(*tops)
        return {info.path: info for info in self._store.objects.bottom_up(tops)}

    def _push(self, info: ObjectInfo, references: Sequence[Future[int]]) -> int:
        """Write an archive, then its record once all references are written. Return the bytes that were sent."""
        started = time.monotonic()
        name = info.path.name
        _, metadata = self._store.manifest(info.path)
        record, sent_bytes = self._put_archive(info, metadata)
        reached(Point.PUSH_UPLOADED)
        for future in references:
            future.result()
        record = add_signatures(record, *signatures_of_builders(metadata))
        self._cache.writer.put_object(record, self._signer.stating(own_statement(metadata)))
        reached(Point.PUSH_DESCRIBED)
        self._reporter.completed(name, "pushed", time.monotonic() - started)
        return sent_bytes

    def _put_archive(self, info: ObjectInfo, metadata: ManifestMetadata) -> tuple[ObjectRecord, int]:
        """Write the archive of an object, if the cache lacks it. Return its record and the bytes that were sent."""
        known = self._archives.info(info.path)
        if known is not None:
            record = ObjectRecord.of(info, metadata, Archive.of(known))
            if self._cache.writer.has_archive(record):
                return record, 0
        with self._archives.packed(info.path) as (file, made):
            reached(Point.PUSH_PACKED)
            self._reporter.progress(info.path.name, "pushing", 0, made.size_bytes, Unit.BYTES)
            record = ObjectRecord.of(info, metadata, Archive.of(made))
            if known is None and self._cache.writer.has_archive(record):
                return record, 0
            self._cache.writer.put_archive(record, file)
        return record, made.size_bytes

    def _push_realisations(self, info: ObjectInfo) -> list[str]:
        """Write the realisations of an object; return a text for each recipe that gave another builder another one."""
        conflicts = []
        for recipe in self._store.realisations.recipes_of([info.path]):
            own = Realisation.of(info, recipe)
            found = self._cache.writer.add_realisation(own, self._signer, self._reuse.warn)
            reached(Point.PUSH_REALISED)
            if found != info.path:
                conflicts.append(
                    f"{self._cache.name}: builders disagree: a recipe gave {info.path} here, {found} there"
                )
        return conflicts

    def push_deltas(self, tops: Iterable[StorePath], older: StorePath) -> int:
        """Push a delta for each object, from the object of the same name in the closure of `older`; return the bytes.

        Raises UsageError without the extra ``delta``.
        """
        old_paths = {path.name: path for path in self._closure([older])}
        delta_bytes = 0
        for new in self._closure(tops):
            old = old_paths.get(new.name)
            if old is not None and old != new and not self._reuse.has_delta(new, old):
                delta_bytes += self._push_delta(new, old)
        return delta_bytes

    def _push_delta(self, new: StorePath, old: StorePath) -> int:
        started = time.monotonic()
        self._reporter.progress(new.name, "making a delta")
        trees = [(self._store.layout.object(path), self._store.manifest(path)[0]) for path in (old, new)]
        data = make_delta(*trees[0], *trees[1])
        if data is None:
            return 0
        made = DeltaRecord(new=new, old=old, size_bytes=len(data), sha256=sha256(data).hexdigest())
        self._cache.writer.put_delta(made, data, self._signer)
        reached(Point.PUSH_DELTA_DESCRIBED)
        self._reporter.completed(new.name, "delta pushed", time.monotonic() - started)
        return len(data)

    def push_sbom(self, sbom: Sbom) -> tuple[SbomRecord, int]:
        """Attach an SBOM to its object, which is in the cache. Return its record and the bytes that were sent."""
        return push_sbom(self._cache, sbom, self._signer, self._reuse)
