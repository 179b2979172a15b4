"""From a recipe to an object, by asking caches: whatever is wrong with them is a miss, never an error.

All caches are asked at once. The first of them, in configured order, whose answer enough trusted builders have
signed is taken. A miss is remembered for a while; each thing that is wrong is said once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from vstore.digest import Digest
from vstore.errors import ArchiveError, CacheError
from vstore.objects import StorePath
from vstore.remote.cache import Cache
from vstore.remote.fetch import Fetcher
from vstore.remote.misses import ABSENT_SECONDS, BAD_SECONDS, DOWN_SECONDS, Misses
from vstore.remote.model import Realisation
from vstore.remote.pull import QUESTIONS_AT_ONCE, Pulled, missing_records, pull
from vstore.remote.transport import TransportError

_DOWN = "down"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Substituted:
    """The object that a recipe gives, present now, and what it took."""

    path: StorePath
    cache: str
    pulled: Pulled


class Substituter:
    """Asks caches for what recipes give. Safe for several threads; made once per run."""

    def __init__(self, caches: Sequence[Cache], fetcher: Fetcher) -> None:
        self._caches = tuple(caches)
        self._fetcher = fetcher
        self._misses = Misses(fetcher.store.layout.root / "cache" / "remote")
        self.moved_bytes = 0
        self.saved_bytes = 0
        self._foreseen: set[StorePath] = set()
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(QUESTIONS_AT_ONCE)
        if caches and not fetcher.trust.keys:
            self._say("caches", "no key is trusted, so nothing is taken from them", "set `trusted_keys` in config.toml")
            self._caches = ()

    def find(self, recipe: Digest) -> tuple[Realisation, Iterator[Cache]] | None:
        """What the recipe gives by the word of trusted builders, and the caches that say so; None for a miss."""
        answers = [(cache, self._pool.submit(self._ask, cache, recipe)) for cache in self._caches]
        said: dict[bytes, Realisation] = {}
        refused: list[tuple[Cache, str]] = []
        for cache, answer in answers:
            found = answer.result()
            if found is None:
                continue
            joined = said[found.line] = found.signed(*said.get(found.line, found).signatures)
            reason = self._fetcher.trust.refusal(joined.line, joined.signatures, require=self._fetcher.trust.require)
            if reason is None:
                return joined, _holders(answers, joined.line)
            refused.append((cache, reason))
        for cache, reason in refused:
            self._bad(cache, str(recipe), f"does not count: {reason}")
        return None

    def substitute(self, recipe: Digest) -> Substituted | None:
        """Make what the recipe gives present, from whichever cache can; None for a miss."""

        def bring(cache: Cache, path: StorePath) -> Substituted:
            pulled = pull(self._fetcher, cache, [path], recipe=recipe)
            with self._lock:
                self.moved_bytes += pulled.moved_bytes
                self.saved_bytes += pulled.saved_bytes
            store = self._fetcher.store
            if store.realisation(recipe) != path:
                store.realised_again(path, recipe)
            return Substituted(path=path, cache=cache.name, pulled=pulled)

        return self._from_any(recipe, bring)

    def foresee(self, recipe: Digest) -> StorePath | None:
        """What `substitute` would make present, and what it would move, counted once; nothing is changed."""

        def look(cache: Cache, path: StorePath) -> StorePath:
            records = missing_records(self._fetcher, cache, (path,))
            self._fetcher.prepare({record.path.name for record in records})
            new = [record for record in records if record.path not in self._foreseen]
            moved = sum(self._pool.map(lambda record: self._fetcher.foresee(cache, record), new))
            with self._lock:
                self.moved_bytes += moved
                self._foreseen.update(record.path for record in new)
            return path

        return self._from_any(recipe, look)

    def _from_any(self, recipe: Digest, work: Callable[[Cache, StorePath], T]) -> T | None:
        """What `work` makes of the object of a recipe in the first cache that does not fail; None for a miss."""
        found = self.find(recipe)
        if found is None:
            return None
        realisation, holders = found
        for cache in holders:
            try:
                return work(cache, realisation.path)
            except (CacheError, ArchiveError) as error:
                self._failed(cache, str(recipe), error)
        return None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, cache: Cache, recipe: Digest) -> Realisation | None:
        if (cache.url, _DOWN) in self._misses or (cache.url, str(recipe)) in self._misses:
            return None
        try:
            found = cache.realisation(recipe) if cache.exists() else None
        except CacheError as error:
            self._failed(cache, str(recipe), error)
            return None
        if found is None:
            self._misses.add(cache.url, str(recipe), ABSENT_SECONDS)
        return found

    def _failed(self, cache: Cache, key: str, error: CacheError | ArchiveError) -> None:
        if isinstance(error, TransportError):
            self._misses.add(cache.url, _DOWN, DOWN_SECONDS)
            self._say(cache.name, f"not asked for a while: {error.message}")
        else:
            self._bad(cache, key, error.message)

    def _bad(self, cache: Cache, key: str, reason: str) -> None:
        self._misses.add(cache.url, key, BAD_SECONDS)
        self._say(cache.name, reason)

    def _say(self, subject: str, reason: str, hint: str | None = None) -> None:
        with self._lock:
            if (subject, reason) in self._said:
                return
            self._said.add((subject, reason))
        self._fetcher.report.warn(f"{subject}: {reason}", hint)


def _holders(answers: Sequence[tuple[Cache, Future[Realisation | None]]], line: bytes) -> Iterator[Cache]:
    """The caches that say this, each waited for only when it is its turn."""
    for cache, answer in answers:
        found = answer.result()
        if found is not None and found.line == line:
            yield cache
