"""Upkeep: whether all is well in a store, putting right what is not, sharing equal files, making the index anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vstore.api.stores import uv_of
from vstore.reporter import NullReporter, Reporter
from vstore.store import Store
from vstore.store.health.optimise import Optimised, optimise
from vstore.store.health.verify import Problem, verify

__all__ = ["Optimised", "Problem", "optimise", "reindex", "repair", "verify"]


def repair(
    store: Store,
    problems: Sequence[Problem],
    *,
    offline: bool = False,
    jobs: int = 1,
    environment: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
    now: datetime | None = None,
) -> list[Problem]:
    """Put right what `verify` found, in one exchange each; returns what is wrong still.

    In place where only modes, times or a manifest are wrong, else from a configured cache, else built again: from the
    recipe in its manifest, or from the spec of a generation that holds it, if spec and lock are still as they were.
    """
    from vstore.realise.repair import repair
    from vstore.realise.session import Session

    uv = uv_of(store, offline=offline, environment=environment)
    session = Session(store=store, uv=uv, reporter=reporter or NullReporter(), now=now or datetime.now(UTC), jobs=jobs)
    return repair(session, list(problems))


def reindex(root: Path, reporter: Reporter | None = None) -> int:
    """Rebuild the index of the store at `root` from its manifests and profiles, and return the number of objects.

    An object that cannot be indexed is left out with a warning. Raises BusyError while another process writes to the
    store.
    """
    from vstore.store.health.reindex import reindex

    return reindex(root, reporter)
