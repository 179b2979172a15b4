"""Realising: from a spec to a stack in the store.

Example::

    from pathlib import Path
    from vstore.api import realising, stores

    with stores.open_store() as store:
        result = realising.realise(store, realising.Request(spec=Path("spec.toml")))
        print(result.profile, result.generation, result.stack)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import find_noop
from vstore.reporter import NullReporter, Reporter
from vstore.spec import check_requirement_syntax, load
from vstore.store import Store

if TYPE_CHECKING:
    from vstore.lock import Project

__all__ = [
    "Origin",
    "Realised",
    "RealisedLayer",
    "Request",
    "realise",
]


def realise(store: Store, request: Request, *, reporter: Reporter | None = None) -> Realised:
    """Lock a spec if needed, realise its layers and its stack, and switch the profile to it.

    A no-op is found without loading the code that builds. Raises SpecError, LockError, BuildError, ToolError or
    StoreError; the store is intact after any of them.
    """
    spec = load(
        request.spec,
        check_requirements=not request.is_whole,  # by an import that a no-op does without
        environment=request.environment,
        allow_outside=request.allow_outside,
    )
    reporter = reporter or NullReporter()
    reporter.detail(f"spec: {spec.path}, profile {request.profile or spec.profile}")
    if request.is_whole:
        found = find_noop(store, spec, request, reporter=reporter)
        if found is not None:
            return found
        check_requirement_syntax(spec)
    from vstore.lock import Project

    return realise_project(store, Project(spec), request, reporter=reporter)


def realise_project(store: Store, project: Project, request: Request, *, reporter: Reporter | None) -> Realised:
    """Realise a project that was loaded for the request. Raises as `realise` does."""
    from vstore.api._malicious import refusing_malicious
    from vstore.realise.realise import realise
    from vstore.realise.session import Session

    session = Session.open(
        store,
        offline=request.offline,
        environment=request.environment,
        jobs=request.jobs,
        reporter=reporter,
    )
    offline = request.offline or request.check
    session = refusing_malicious(session)
    with session.with_caches(request.caches, offline=offline, dry_run=request.dry_run) as session:
        return realise(session, project, request)
