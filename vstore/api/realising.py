"""Realising: from a spec to a stack in the store.

Example::

    from pathlib import Path
    from vstore.api import realising, stores

    with stores.open_store() as store:
        result = realising.realise(store, realising.Request(spec=Path("spec.toml")))
        print(result.profile, result.generation, result.stack)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import find_noop
from vstore.reporter import NullReporter, Reporter
from vstore.spec import Spec, check_requirement_syntax, load
from vstore.store import Store

if TYPE_CHECKING:
    from vstore.lock import Project

__all__ = [
    "Origin",
    "Realised",
    "RealisedLayer",
    "Request",
    "realise",
    "realise_all",
]


def realise(store: Store, request: Request, *, reporter: Reporter | None = None) -> Realised:
    """Lock a spec if needed, realise its layers and its stack, and switch the profile to it.

    A no-op is found without loading the code that builds. Raises SpecError, LockError, BuildError, ToolError or
    StoreError; the store is intact after any of them.
    """
    return realise_all(store, [request], reporter=reporter)[0]


def realise_all(
    store: Store,
    requests: Iterable[Request],
    *,
    processes: int | None = None,
    reporter: Reporter | None = None,
) -> list[Realised]:
    """Realise several requests by one plan, in which equal layers are built once.

    The options of the first request that is not a no-op are those of the run. With `processes`, layers are built in so
    many processes. A request is taken from `requests` when the specs of those before it are locked. If a layer fails,
    no profile is switched, unless the requests keep going: then those whose stacks are complete are. Raises as
    `realise`.
    """
    reporter = reporter or NullReporter()
    results: list[Realised | None] = []
    left = _without_noops(store, requests, results, reporter)
    first = next(left, None)
    realised = iter(_realise_specs(store, first, left, processes, reporter) if first else ())
    return [one or next(realised) for one in results]


def _without_noops(
    store: Store, requests: Iterable[Request], results: list[Realised | None], reporter: Reporter
) -> Iterator[tuple[Spec, Request]]:
    """Yield the requests that are not no-ops, with their specs. Append the result of each no-op, else None."""
    for request in requests:
        spec = load(
            request.spec,
            check_requirements=not request.is_whole,  # by an import that a no-op does without
            environment=request.environment,
            allow_outside=request.allow_outside,
        )
        reporter.detail(f"spec: {spec.path}, profile {request.profile or spec.profile}")
        found = find_noop(store, spec, request, reporter=reporter) if request.is_whole else None
        results.append(found)
        if found is None:
            if request.is_whole:
                check_requirement_syntax(spec)
            yield spec, request


def _realise_specs(
    store: Store,
    first: tuple[Spec, Request],
    left: Iterable[tuple[Spec, Request]],
    processes: int | None,
    reporter: Reporter,
) -> list[Realised]:
    from vstore.lock import Project

    projects = ((Project(spec), request) for spec, request in chain([first], left))
    return _realise_projects(store, projects, first[1], processes=processes, reporter=reporter)


def realise_project(store: Store, project: Project, request: Request, *, reporter: Reporter | None) -> Realised:
    """Realise a project that was loaded for the request. Raises as `realise` does."""
    return _realise_projects(store, [(project, request)], request, processes=None, reporter=reporter)[0]


def _realise_projects(
    store: Store,
    projects: Iterable[tuple[Project, Request]],
    options: Request,
    *,
    processes: int | None,
    reporter: Reporter | None,
) -> list[Realised]:
    from functools import partial

    from vstore.api._malicious import refusing_malicious
    from vstore.realise.local import in_threads
    from vstore.realise.realise import realise_together
    from vstore.realise.session import Session

    session = Session.open(
        store,
        offline=options.offline,
        environment=options.environment,
        jobs=options.jobs,
        reporter=reporter,
    )
    offline = options.offline or options.check
    session = refusing_malicious(session)
    with session.with_caches(options.caches, offline=offline, dry_run=options.dry_run) as session:
        return realise_together(session, projects, partial(in_threads, processes=processes))
