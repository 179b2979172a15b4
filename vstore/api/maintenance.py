"""Maintenance of a store: verify, repair, share equal files, and rebuild the index.

Example::

    from vstore.api import maintenance, stores

    with stores.open_store() as store:
        checked, problems = maintenance.verify(store, contents=True)
        for problem in maintenance.repair(store, problems):
            print("not repaired:", problem.path, problem.problem)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.reporter import Reporter
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
) -> list[Problem]:
    """Repair the problems that `verify` found. Return those that remain.

    An object is repaired in place if only modes, times or its manifest are wrong, else fetched from a configured
    cache, else built again: from the recipe in its manifest, or from an unchanged spec of a generation.
    """
    from vstore.realise.repair import repair
    from vstore.realise.session import Session

    session = Session.open(store, offline=offline, environment=environment, jobs=jobs, reporter=reporter)
    return repair(session, list(problems))


def reindex(root: Path, reporter: Reporter | None = None) -> int:
    """Rebuild the index of the store at `root` from its manifests and profiles, and return the number of objects.

    An object that cannot be indexed is skipped with a warning. Raises BusyError while another process writes to the
    store.
    """
    from vstore.store.health.reindex import reindex

    return reindex(root, reporter)
