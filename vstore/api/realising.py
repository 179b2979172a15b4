"""Realising: from a spec to a stack in the store; the content of a stack."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vstore.objects import StorePath
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import find_noop
from vstore.reporter import NullReporter, Reporter
from vstore.spec import load
from vstore.store import Store

if TYPE_CHECKING:
    from vstore.build.clashes import Clash
    from vstore.lock import Project

__all__ = [
    "Origin",
    "Realised",
    "RealisedLayer",
    "Request",
    "clashes_of",
    "describe_clashes",
    "distributions",
    "realise",
]


def realise(
    store: Store, request: Request, *, reporter: Reporter | None = None, now: datetime | None = None
) -> Realised:
    """Lock a spec if needed, realise its layers and its stack, and switch the profile to it.

    A no-op is found without loading the code that builds. Raises SpecError, LockError, BuildError, ToolError or
    StoreError; the store is intact after any of them.
    """
    now = now or datetime.now(UTC)
    if request.is_whole:
        spec = load(
            request.spec,
            check_requirements=False,
            environment=request.environment,
            allow_outside=request.allow_outside,
        )
        found = find_noop(store, spec, request, reporter=reporter or NullReporter(), now=now)
        if found is not None:
            return found
    from vstore.lock import Project

    project = Project.load(request.spec, environment=request.environment, allow_outside=request.allow_outside)
    return realise_project(store, project, request, reporter=reporter, now=now)


def realise_project(
    store: Store, project: Project, request: Request, *, reporter: Reporter | None, now: datetime | None
) -> Realised:
    """Realise a project that was loaded for the request. Raises as `realise`."""
    from vstore.realise.realise import realise
    from vstore.realise.session import Session

    session = Session.open(
        store,
        offline=request.offline,
        environment=request.environment,
        jobs=request.jobs,
        reporter=reporter,
        now=now,
    )
    offline = request.offline or request.check
    with session.with_caches(request.caches, offline=offline, dry_run=request.dry_run) as session:
        return realise(session, project, request)


def distributions(store: Store, stack: StorePath) -> dict[str, dict[str, str]]:
    """Return the version of each distribution by layer name and distribution name. An interpreter has ``python``."""
    from vstore.realise.stack import stack_distributions

    return stack_distributions(store, stack)


def clashes_of(store: Store, path: StorePath) -> tuple[Clash, ...]:
    """Return the paths for which distributions of a layer, or of the layers below it, have different files.

    Returns nothing for an object that is not a layer. Raises StoreError if the layer is damaged.
    """
    from vstore.build.layer_metadata import read_metadata
    from vstore.objects import LAYER_FILE

    folder = store.layout.object(path)
    return read_metadata(folder).clashes if (folder / LAYER_FILE).exists() else ()


def describe_clashes(clashes: Iterable[Clash]) -> list[str]:
    """Return a line for each pair of distributions that clash, with the number of files and the first of them."""
    from vstore.build.clashes import describe_clashes

    return describe_clashes(clashes)
