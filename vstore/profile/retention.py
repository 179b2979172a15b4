"""Which generations a policy lets go: a pure decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vstore.profile.model import Generation
from vstore.values import frozen


@frozen
class Retention:
    """Limits on generations; one goes only when all that are given let it go, and none when none is given.

    `keep` counts the current one: the newest ``keep - 1`` others stay. Use is known by the day, so what was used
    today is never unused.
    """

    keep: int | None = None
    older_than: timedelta | None = None
    unused_for: timedelta | None = None


def expired(history: Sequence[Generation], limits: Retention, *, now: datetime) -> tuple[int, ...]:
    """Numbers of the generations to forget, oldest first; never the current one."""
    if limits == Retention():
        return ()
    others = sorted((one for one in history if not one.current), key=lambda one: one.number, reverse=True)
    beyond = others if limits.keep is None else others[max(limits.keep - 1, 0) :]
    return tuple(sorted(one.number for one in beyond if _out_of_time(one, limits, now)))


def _out_of_time(one: Generation, limits: Retention, now: datetime) -> bool:
    if limits.older_than is not None and now - one.created_at <= limits.older_than:
        return False
    return limits.unused_for is None or (one.used_on or one.created_at.date()) < (now - limits.unused_for).date()
