"""Bringing objects with all that they refer to: records in wide steps, archives several at a time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import StorePath, bottom_up
from vstore.remote.cache import Cache
from vstore.remote.fetch import Fetched, Fetcher
from vstore.remote.model import ObjectRecord

QUESTIONS_AT_ONCE = 64
_ARCHIVES_AT_ONCE = 4
_MOST_OBJECTS = 10_000  # of one closure; a cache that lies could name new ones for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull brought. `missing` were not here before; `saved_bytes` had not to be moved."""

    fetched: tuple[Fetched, ...]

    @property
    def moved_bytes(self) -> int:
        return sum(one.moved_bytes for one in self.fetched)

    @property
    def saved_bytes(self) -> int:
        return sum(one.saved_bytes for one in self.fetched)


def pull(fetcher: Fetcher, cache: Cache, tops: Iterable[StorePath], *, recipe: Digest | None = None) -> Pulled:
    """Make these and their closures present. `recipe`, which the caller has verified, is what gave the only top.

    Raises CacheError when the cache lacks one of them; what came before it is whole and stays.
    """
    wanted = tuple(tops)
    records = missing_records(fetcher, cache, wanted)
    if not records:
        return Pulled(fetched=())
    fetcher.prepare({record.path.name for record in records})
    with ThreadPoolExecutor(_ARCHIVES_AT_ONCE) as pool:
        running: dict[StorePath, Future[Fetched | None]] = {}
        for record in records:  # lowest first, so whoever waits for a reference waits for one that has started
            below = [running[path] for path in record.references if path in running]
            given = recipe if record.path in wanted else None
            running[record.path] = pool.submit(_fetch, fetcher, cache, record, given, below)
        try:
            fetched = [future.result() for future in running.values()]
        except BaseException as error:
            if not isinstance(error, Exception):  # interrupted: do not wait for what is on its way
                fetcher.stop.set()
            for future in running.values():
                future.cancel()
            raise
    return Pulled(fetched=tuple(one for one in fetched if one is not None))


def _fetch(
    fetcher: Fetcher, cache: Cache, record: ObjectRecord, recipe: Digest | None, below: list[Future[Fetched | None]]
) -> Fetched | None:
    def references_ready() -> None:
        for future in below:
            future.result()

    found = fetcher.fetch(cache, record, recipe=recipe, references_ready=references_ready)
    if found is not None:
        fetcher.report.finished(record.path.name, "fetched", found.seconds)
    return found


def missing_records(fetcher: Fetcher, cache: Cache, tops: tuple[StorePath, ...]) -> list[ObjectRecord]:
    """The records of all that is not in the store, lowest first; a step asks for a whole level at once."""
    found: dict[StorePath, ObjectRecord] = {}
    level = set(tops)
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        while level:
            if len(found) + len(level) > _MOST_OBJECTS:
                raise CacheError(f"{cache.name} names more than {_MOST_OBJECTS} objects for one")
            fetcher.store.temp_root(*level)
            asked = sorted(path for path in level if not fetcher.store.is_valid(path))
            for path, record in zip(asked, pool.map(cache.object, asked), strict=True):
                if record is None:
                    raise CacheError(f"{cache.name} does not have {path}")
                found[path] = record
            level = {path for one in asked for path in found[one].references} - found.keys()
    try:
        return [found[path] for path in bottom_up({path: record.references for path, record in found.items()})]
    except ValueError as error:
        raise CacheError(f"{cache.name} names objects that refer to each other in a circle") from error
