"""Substitute recipes by objects from caches. A cache that fails is a miss, never an error.

All caches are queried at the same time, for all known recipes. The answer of the first cache, in configured order, that
enough trusted keys have signed is taken. A miss is remembered for a while. Each problem is reported once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from vstore.digest import Digest
from vstore.errors import ArchiveError, CacheError
from vstore.objects import StorePath
from vstore.remote.records.cache import MAX_REQUESTS, Cache
from vstore.remote.records.channels import trust_hint
from vstore.remote.records.model import Realisation
from vstore.remote.sync.fetch import DependencyError, Fetcher
from vstore.remote.sync.negative_cache import ABSENT_SECONDS, BAD_SECONDS, DOWN_SECONDS, NegativeCache
from vstore.remote.sync.pull import Pulled, PullPool
from vstore.remote.transport.protocol import AccessDeniedError, ThrottledError, TransportError
from vstore.store import Provenance
from vstore.values import frozen

_DOWN = "down"
_Answers = Sequence[tuple[Cache, Future[Realisation | None]]]


@frozen(kw_only=False)
class _Trusted:
    """A realisation that trusted keys have signed, and the answer of each cache."""

    realisation: Realisation
    answers: _Answers

    def holders(self) -> Iterator[Cache]:
        """Yield the caches with this realisation. Each answer is awaited only when it is needed."""
        for cache, answer in self.answers:
            found = answer.result()
            if found is not None and found.fingerprint == self.realisation.fingerprint:
                yield cache


class CacheSubstituter:
    """Finds and fetches the objects of recipes. Made once per run. Safe for several threads.

    With `dry_run` nothing is fetched: `pulled` then returns an estimate.
    """

    def __init__(self, caches: Sequence[Cache], fetcher: Fetcher, *, dry_run: bool = False) -> None:
        self.caches = tuple(caches)
        self._fetcher = fetcher
        self._dry_run = dry_run
        self._negative = NegativeCache(fetcher.store.layout.negative_cache)
        self._found: dict[Digest, _Trusted | None] = {}
        self._started: dict[Digest, Cache] = {}
        self._access_denied: set[Cache] = set()
        self._reported: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._requests = ThreadPoolExecutor(MAX_REQUESTS)
        self._pulls = PullPool(fetcher, dry_run=dry_run)
        if caches and not fetcher.trust.keys:
            self._report("caches", "not used, because no key is trusted", self._trust_hint)
            self.caches = ()

    @property
    def has_caches(self) -> bool:
        """Whether there is a cache to ask."""
        return bool(self.caches)

    def find(self, recipes: Iterable[Digest]) -> dict[Digest, StorePath]:
        """Return the objects that trusted keys have signed for these recipes; a miss is omitted."""
        recipes = list(recipes)
        answers = {
            recipe: [(cache, self._requests.submit(self._request, cache, recipe)) for cache in self.caches]
            for recipe in recipes
            if recipe not in self._found
        }
        self._found |= {recipe: self._choose(recipe, given) for recipe, given in answers.items()}
        return {recipe: found.realisation.path for recipe in recipes if (found := self._found[recipe]) is not None}

    def start(self, recipes: Iterable[Digest]) -> None:
        """Start to fetch the objects of these recipes, from all caches at the same time. Failures show in `result`."""
        wanted: dict[Cache, dict[StorePath, Digest]] = {}
        for recipe, path in self.find(recipes).items():
            if (cache := next(self._holders(recipe), None)) is not None:
                wanted.setdefault(cache, {})[path] = recipe
        started = [
            (cache, by_path, self._requests.submit(self._pulls.start, cache, by_path, by_path))
            for cache, by_path in wanted.items()
        ]
        for cache, by_path, answer in started:
            try:
                missing = answer.result()
            except CacheError:
                continue
            self._started |= {by_path[path]: cache for path in missing if path in by_path}

    def result(self, recipe: Digest) -> StorePath | None:
        """Wait for the object of a recipe that was given to `start`; None if it failed or was not started."""
        cache, found = self._started.pop(recipe, None), self._found.get(recipe)
        if cache is None or found is None:
            return None
        try:
            self._pulls.wait(found.realisation.path)
        except DependencyError:
            return None
        except (CacheError, ArchiveError) as error:
            self._failed(cache, str(recipe), error)
            return None
        return self._record(recipe, found.realisation.path)

    def substitute(self, recipe: Digest) -> StorePath | None:
        """Make the object of a recipe present, from any cache; None for a miss."""
        for path in self.find([recipe]).values():
            for cache in self._holders(recipe):
                try:
                    self._pulls.wait(*self._pulls.start(cache, [path], {path: recipe}))
                    return self._record(recipe, path)
                except (CacheError, ArchiveError) as error:
                    self._failed(cache, str(recipe), error)
        return None

    def pulled(self) -> Pulled:
        """Return the objects that were fetched, or would be."""
        return self._pulls.pulled()

    @property
    def fetched_bytes(self) -> int:
        """The bytes fetched so far; in a dry run the most that would be."""
        return self.pulled().fetched_bytes

    def close(self) -> None:
        """Cancel the fetches that have not started."""
        self._requests.shutdown(wait=False, cancel_futures=True)
        self._pulls.close()

    def _holders(self, recipe: Digest) -> Iterator[Cache]:
        found = self._found[recipe]
        return (cache for cache in found.holders() if not self._is_miss(cache, recipe)) if found else iter(())

    def _record(self, recipe: Digest, path: StorePath) -> StorePath:
        store = self._fetcher.store
        if not self._dry_run and store.realisation(recipe) != path:
            store.add_provenance(path, Provenance(recipe=recipe))
        return path

    def _choose(self, recipe: Digest, answers: _Answers) -> _Trusted | None:
        """Return the first trusted answer. The signatures of all caches count, so a wrong answer hides no other."""
        merged: dict[bytes, Realisation] = {}
        rejected: list[tuple[Cache, str]] = []
        for cache, answer in answers:
            found = answer.result()
            if found is None:
                continue
            other = merged.get(found.fingerprint)
            joined = found if other is None else replace(found, signatures=(*other.signatures, *found.signatures))
            merged[found.fingerprint] = joined
            reason = self._fetcher.trust.rejection(joined)
            if reason is None:
                return _Trusted(found, answers)
            rejected.append((cache, reason))
        for cache, reason in rejected:
            self._bad(cache, str(recipe), f"a realisation is not trusted: {reason}", self._trust_hint)
        return None

    def _is_miss(self, cache: Cache, recipe: Digest) -> bool:
        entries = (cache.url, _DOWN), (cache.url, str(recipe))
        return cache in self._access_denied or any(entry in self._negative for entry in entries)

    def _request(self, cache: Cache, recipe: Digest) -> Realisation | None:
        if self._is_miss(cache, recipe):
            self._fetcher.reporter.detail(
                f"{cache.name}: not asked for recipe {recipe.short}, as it failed or lacked it"
            )
            return None
        try:
            found = cache.realisation(recipe, self._fetcher.trust) if cache.exists() else None
        except CacheError as error:
            self._failed(cache, str(recipe), error)
            return None
        answer = "nothing" if found is None else str(found.path)
        self._fetcher.reporter.detail(f"{cache.name}: asked for recipe {recipe.short}: {answer}")
        if found is None:
            self._negative.add(cache.url, str(recipe), ABSENT_SECONDS)
        return found

    def _failed(self, cache: Cache, key: str, error: CacheError | ArchiveError) -> None:
        if isinstance(error, AccessDeniedError):  # it says nothing about the content, so it is not remembered on disk
            self._access_denied.add(cache)
            self._report(cache.name, error.message, error.hint)
        elif isinstance(error, TransportError):
            wait = error.wait_seconds if isinstance(error, ThrottledError) else None
            self._negative.add(cache.url, _DOWN, DOWN_SECONDS if wait is None else min(wait, BAD_SECONDS))
            self._report(cache.name, f"not used for a while: {error.message}")
        else:
            self._bad(cache, key, error.message)

    @property
    def _trust_hint(self) -> str:
        return trust_hint(self._fetcher.store.layout)

    def _bad(self, cache: Cache, key: str, reason: str, hint: str | None = None) -> None:
        self._negative.add(cache.url, key, BAD_SECONDS)
        self._report(cache.name, reason, hint)

    def _report(self, subject: str, reason: str, hint: str | None = None) -> None:
        with self._lock:
            if (subject, reason) in self._reported:
                return
            self._reported.add((subject, reason))
        self._fetcher.reporter.warn(f"{subject}: {reason}", hint)
