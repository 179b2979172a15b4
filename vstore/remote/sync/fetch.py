"""Bringing one object from a cache into the store: only the bytes that the store has not, all of them verified.

The archive's index names every file by digest, and the object's name is the digest of that list. So the list is
checked before anything else is fetched, and each file against the list: nothing else needs to be believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from vstore.archive import FileReader, Limits, RangeReader, assemble, check_cost, plan_fetch, read_index
from vstore.cancel import Cancelled, CancelToken
from vstore.digest import Digest
from vstore.errors import ArchiveError, CacheError
from vstore.fs.faults import Point, reached
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.removal import remove_tree
from vstore.objects import Kind, StorePath
from vstore.remote.records.cache import Cache
from vstore.remote.records.layout import archive_key
from vstore.remote.records.model import ObjectRecord
from vstore.remote.records.trust import Trust
from vstore.remote.sync.delta_fetch import LEAST_BYTES, Patched, patch_files
from vstore.remote.sync.local_files import AnyOf, Donors
from vstore.remote.sync.partial import TREE, left_behind, leftovers, remove, staging_name, whole_files
from vstore.remote.sync.reader import RemoteReader
from vstore.remote.transport.protocol import NoRanges, TransportError
from vstore.reporter import CancellableReporter, Reporter, Unit
from vstore.store import Provenance, Store
from vstore.store.manifests import OWN_KEYS
from vstore.values import frozen

_SMALL_BYTES = 4 << 20


@frozen
class Fetched:
    """What it took: bytes moved, and bytes of the archive that were not."""

    path: StorePath
    how: str
    moved_bytes: int
    saved_bytes: int
    seconds: float


class DependencyFailed(CacheError):
    """An object was not brought because one that it refers to was not, which is the cause: nothing else is wrong."""


class Fetcher:
    """Fetches objects into one store. Safe for several threads."""

    def __init__(self, store: Store, *, trust: Trust, reporter: Reporter, cancel: CancelToken | None = None) -> None:
        self.store = store
        self.trust = trust
        self.cancel = cancel or CancelToken()
        self.reporter = CancellableReporter(reporter, self.cancel)
        self._donors: Donors | None = None
        self._large = threading.Lock()
        self._lock = threading.Lock()

    def prepare(self, names: Iterable[str]) -> None:
        """Find what the store holds already, the objects of these names first."""
        with self._lock:
            if self._donors is None:
                self._donors = Donors(self.store)
            self._donors.look(names)

    def estimate(self, cache: Cache, record: ObjectRecord) -> Fetched:
        """What fetching it would take, at most: a delta may make it less. Reads the archive's index."""
        started = time.monotonic()
        reader = RemoteReader(cache, archive_key(record.path), record.archive.size_bytes)
        try:
            with _archive_of(cache, record):
                index = read_index(reader, tree=record.digest)
        except NoRanges:
            return _fetched(record, record.archive.size_bytes, started)
        written = whole_files(leftovers(self.store.layout, record.path), index.files)
        plan = plan_fetch(index, AnyOf(written, self._donors or ()))
        return _fetched(record, reader.moved_bytes + reader.to_move_bytes(plan.ranges), started)

    def fetch(
        self, cache: Cache, record: ObjectRecord, *, recipe: Digest | None, references_ready: Callable[[], None]
    ) -> Fetched | None:
        """Make the object present; None if it is already. Its references may come meanwhile: `references_ready` waits.

        Raises CacheError or StoreError; then nothing of it is in the store. If nothing is wrong but the
        connection, its own or that of what it refers to, what was written stays for the next fetch.
        """
        started = time.monotonic()
        lock = self.store.layout.locks.fetch(record.path)
        with lock_file(lock, transient=True, builds=True, cancel=self.cancel):
            self.store.add_temp_root(record.path)
            if self.store.is_valid(record.path):
                return None
            kept = leftovers(self.store.layout, record.path)
            with self.store.staging(staging_name(record.path)) as staging:
                reached(Point.PULL_STARTED)
                tree = staging / TREE
                with left_behind(staging, kept, after=_was_cut_off):
                    with self._turn(record), _archive_of(cache, record):
                        moved, manifest = self._bring(cache, record, tree, kept)
                    reached(Point.PULL_UNPACKED)
                    references_ready()
                self.store.add(
                    tree,
                    name=record.path.name,
                    kind=record.kind if self._believes(record) else Kind.INTERPRETER,  # the tree states any other kind
                    provenance=self._provenance(record, recipe),
                    manifest=manifest,
                )
            remove(kept)
        reached(Point.PULL_ADDED)
        return _fetched(record, moved, started)

    def _believes(self, record: ObjectRecord) -> bool:
        return self.trust.refusal(record.line, record.signatures) is None

    def _provenance(self, record: ObjectRecord, recipe: Digest | None) -> Provenance:
        """Return how an object was made, as far as enough trusted keys have signed it: no digest covers this."""
        if not self._believes(record):
            return Provenance(recipe=recipe)
        metadata = {key: value for key, value in record.metadata.items() if key not in OWN_KEYS}
        return Provenance(recipe=recipe, wheel_keys=tuple(record.parts), metadata=metadata)

    def _turn(self, record: ObjectRecord) -> AbstractContextManager[object]:
        """Large archives one after another, as each takes all cores and some 80 MiB; they are flushed side by side."""
        return self._large if record.archive.size_bytes > _SMALL_BYTES else nullcontext()

    def _bring(self, cache: Cache, record: ObjectRecord, tree: Path, kept: list[Path]) -> tuple[int, Manifest]:
        """Make the folder, every file verified while it was written; returns the bytes moved and what it holds."""
        total = record.archive.size_bytes

        def on_bytes(_: int) -> None:
            self.reporter.progress(record.path.name, "fetching", reader.moved_bytes, total, Unit.BYTES)

        reader = RemoteReader(cache, archive_key(record.path), total, on_bytes)
        try:
            patch_bytes, manifest = self._unpack(reader, record, tree, kept, cache)
            return patch_bytes + reader.moved_bytes, manifest
        except NoRanges:
            remove_tree(tree)
            return self._bring_whole(cache, record, tree, kept)

    def _bring_whole(self, cache: Cache, record: ObjectRecord, tree: Path, kept: list[Path]) -> tuple[int, Manifest]:
        """From a place that gives no ranges: the archive into a file beside, then from there."""
        file = tree.with_name("archive")
        self.reporter.progress(record.path.name, "fetching whole")
        size = cache.transport.download(archive_key(record.path), file, limit=record.archive.size_bytes)
        if size is None:
            raise CacheError(f"{cache.name} does not have the archive of {record.path}")
        with FileReader(file) as reader:
            return size, self._unpack(reader, record, tree, kept)[1]

    def _unpack(
        self, reader: RangeReader, record: ObjectRecord, tree: Path, kept: list[Path], cache: Cache | None = None
    ) -> tuple[int, Manifest]:
        """Fill the folder, with a delta of `cache` where that is less; returns the bytes that the delta had."""
        index = read_index(reader, tree=record.digest)
        manifest = index.manifest
        if StorePath.make(manifest.digest, record.path.name) != record.path:
            raise ArchiveError("it holds another tree")
        if tuple(sorted(manifest.references(record.path))) != record.references:
            raise ArchiveError("its record names other references than its tree")
        written = whole_files(kept, index.files)
        have = AnyOf(written, self._donors or ())
        plan = plan_fetch(index, have)
        patched = Patched()
        limits = Limits().trusting() if self._believes(record) else Limits()
        if cache is not None and self._donors is not None and plan.fetch_bytes >= LEAST_BYTES:
            check_cost(index, limits)  # before any of it is made
            folder = tree.with_name("patched")
            patched = patch_files(
                self.store, cache, manifest, record.path, self._donors.find, plan.fetch_bytes, folder, self.trust
            )
            if patched.problem is not None:
                self.reporter.warn(f"{cache.name}: {patched.problem}; fetching the files themselves")
            if patched.files:
                reached(Point.PULL_PATCHED)
            plan = plan_fetch(index, AnyOf(patched.files, have))

        own = set(written.values())

        def donor(digest: bytes) -> Path | None:
            place = written.get(digest) or patched.files.get(digest)
            return place or (self._donors.find(digest) if self._donors is not None else None)

        objects = self.store.layout.store
        return patched.moved_bytes, assemble(
            plan,
            reader,
            tree,
            donor,
            may_link=lambda place: place in own or place.is_relative_to(objects),
            limits=limits,
            stays_after=(TransportError, Cancelled),
        )


@contextmanager
def _archive_of(cache: Cache, record: ObjectRecord) -> Iterator[None]:
    """Name the place of an archive that turns out to be damaged: to who uses a cache it is an error of the cache."""
    try:
        yield
    except ArchiveError as error:
        place = f"{cache.url}/{archive_key(record.path)}"
        raise CacheError(f"{place}: {error.message}", details=error.details) from error


def _was_cut_off(error: BaseException | None) -> bool:
    """Whether the connection was lost or the work stopped, and nothing is wrong with the bytes that came."""
    if isinstance(error, DependencyFailed):
        return _was_cut_off(error.__cause__)
    return isinstance(error, TransportError | Cancelled)


def _fetched(record: ObjectRecord, moved_bytes: int, started: float) -> Fetched:
    whole = record.archive.size_bytes
    return Fetched(
        path=record.path,
        how="archive" if moved_bytes >= whole else "ranges",
        moved_bytes=moved_bytes,
        saved_bytes=max(whole - moved_bytes, 0),
        seconds=time.monotonic() - started,
    )
