"""The values of a collection: its policy, its plan and its result."""

from __future__ import annotations

from datetime import date, datetime

from vstore.objects import StorePath
from vstore.values import frozen


@frozen
class CollectionPolicy:
    """The limits of a collection: the dead objects that it may delete. Without any limit it deletes all.

    Spared are objects registered at `fresh_since` or later, and objects used on `used_since` or later. The collection
    ends when all goals are reached: the store's root takes `max_size` bytes on the disk, its file system has
    `until_free` bytes free. It ends in any case when `max_freed` bytes are freed.

    Of the wheels in uv's caches that no object shares, those unshared since `cache_unshared_since` go, then the longest
    unshared until all of them take no more than `cache_max_size` and the goals are reached; None for both leaves the
    caches alone. `clean_cache` empties them.
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
        """Return whether wheels that no object shares may be removed from uv's caches."""
        wanted = self.cache_unshared_since is not None or self.cache_max_size is not None
        return wanted and not self.clean_cache


@frozen
class Victim:
    """A dead object to delete, and the reasons.

    `size_bytes` is the content of its files, even if other objects share them. `build_seconds` is None if it is
    unknown.
    """

    path: StorePath
    size_bytes: int
    registered_at: datetime
    used_on: date
    used_by: str
    build_seconds: float | None


@frozen
class CollectionPlan:
    """The plan of a collection.

    `victims` are in the order of deletion, referrers before the objects that they refer to. `live` counts the live
    objects. `spared` counts the dead ones that stay: added or used too recently, not needed to reach the goal, another
    user's, or referred to by one of these. `skipped` are those that stay only because another user owns them.

    `orphans` are the files and folders that killed processes left, relative to the root. `unclear` look like orphans,
    but stay because objects of the index are missing on disk. `wheels` are the wheels to remove from uv's caches, each
    as ``NAME/VERSION-TAG``. `freed_bytes` is the disk space that becomes free.
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
        """The `orphans` that are packed archives."""
        return _archives(self.orphans)

    @property
    def dead(self) -> tuple[StorePath, ...]:
        """The store paths of the victims."""
        return tuple(victim.path for victim in self.victims)


@frozen
class Collected:
    """The result of a collection. The fields are as in `CollectionPlan`; `freed_bytes` was counted at each unlink."""

    victims: tuple[Victim, ...] = ()
    spared: int = 0
    orphans: tuple[str, ...] = ()
    freed_bytes: int = 0
    skipped: tuple[StorePath, ...] = ()
    wheels: tuple[str, ...] = ()

    @property
    def archives(self) -> tuple[str, ...]:
        """The `orphans` that are packed archives."""
        return _archives(self.orphans)

    @property
    def deleted(self) -> tuple[StorePath, ...]:
        """The store paths of the victims."""
        return tuple(victim.path for victim in self.victims)


def _archives(places: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(place for place in places if place.startswith("cache/archives/"))
