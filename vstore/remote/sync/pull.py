"""Pull objects with all that they refer to: records level by level, archives several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing

from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.graph import bottom_up
from vstore.objects import StorePath
from vstore.remote.records.cache import MAX_REQUESTS, Cache, request_threads
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import ObjectRecord
from vstore.remote.sync.fetch import DependencyError, Fetched, Fetcher
from vstore.values import frozen

_MAX_ARCHIVES = 4  # at the same time
_MAX_OBJECTS = 10_000  # of one closure; a hostile cache could name new ones for ever
_MAX_RECORD_BYTES = 32 << 20  # of one closure


@frozen
class Pulled:
    """The objects that a pull fetched; objects that the store already had are not listed."""

    fetched: tuple[Fetched, ...]

    @property
    def fetched_bytes(self) -> int:
        """The bytes fetched."""
        return sum(one.fetched_bytes for one in self.fetched)

    @property
    def saved_bytes(self) -> int:
        """The bytes of archives that were not needed."""
        return sum(one.saved_bytes for one in self.fetched)


class PullPool:
    """Pulls objects in threads, each object once. With `dry_run` it only estimates the bytes to fetch."""

    def __init__(self, fetcher: Fetcher, *, dry_run: bool = False) -> None:
        self._fetcher = fetcher
        self._dry_run = dry_run
        self._pool = ThreadPoolExecutor(MAX_REQUESTS if dry_run else _MAX_ARCHIVES)
        self._running: dict[StorePath, Future[Fetched | None]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Cancel the fetches that have not started, and wait for the rest."""
        self._pool.shutdown(cancel_futures=True)

    def start(
        self, cache: Cache, tops: Iterable[StorePath], recipes: Mapping[StorePath, Digest] | None = None
    ) -> list[StorePath]:
        """Start to pull objects and their closures; return those that are missing here, references first.

        `recipes` are the verified recipes of objects. Raises CacheError if the cache lacks an object.
        """
        records = missing_records(self._fetcher, cache, tuple(tops))
        if records:
            self._fetcher.prepare(records)
        missing = {record.path for record in records}
        with self._lock:
            for record in records:  # references first, so that a waiting fetch waits for one that has started
                running = self._running.get(record.path)
                if running is None or (running.done() and running.exception() is not None):
                    references = [self._running[path] for path in record.references if path in missing]
                    recipe = recipes.get(record.path) if recipes else None
                    self._running[record.path] = self._pool.submit(self._pull, cache, record, recipe, references)
        return [record.path for record in records]

    def wait(self, *paths: StorePath) -> None:
        """Wait for all of these, then raise the first one's error: DependencyError if a reference failed."""
        futures = [self._running[path] for path in paths]
        wait(futures)
        for future in futures:
            future.result()

    def pulled(self) -> Pulled:
        """Wait for everything that has started, and return the fetched objects."""
        done = [future.result() for future in self._running.values() if future.exception() is None]
        return Pulled(fetched=tuple(one for one in done if one is not None))

    def _pull(
        self, cache: Cache, record: ObjectRecord, recipe: Digest | None, references: Sequence[Future[Fetched | None]]
    ) -> Fetched | None:
        def references_ready() -> None:
            for future in references:
                try:
                    future.result()
                except Exception as error:
                    raise DependencyError(f"{record.path}: an object that it refers to was not fetched") from error

        if self._dry_run:
            return self._fetcher.estimate(cache, record)
        found = self._fetcher.fetch(cache, record, recipe=recipe, references_ready=references_ready)
        if found is not None:
            self._fetcher.reporter.completed(record.path.name, "fetched", found.seconds)
        return found


def pull(fetcher: Fetcher, cache: Cache, tops: Iterable[StorePath]) -> Pulled:
    """Make objects and their closures present.

    Raises CacheError if the cache lacks one of them. Objects that were fetched before the error stay.
    """
    with (
        closing(PullPool(fetcher)) as pool,
        fetcher.cancel.set_after(errors=False),
        cache.cancel.set_after(errors=False),
    ):
        for path in pool.start(cache, tops):
            pool.wait(path)
        return pool.pulled()


def missing_records(fetcher: Fetcher, cache: Cache, tops: tuple[StorePath, ...]) -> list[ObjectRecord]:
    """Return the records of all objects that the store lacks, references first. Each level is read at once."""
    remaining_bytes, lock = _MAX_RECORD_BYTES, threading.Lock()

    def read(path: StorePath) -> ObjectRecord:
        nonlocal remaining_bytes
        record = cache.object(path, fetcher.trust)
        with lock:
            remaining_bytes -= len(encode(record)) if record else 0
            if remaining_bytes < 0:
                raise CacheError(
                    f"{cache.name}: the records of one closure have more than {_MAX_RECORD_BYTES >> 20} MiB"
                )
        if record is None:
            raise CacheError(
                f"{cache.name} does not have {path}", hint=f"`vstore cache ls {cache.name}` lists its objects"
            )
        return record

    def lacking(level: set[StorePath]) -> Iterable[StorePath]:
        fetcher.store.add_temp_root(*level)
        return (path for path in level if not fetcher.store.is_valid(path))

    found = read_closure(cache, tops, read, wanted=lacking)
    try:
        return [found[path] for path in bottom_up({path: record.references for path, record in found.items()})]
    except ValueError as error:
        raise CacheError(f"{cache.name}: objects refer to each other in a cycle") from error


def read_closure(
    cache: Cache,
    tops: Iterable[StorePath],
    read: Callable[[StorePath], ObjectRecord],
    *,
    wanted: Callable[[set[StorePath]], Iterable[StorePath]] = iter,
) -> dict[StorePath, ObjectRecord]:
    """Return the records of objects and of all that they refer to, as far as they are `wanted`, each level at once.

    Raises the errors of `read`, and CacheError for too many objects.
    """
    found: dict[StorePath, ObjectRecord] = {}
    level = set(tops)
    with request_threads(cache) as pool:
        while level:
            if len(found) + len(level) > _MAX_OBJECTS:
                raise CacheError(f"{cache.name}: one closure has more than {_MAX_OBJECTS} objects")
            paths = sorted(wanted(level))
            records = dict(zip(paths, pool.map(read, paths), strict=True))
            found |= records
            level = {path for record in records.values() for path in record.references} - found.keys()
    return found
