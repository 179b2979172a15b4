"""Which generations a policy lets go: a pure decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vstore.profile.model import Generation


def expired(
    history: Sequence[Generation], *, keep: int | None = None, older_than: timedelta | None = None, now: datetime
) -> tuple[int, ...]:
    """Numbers of the generations to forget, oldest first; never the current one.

    `keep` counts the current one: the newest ``keep - 1`` others stay. With both limits a generation goes
    only when both let it go.
    """
    if keep is None and older_than is None:
        return ()
    others = sorted((g for g in history if not g.current), key=lambda g: g.number, reverse=True)
    beyond = others if keep is None else others[max(keep - 1, 0) :]
    return tuple(sorted(g.number for g in beyond if older_than is None or now - g.created_at > older_than))
