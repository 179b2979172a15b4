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

from collections.abc import Mapping
from dataclasses import replace

from vstore.lock import LockedLayer, LockedPackage, LockOptions, Project, deployed_name
from vstore.lock.staleness import stale_reasons
from vstore.lock.wheels import missing_wheels
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.locking import lock_layers, selection_request, stale_error
from vstore.realise.session import Session
from vstore.reporter import Reporter
from vstore.spec.select import Operation, Selection, SelectionRequest, select_layers
from vstore.store import Store
from vstore.target import Target

__all__ = [
    "LockOptions",
    "LockedLayer",
    "LockedPackage",
    "Operation",
    "Project",
    "Selection",
    "SelectionRequest",
    "deployed_name",
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
    return lock_layers(session, project, selection, options, Interpreters(session))
