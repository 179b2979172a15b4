"""What a collection is told and what it answers, as values."""

from __future__ import annotations

from datetime import date, datetime

from vstore.objects import StorePath
from vstore.values import frozen


@frozen
class CollectionPolicy:
    """Which of the dead may go, and how many. Without any limit all go.

    Spared are objects registered at `fresh_since` or later, and objects used on `used_since` or later. Goals end the
    work when all of them are reached: `max_size` for the bytes that the store's root takes on the disk, `until_free`
    for the bytes that are free on its file system. `max_freed` ends it whatever the goals say.

    Of the wheels in uv's caches that no object shares, those go that have been unshared at `cache_unshared_since`, then
    the longest unshared until all of them hold no more than `cache_max_size` and the goals are reached; None of both
    leaves the caches alone. `clean_cache` empties them.
    """

    fresh_since: datetime | None = None
    used_since: date | None = None
    max_size: int | None = None
    until_free: int | None = None
    max_freed: int | None = None
    cache_unshared_since: datetime | None = None
    cache_max_size: int | None = None
    clean_cache: bool = False

    @property
    def takes_wheels(self) -> bool:
        """Return whether wheels in uv's caches may go, if no object shares them."""
        wanted = self.cache_unshared_since is not None or self.cache_max_size is not None
        return wanted and not self.clean_cache


@frozen
class Victim:
    """A dead object with what speaks for taking it.

    `size_bytes` is the content of its files, whoever else shares them. `seconds` is what building it took, None if
    unknown.
    """

    path: StorePath
    size_bytes: int
    registered_at: datetime
    used_on: date
    used_by: str
    seconds: float | None


@frozen
class CollectionPlan:
    """`victims` in the order in which they can be deleted: referrers before what they refer to.

    `spared` counts the dead that stay: too fresh or too lately used, beyond the goal, another user's, or kept by one
    of these. `skipped` are those that stay only because they are another user's. `orphans` is what killed processes
    left, as places relative to the root; `unclear` is what looks like that, and stays while objects are missing.
    `wheels` are those that go from uv's caches, as names for people. `freed_bytes` is what the disk gets back of all
    this.
    """

    victims: tuple[Victim, ...]
    live: int
    spared: int
    freed_bytes: int
    orphans: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    skipped: tuple[StorePath, ...] = ()
    wheels: tuple[str, ...] = ()

    @property
    def archives(self) -> tuple[str, ...]:
        """Those of `orphans` that `vstore serve` packed."""
        return tuple(place for place in self.orphans if place.startswith("cache/serve/"))

    @property
    def dead(self) -> tuple[StorePath, ...]:
        return tuple(victim.path for victim in self.victims)


@frozen
class Collected:
    """What a collection deleted; `orphans` is what it removed of killed processes, relative to the root.

    `wheels` are those taken out of uv's caches, as names for people. `freed_bytes` is what the disk got back, counted
    at each unlink. `skipped` are dead objects of other users, which only they or root can remove.
    """

    victims: tuple[Victim, ...]
    orphans: tuple[str, ...]
    freed_bytes: int
    skipped: tuple[StorePath, ...] = ()
    wheels: tuple[str, ...] = ()

    @property
    def archives(self) -> tuple[str, ...]:
        """Those of `orphans` that `vstore serve` packed."""
        return tuple(place for place in self.orphans if place.startswith("cache/serve/"))

    @property
    def deleted(self) -> tuple[StorePath, ...]:
        return tuple(victim.path for victim in self.victims)
