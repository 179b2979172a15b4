"""The retention policy of generations (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vstore.store import Generation
from vstore.values import frozen


@frozen
class Retention:
    """Limits on generations. A generation expires when all given limits allow it; without limits none expires.

    `keep` includes the current generation: the newest ``keep - 1`` others stay. Use is recorded by the day, so a
    generation that was used today never counts as unused.
    """

    keep: int | None = None
    older_than: timedelta | None = None
    unused_for: timedelta | None = None


def expired(history: Sequence[Generation], limits: Retention, *, now: datetime) -> tuple[int, ...]:
    """Return the numbers of the expired generations, oldest first. The current one never expires."""
    if limits == Retention():
        return ()
    others = sorted((one for one in history if not one.current), key=lambda one: one.number, reverse=True)
    beyond = others if limits.keep is None else others[max(limits.keep - 1, 0) :]
    return tuple(sorted(one.number for one in beyond if _is_beyond_age(one, limits, now)))


def _is_beyond_age(one: Generation, limits: Retention, now: datetime) -> bool:
    if limits.older_than is not None and now - one.created_at <= limits.older_than:
        return False
    return limits.unused_for is None or (one.used_on or one.created_at.date()) < (now - limits.unused_for).date()
