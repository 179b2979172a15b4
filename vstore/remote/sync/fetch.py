"""Fetch one object from a cache into the store: only the bytes that the store lacks, all of them verified.

The archive's index names every file by digest, and the object's name is the digest of that list. So the list is
verified before anything else is fetched, and each file against the list. Nothing else needs trust.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from vstore.archive import (
    ArchiveIndex,
    FetchPlan,
    FileReader,
    FileSource,
    Limits,
    RangeReader,
    assemble,
    check_limits,
    plan_fetch,
    read_index,
)
from vstore.cancel import Cancelled, CancelToken
from vstore.digest import Digest
from vstore.errors import ArchiveError, CacheError
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.removal import remove_tree
from vstore.objects import Kind, StorePath
from vstore.remote.records.builders import trusted_statements
from vstore.remote.records.cache import Cache
from vstore.remote.records.model import ObjectRecord
from vstore.remote.records.trust import Trust
from vstore.remote.sync.delta_fetch import MIN_BYTES, PatchedFiles, fetch_delta, find_delta
from vstore.remote.sync.local_files import FileMap, FileUnion, LocalFiles
from vstore.remote.sync.partial import (
    TREE,
    complete_files,
    find_partial,
    keep_partial,
    remove_partial,
    staging_name,
)
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import RangesUnsupportedError, TransportError
from vstore.reporter import CancellableReporter, Reporter, Unit
from vstore.store import Provenance, Store
from vstore.store.manifests import OWN_KEYS
from vstore.values import frozen

_SMALL_BYTES = 4 << 20


@frozen
class Fetched:
    """One fetched object: the bytes fetched for it, and the bytes of its archive that were not needed.

    `method` is ``archive`` for all of the archive, ``ranges`` for less.
    """

    path: StorePath
    method: str
    fetched_bytes: int
    saved_bytes: int
    seconds: float


class DependencyError(CacheError):
    """An object was not fetched because one that it refers to was not. The cause is the other's error."""


class Fetcher:
    """Fetches objects into one store. Safe for several threads. Setting `cancel` ends all fetches."""

    def __init__(self, store: Store, *, trust: Trust, reporter: Reporter, cancel: CancelToken | None = None) -> None:
        self.store = store
        self.trust = trust
        self.cancel = cancel or CancelToken()
        self.reporter = CancellableReporter(reporter, self.cancel)
        self._local: LocalFiles | None = None
        self._large = threading.Lock()
        self._lock = threading.Lock()

    def prepare(self, records: Collection[ObjectRecord]) -> None:
        """Find the files that the store has, first in objects with the names of these records."""
        with self._lock:
            if self._local is None:
                self._local = LocalFiles(self.store)
            size_bytes = sum(record.archive.size_bytes for record in records)
            self._local.read({record.path.name for record in records}, size_bytes)

    def estimate(self, cache: Cache, record: ObjectRecord) -> Fetched:
        """Return the most that fetching an object would take: a delta may reduce it. Reads the archive's index."""
        started = time.monotonic()
        reader = RemoteReader(cache, cache.file(record), record.archive.size_bytes)
        try:
            with _name_archive(cache, record):
                index = read_index(reader, tree=record.digest)
        except RangesUnsupportedError:
            return _fetched(record, record.archive.size_bytes, started)
        plan = plan_fetch(index, self._source(index, find_partial(self.store.layout, record.path)))
        return _fetched(record, reader.fetched_bytes + reader.cost_bytes(plan.ranges), started)

    def fetch(
        self, cache: Cache, record: ObjectRecord, *, recipe: Digest | None, references_ready: Callable[[], None]
    ) -> Fetched | None:
        """Fetch and register an object; None if it is present. `references_ready` waits for its references.

        Raises CacheError or StoreError; then the object is not registered. If only a connection failed, its own or
        that of a reference, the files written so far stay for the next fetch.
        """
        started = time.monotonic()
        lock = self.store.layout.locks.fetch(record.path)
        with lock_file(lock, transient=True, builds=True, cancel=self.cancel):
            self.store.add_temp_root(record.path)
            if self.store.is_valid(record.path):
                return None
            partial = find_partial(self.store.layout, record.path)
            with self.store.staging(staging_name(record.path)) as staging:
                reached(Point.PULL_STARTED)
                tree = staging / TREE
                with keep_partial(staging, partial, after=_was_cut_off):
                    with self._turn(record), _name_archive(cache, record):
                        fetched_bytes, manifest = self._fetch_tree(cache, record, tree, partial)
                    reached(Point.PULL_UNPACKED)
                    references_ready()
                kind, provenance = self._stated(record, recipe)
                self.store.add(tree, name=record.path.name, kind=kind, provenance=provenance, manifest=manifest)
            remove_partial(partial)
        reached(Point.PULL_ADDED)
        return _fetched(record, fetched_bytes, started)

    def _stated(self, record: ObjectRecord, recipe: Digest | None) -> tuple[Kind, Provenance]:
        """Return an object's kind and how it was made, if enough trusted keys have signed that: no digest covers it."""
        if not self.trust.trusts(record):
            return Kind.INTERPRETER, Provenance(recipe=recipe)  # the tree states other kinds
        metadata = {key: value for key, value in record.metadata.items() if key not in OWN_KEYS}
        builds = trusted_statements(record, self.trust)
        return record.kind, Provenance(recipe=recipe, wheel_keys=record.parts, metadata=metadata, builds=builds)

    def _turn(self, record: ObjectRecord) -> AbstractContextManager[object]:
        """Fetch large archives one after another: each takes all cores and some 80 MiB."""
        return self._large if record.archive.size_bytes > _SMALL_BYTES else nullcontext()

    def _fetch_tree(self, cache: Cache, record: ObjectRecord, tree: Path, partial: list[Path]) -> tuple[int, Manifest]:
        """Write and verify the tree; return the bytes fetched and its manifest."""
        total = record.archive.size_bytes

        def on_bytes(_: int) -> None:
            self.reporter.progress(record.path.name, "fetching", reader.fetched_bytes, total, Unit.BYTES)

        reader = RemoteReader(cache, cache.file(record), total, on_bytes)
        try:
            index = self._read_index(reader, record)
            source = self._source(index, partial)
            plan = plan_fetch(index, source)
            patched = self._patch(cache, record, plan, tree.with_name("patched"))
            if patched.files:
                source = FileUnion(FileMap(patched.files, link=False), source)
                plan = plan_fetch(index, source)
            self._assemble(plan, reader, record, source, tree)
            return patched.fetched_bytes + reader.fetched_bytes, index.manifest
        except RangesUnsupportedError:
            remove_tree(tree)
            return self._fetch_whole(cache, record, tree, partial)

    def _fetch_whole(self, cache: Cache, record: ObjectRecord, tree: Path, partial: list[Path]) -> tuple[int, Manifest]:
        """Download the archive to a file beside the tree, and unpack that: for a place without ranges."""
        file = tree.with_name("archive")
        self.reporter.progress(record.path.name, "fetching whole")
        size = cache.file(record).download(file, limit=record.archive.size_bytes)
        if size is None:
            raise CacheError(f"{cache.name} does not have the archive of {record.path}")
        with FileReader(file) as reader:
            index = self._read_index(reader, record)
            source = self._source(index, partial)
            self._assemble(plan_fetch(index, source), reader, record, source, tree)
            return size, index.manifest

    def _read_index(self, reader: RangeReader, record: ObjectRecord) -> ArchiveIndex:
        """Read the archive's index. Raises ArchiveError unless it is that of the object."""
        index = read_index(reader, tree=record.digest)
        if StorePath.make(index.manifest.digest, record.path.name) != record.path:
            raise ArchiveError("it contains another tree")
        if tuple(sorted(index.manifest.references(record.path))) != record.references:
            raise ArchiveError("its record states other references than its tree has")
        return index

    def _source(self, index: ArchiveIndex, partial: list[Path]) -> FileSource:
        """Return the files at hand: those of partial fetches, then those of the store."""
        found = FileMap(complete_files(partial, index.files), link=True)
        return found if self._local is None else FileUnion(found, self._local)

    def _limits(self, record: ObjectRecord) -> Limits:
        return Limits().without_ratio() if self.trust.trusts(record) else Limits()

    def _patch(self, cache: Cache, record: ObjectRecord, plan: FetchPlan, folder: Path) -> PatchedFiles:
        """Make files with a delta in `folder`, if that fetches less than the plan. A bad delta is a warning."""
        if self._local is None or plan.fetch_bytes < MIN_BYTES:
            return PatchedFiles()
        check_limits(plan.index, self._limits(record))  # before any file is made
        try:
            delta = find_delta(self.store, cache, record.path, self.trust, below_bytes=plan.fetch_bytes)
        except CacheError as error:
            patched = PatchedFiles(problem=error.message)
        else:
            if delta is None:
                return PatchedFiles()
            patched = fetch_delta(cache, delta, plan.index.manifest, self._local.find, folder)
        if patched.problem is not None:
            self.reporter.warn(f"{cache.name}: {patched.problem}; fetching the files themselves")
        if patched.files:
            reached(Point.PULL_PATCHED)
        return patched

    def _assemble(
        self, plan: FetchPlan, reader: RangeReader, record: ObjectRecord, source: FileSource, tree: Path
    ) -> None:
        assemble(plan, reader, tree, source, limits=self._limits(record), keep_after=(TransportError, Cancelled))


@contextmanager
def _name_archive(cache: Cache, record: ObjectRecord) -> Iterator[None]:
    """Turn an ArchiveError into a CacheError that names the archive's place."""
    try:
        yield
    except ArchiveError as error:
        raise CacheError(f"{cache.file(record).url}: {error.message}", details=error.details) from error


def _was_cut_off(error: BaseException | None) -> bool:
    """Return whether a connection was lost or the work cancelled, so that the bytes are sound as far as they go."""
    if isinstance(error, DependencyError):
        return _was_cut_off(error.__cause__)
    return isinstance(error, TransportError | Cancelled)


def _fetched(record: ObjectRecord, fetched_bytes: int, started: float) -> Fetched:
    whole = record.archive.size_bytes
    return Fetched(
        path=record.path,
        method="archive" if fetched_bytes >= whole else "ranges",
        fetched_bytes=fetched_bytes,
        saved_bytes=max(whole - fetched_bytes, 0),
        seconds=time.monotonic() - started,
    )
