"""Bringing objects with all that they refer to: records in wide steps, archives several at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing

from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.graph import bottom_up
from vstore.objects import StorePath
from vstore.remote.records.cache import QUESTIONS_AT_ONCE, Cache
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import ObjectRecord
from vstore.remote.sync.fetch import DependencyFailed, Fetched, Fetcher
from vstore.values import frozen

_ARCHIVES_AT_ONCE = 4
_MOST_OBJECTS = 10_000  # of one closure; a cache that lies could name new ones for ever
_MOST_BYTES = 32 << 20  # of their records


@frozen
class Pulled:
    """What a pull brought: what was not here before. `saved_bytes` had not to be moved."""

    fetched: tuple[Fetched, ...]

    @property
    def moved_bytes(self) -> int:
        return sum(one.moved_bytes for one in self.fetched)

    @property
    def saved_bytes(self) -> int:
        return sum(one.saved_bytes for one in self.fetched)


class PullPool:
    """Brings objects in threads of its own, each once whoever asks for it; when `dry`, only looks what that takes."""

    def __init__(self, fetcher: Fetcher, *, dry: bool = False) -> None:
        self._fetcher = fetcher
        self._dry = dry
        self._pool = ThreadPoolExecutor(QUESTIONS_AT_ONCE if dry else _ARCHIVES_AT_ONCE)
        self._running: dict[StorePath, Future[Fetched | None]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """What has not started never will; what has is waited for."""
        self._pool.shutdown(cancel_futures=True)

    def begin(
        self, cache: Cache, tops: Iterable[StorePath], recipes: Mapping[StorePath, Digest] | None = None
    ) -> list[StorePath]:
        """Start to bring these and their closures; returns what is not here, lowest first, to be waited for.

        `recipes`, which the caller has verified, gave these objects. CacheError when the cache lacks one of them.
        """
        records = missing_records(self._fetcher, cache, tuple(tops))
        if records:
            self._fetcher.prepare({record.path.name for record in records})
        missing = {record.path for record in records}
        with self._lock:
            for record in records:  # lowest first, so whoever waits for a reference waits for one that has started
                running = self._running.get(record.path)
                if running is None or (running.done() and running.exception() is not None):
                    below = [self._running[path] for path in record.references if path in missing]
                    recipe = recipes.get(record.path) if recipes else None
                    self._running[record.path] = self._pool.submit(self._bring, cache, record, recipe, below)
        return [record.path for record in records]

    def wait(self, *paths: StorePath) -> None:
        """Until all of these have ended. Raises what went wrong with the first; DependencyFailed if not with itself."""
        futures = [self._running[path] for path in paths]
        wait(futures)
        for future in futures:
            future.result()

    def pulled(self) -> Pulled:
        """What was brought so far, once all that has been begun has ended."""
        ended = [future.result() for future in self._running.values() if future.exception() is None]
        return Pulled(fetched=tuple(one for one in ended if one is not None))

    def _bring(
        self, cache: Cache, record: ObjectRecord, recipe: Digest | None, below: Sequence[Future[Fetched | None]]
    ) -> Fetched | None:
        def references_ready() -> None:
            for future in below:
                try:
                    future.result()
                except Exception as error:
                    raise DependencyFailed(f"{record.path} was not brought, as what it refers to was not") from error

        if self._dry:
            return self._fetcher.estimate(cache, record)
        found = self._fetcher.fetch(cache, record, recipe=recipe, references_ready=references_ready)
        if found is not None:
            self._fetcher.reporter.completed(record.path.name, "fetched", found.seconds)
        return found


def pull(fetcher: Fetcher, cache: Cache, tops: Iterable[StorePath]) -> Pulled:
    """Make these and their closures present.

    Raises CacheError when the cache lacks one of them; what came before it is whole and stays.
    """
    with (
        closing(PullPool(fetcher)) as bringer,
        fetcher.cancel.set_after(errors=False),
        cache.cancel.set_after(errors=False),
    ):
        for path in bringer.begin(cache, tops):
            bringer.wait(path)
        return bringer.pulled()


def missing_records(fetcher: Fetcher, cache: Cache, tops: tuple[StorePath, ...]) -> list[ObjectRecord]:
    """The records of all that is not in the store, lowest first; a step asks for a whole level at once."""
    found: dict[StorePath, ObjectRecord] = {}
    level = set(tops)
    left_bytes, lock = _MOST_BYTES, threading.Lock()

    def ask(path: StorePath) -> ObjectRecord | None:
        nonlocal left_bytes
        record = cache.object(path)
        with lock:
            left_bytes -= len(encode(record)) if record else 0
            if left_bytes < 0:
                raise CacheError(f"{cache.name} has more than {_MOST_BYTES} bytes of records for one closure")
        return record

    with cache.threads() as pool:
        while level:
            if len(found) + len(level) > _MOST_OBJECTS:
                raise CacheError(f"{cache.name} names more than {_MOST_OBJECTS} objects for one")
            fetcher.store.add_temp_root(*level)
            asked = sorted(path for path in level if not fetcher.store.is_valid(path))
            for path, record in zip(asked, pool.map(ask, asked), strict=True):
                if record is None:
                    raise CacheError(f"{cache.name} does not have {path}")
                found[path] = record
            level = {path for one in asked for path in found[one].references} - found.keys()
    try:
        return [found[path] for path in bottom_up({path: record.references for path, record in found.items()})]
    except ValueError as error:
        raise CacheError(f"{cache.name} names objects that refer to each other in a circle") from error
