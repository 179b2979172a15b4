"""The one verb: realise the stack of a spec, and switch its profile to it.

Ensure that the spec is locked, plan, execute, activate. Each object, lowest first, is present in the store, else
substituted from a cache, else built. Equal recipes are the same work: an object whose recipe the store knows is not
built again, and if a lower layer is rebuilt with equal bytes, nothing above it is.
The two columns of the architecture, spec → lock → build and fs → store → profile, meet in this folder only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from vstore.build.recipe import Recipe
from vstore.errors import BuildError, VstoreError
from vstore.lock import Project
from vstore.objects import Kind, StorePath
from vstore.realise.execute.executor import Executor
from vstore.realise.local import in_threads
from vstore.realise.model import Realised, RealisedLayer, Request
from vstore.realise.plan.graph import find_known
from vstore.realise.prepare import PreparedRequest, finish, prepare
from vstore.realise.session import Session

OpenExecutor = Callable[[Sequence[PreparedRequest]], AbstractContextManager[Executor]]


def realise(session: Session, project: Project, request: Request) -> Realised:
    """Realise the stack of a project, and make it the current generation of its profile. Try `find_noop` first.

    The first layer that fails cancels the others, unless the request keeps going. Raises SpecError, LockError,
    BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    return realise_together(session, [(project, request)])[0]


def realise_together(
    session: Session, wanted: Iterable[tuple[Project, Request]], open_executor: OpenExecutor = in_threads
) -> list[Realised]:
    """Realise the stacks of several projects by one plan, in which equal nodes are one.

    The next project is asked for when those before it are locked. If a node fails, nothing is activated; but if the
    requests keep going, complete stacks are. Raises as `realise`, one error for all nodes that failed.
    """
    requests = [prepare(session, project, request) for project, request in wanted]
    if not requests:
        return []
    if session.substituter.has_caches:
        planned = {key: node for one in requests for key, node in one.plan.nodes.items()}
        session.substituter.start(find_known(session, planned).cached.values())
    nodes = {key: node for one in requests for key, node in one.nodes.items()}
    with open_executor(requests) as executor:
        executed = executor.run(nodes)
    failures, done = executed.failures, executed.done
    if failures and not requests[0].request.keep_going:
        raise combined_error(nodes, done, failures)
    complete = [one for one in requests if done.keys() >= one.nodes.keys()]
    realised = [finish(one, done, fetched_bytes=session.substituter.fetched_bytes) for one in complete]
    if failures:
        raise combined_error(nodes, done, failures)
    return realised


def combined_error(
    nodes: Mapping[StorePath, Recipe],
    done: Mapping[StorePath, RealisedLayer],
    failures: Mapping[StorePath, VstoreError],
) -> VstoreError:
    """Return one error for all failures."""
    if len(failures) == 1:
        ((key, error),) = failures.items()
        if nodes[key].name not in error.message:  # an error of uv, for instance, names packages only
            error.message = f"{nodes[key].name}: {error.message}"
        return error
    details = []
    for key, node in nodes.items():
        if key in failures:
            details += [f"{node.name}: {failures[key].message}", *(f"  {line}" for line in failures[key].details)]
    for key, node in nodes.items():
        if key not in failures and key not in done and node.kind != Kind.STACK:
            details.append(f"{node.name}: not built, a layer below it failed")
    return BuildError(f"{len(failures)} layers could not be built", details=details)
