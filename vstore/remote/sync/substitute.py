"""From recipes to objects, by asking caches: whatever is wrong with them is a miss, never an error.

All caches are asked at once, for as many recipes as are known. The first of them, in configured order, whose answer
enough trusted builders have signed is taken. A miss is remembered for a while; each thing that is wrong is said once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from vstore.digest import Digest
from vstore.errors import ArchiveError, CacheError
from vstore.objects import StorePath
from vstore.remote.records.cache import QUESTIONS_AT_ONCE, Cache
from vstore.remote.records.model import Realisation, Signature
from vstore.remote.sync.fetch import DependencyFailed, Fetcher
from vstore.remote.sync.negative_cache import ABSENT_SECONDS, BAD_SECONDS, DOWN_SECONDS, Misses
from vstore.remote.sync.pull import Pulled, PullPool
from vstore.remote.transport.protocol import Busy, Refused, TransportError
from vstore.store import Provenance
from vstore.values import frozen

_DOWN = "down"
_Answers = Sequence[tuple[Cache, Future[Realisation | None]]]


@frozen(kw_only=False)
class _Found:
    """What trusted builders say that a recipe gives, and what each cache answered."""

    realisation: Realisation
    answers: _Answers

    def holders(self) -> Iterator[Cache]:
        """The caches that say so, each waited for only when it is its turn."""
        for cache, answer in self.answers:
            found = answer.result()
            if found is not None and found.line == self.realisation.line:
                yield cache


class Substituter:
    """Asks caches for what recipes give. Safe for several threads; made once per run.

    When `dry`, nothing is brought: what would be, and how many bytes that would move, is only looked at.
    """

    def __init__(self, caches: Sequence[Cache], fetcher: Fetcher, *, dry: bool = False) -> None:
        self.caches = tuple(caches)
        self._fetcher = fetcher
        self._dry = dry
        self._misses = Misses(fetcher.store.layout.negative_cache)
        self._found: dict[Digest, _Found | None] = {}
        self._begun: dict[Digest, Cache] = {}
        self._refusing: set[Cache] = set()
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(QUESTIONS_AT_ONCE)
        self._bringer = PullPool(fetcher, dry=dry)
        if caches and not fetcher.trust.keys:
            self._say("caches", "no key is trusted, so nothing is taken from them", "set `trusted_keys` in config.toml")
            self.caches = ()

    @property
    def has_caches(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.caches)

    def find(self, recipes: Iterable[Digest]) -> dict[Digest, StorePath]:
        """What these give by the word of trusted builders, all asked for at once; a miss is left out."""
        recipes = list(recipes)
        answers = {
            recipe: [(cache, self._pool.submit(self._ask, cache, recipe)) for cache in self.caches]
            for recipe in recipes
            if recipe not in self._found
        }
        self._found |= {recipe: self._believed(recipe, given) for recipe, given in answers.items()}
        return {recipe: found.realisation.path for recipe in recipes if (found := self._found[recipe]) is not None}

    def start(self, recipes: Iterable[Digest]) -> None:
        """Start to bring what these give, from all caches at once. What fails of it is left to `substitute`."""
        wanted: dict[Cache, dict[StorePath, Digest]] = {}
        for recipe, path in self.find(recipes).items():
            if (cache := next(self._holders(recipe), None)) is not None:
                wanted.setdefault(cache, {})[path] = recipe
        begun = [
            (cache, given, self._pool.submit(self._bringer.begin, cache, given, given))
            for cache, given in wanted.items()
        ]
        for cache, given, answer in begun:
            try:
                missing = answer.result()
            except CacheError:
                continue
            self._begun |= {given[path]: cache for path in missing if path in given}

    def result(self, recipe: Digest) -> StorePath | None:
        """Wait for what `begin` started to bring for it; None if it did not, or that failed."""
        cache, found = self._begun.pop(recipe, None), self._found.get(recipe)
        if cache is None or found is None:
            return None
        try:
            self._bringer.wait(found.realisation.path)
        except DependencyFailed:
            return None
        except (CacheError, ArchiveError) as error:
            self._failed(cache, str(recipe), error)
            return None
        return self._brought(recipe, found.realisation.path)

    def substitute(self, recipe: Digest) -> StorePath | None:
        """Make what the recipe gives present, from whichever cache can; None for a miss."""
        for path in self.find([recipe]).values():
            for cache in self._holders(recipe):
                try:
                    self._bringer.wait(*self._bringer.begin(cache, [path], {path: recipe}))
                    return self._brought(recipe, path)
                except (CacheError, ArchiveError) as error:
                    self._failed(cache, str(recipe), error)
        return None

    @property
    def moved_bytes(self) -> int:
        """The bytes fetched so far; in a dry run the most that would be."""
        return self.pulled().moved_bytes

    def pulled(self) -> Pulled:
        """What was brought, or would be."""
        return self._bringer.pulled()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._bringer.close()

    def _holders(self, recipe: Digest) -> Iterator[Cache]:
        found = self._found[recipe]
        return (cache for cache in found.holders() if not self._is_miss(cache, recipe)) if found else iter(())

    def _brought(self, recipe: Digest, path: StorePath) -> StorePath:
        store = self._fetcher.store
        if not self._dry and store.realisation(recipe) != path:
            store.add_provenance(path, Provenance(recipe=recipe))
        return path

    def _believed(self, recipe: Digest, answers: _Answers) -> _Found | None:
        said: dict[bytes, tuple[Signature, ...]] = {}  # of all caches: a wrong one hides no other
        refused: list[tuple[Cache, str]] = []
        for cache, answer in answers:
            found = answer.result()
            if found is None:
                continue
            joined = said[found.line] = (*said.get(found.line, ()), *found.signatures)
            reason = self._fetcher.trust.refusal(found.line, joined)
            if reason is None:
                return _Found(found, answers)
            refused.append((cache, reason))
        for cache, reason in refused:
            self._bad(cache, str(recipe), f"does not count: {reason}")
        return None

    def _is_miss(self, cache: Cache, recipe: Digest) -> bool:
        return cache in self._refusing or (cache.url, _DOWN) in self._misses or (cache.url, str(recipe)) in self._misses

    def _ask(self, cache: Cache, recipe: Digest) -> Realisation | None:
        if self._is_miss(cache, recipe):
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
        if isinstance(error, Refused):  # which says nothing of what is there: never remembered on disk
            self._refusing.add(cache)
            self._say(cache.name, error.message, error.hint)
        elif isinstance(error, TransportError):
            wait = error.wait_seconds if isinstance(error, Busy) else None
            self._misses.add(cache.url, _DOWN, DOWN_SECONDS if wait is None else min(wait, BAD_SECONDS))
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
        self._fetcher.reporter.warn(f"{subject}: {reason}", hint)
