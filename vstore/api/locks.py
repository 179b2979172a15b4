"""Locks: whether they are valid, selecting layers, and locking.

Example::

    from pathlib import Path
    from vstore.api import locks, stores

    project = locks.Project.load(Path("spec.toml"))
    with stores.open_store() as store:
        for env_name, locked in locks.lock(store, project).items():
            print(env_name, [package.name for package in locked.packages])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from vstore.api._malicious import refusing_malicious
from vstore.lock import LockedLayer, LockedPackage, LockOptions, Project, deployed_name
from vstore.lock.staleness import stale_reasons
from vstore.lock.upgrades import ExactlyRequired, exactly_required
from vstore.lock.wheels import missing_wheels
from vstore.profile.diff import Change, compare
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.locking import lock_layers, selection_request, stale_error
from vstore.realise.session import Session
from vstore.reporter import Reporter
from vstore.spec.select import Operation, Selection, SelectionRequest, select_layers
from vstore.store import Store
from vstore.target import Target

__all__ = [
    "Change",
    "ExactlyRequired",
    "LockOptions",
    "LockedLayer",
    "LockedPackage",
    "Operation",
    "Project",
    "Selection",
    "SelectionRequest",
    "compare_locks",
    "deployed_name",
    "exactly_required",
    "lock",
    "missing_wheels",
    "select_layers",
    "selection_request",
    "stale_error",
    "stale_reasons",
]


def lock(
    store: Store,
    project: Project,
    selection: Selection | None = None,
    options: LockOptions | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Mapping[str, LockedLayer]:
    """Lock the selected layers, by default all whose locks are not valid. Return the locks by env name.

    `environment` has uv's settings, the process's own if None. Raises LockError, ToolError or StoreError.
    """
    options = replace(options or LockOptions(), target=Target.host())
    session = Session.open(store, offline=options.offline, environment=environment, reporter=reporter)
    session = session.with_settings_of(project.spec)
    request = SelectionRequest(lock=Operation.LOCK_IF_NEEDED)
    selection = selection or select_layers(project.spec, request, Target.host())
    session = refusing_malicious(session)
    return lock_layers(session, project, selection, options, Interpreters(session))


def compare_locks(old: Iterable[LockedLayer], new: Iterable[LockedLayer]) -> tuple[Change, ...]:
    """Return the packages that the new locks add, remove or have at another version than the old ones."""
    return compare(_versions(old), _versions(new))


def _versions(locks: Iterable[LockedLayer]) -> dict[str, dict[str, str]]:
    """Return the versions by layer and package; those of several platforms are joined by a comma."""
    found: dict[str, dict[str, set[str]]] = {}
    for one in locks:
        packages = found.setdefault(one.env_name, {})
        for package in one.packages:
            if not package.shared:
                packages.setdefault(package.name, set()).add(package.version)
    return {env: {name: ", ".join(sorted(versions)) for name, versions in one.items()} for env, one in found.items()}
