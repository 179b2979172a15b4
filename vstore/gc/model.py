"""What a collection is told and what it answers, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from vstore.objects import StorePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which of the dead may go, and how many. Without any limit all go.

    Spared are objects registered at `fresh_since` or later, and objects used on `used_since` or later. Goals end the
    work when they are reached: `max_size` for the bytes in the store, `to_free` for the bytes to be freed, the
    greater of the two. `max_freed` ends it whatever the goals say.
    """

    fresh_since: datetime | None = None
    used_since: date | None = None
    max_size: int | None = None
    to_free: int | None = None
    max_freed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A dead object with what speaks for taking it; `seconds` is what building it took, None if unknown."""

    path: StorePath
    size_bytes: int
    registered_at: datetime
    used_on: date
    used_by: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`victims` in the order in which they can be deleted: referrers before what they refer to.

    `spared` counts the dead that stay: too fresh or too lately used, beyond the goal, another user's, or kept by one
    of these. `left` are those that stay only because they are another user's. `litter` is what killed processes left,
    as places relative to the root; its bytes are not counted.
    """

    victims: tuple[Victim, ...]
    live: int
    spared: int
    freed_bytes: int
    litter: tuple[str, ...] = ()
    left: tuple[StorePath, ...] = ()

    @property
    def dead(self) -> tuple[StorePath, ...]:
        return tuple(victim.path for victim in self.victims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection deleted; `litter` is what it removed of killed processes, relative to the root.

    `left` are dead objects of other users, which only they or root can remove.
    """

    victims: tuple[Victim, ...]
    litter: tuple[str, ...]
    left: tuple[StorePath, ...] = ()

    @property
    def deleted(self) -> tuple[StorePath, ...]:
        return tuple(victim.path for victim in self.victims)

    @property
    def freed_bytes(self) -> int:
        return sum(victim.size_bytes for victim in self.victims)
