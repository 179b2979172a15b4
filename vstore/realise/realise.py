"""The one verb: realise the stack of a spec, and switch its profile to it.

Ensure that the spec is locked, plan, execute, activate. Each object, lowest first, is present in the store, else
substituted from a cache, else built. Equal recipes are the same work: an object whose recipe the store knows is not
built again, and if a lower layer is rebuilt with equal bytes, nothing above it is.
The two columns of the architecture, spec → lock → build and fs → store → profile, meet in this folder only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from vstore.build.recipe import Recipe
from vstore.errors import BuildError, VstoreError
from vstore.lock import Project
from vstore.objects import Kind, StorePath
from vstore.realise.execute.executor import Executor, ThreadExecutor
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.model import Realised, RealisedLayer, Request
from vstore.realise.plan.graph import find_known
from vstore.realise.prepare import PreparedRequest, finish, prepare
from vstore.realise.session import Session
from vstore.spec.select import Operation


def realise(session: Session, project: Project, request: Request) -> Realised:
    """Realise the stack of a project, and make it the current generation of its profile. Try `find_noop` first.

    The first layer that fails cancels the others, unless the request keeps going. Raises SpecError, LockError,
    BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    prepared = prepare(session, project, request)
    builder = ObjectBuilder(
        prepared.session,
        prepared.interpreters,
        import_sources=prepared.sources.import_all,
        keep_failed=request.keep_failed,
        locks=prepared.lock_names,
    )
    with closing(builder):
        done = _execute_plan(prepared, builder)
    return finish(prepared, done, fetched_bytes=session.substituter.fetched_bytes)


def _execute_plan(prepared: PreparedRequest, builder: ObjectBuilder) -> Mapping[StorePath, RealisedLayer]:
    """Realise the nodes of a plan, without the stack if this is not all of it."""
    session, plan, request, selection = prepared.session, prepared.plan, prepared.request, prepared.selection
    if session.substituter.has_caches:
        session.substituter.start(find_known(session, plan.nodes).cached.values())
    nodes = {key: node for key, node in plan.nodes.items() if request.is_whole or node.kind != Kind.STACK}
    below = {name for layer in selection.built for name in layer.dependency_names}
    checked = [one for one in selection.built if request.check and Operation.BUILD in selection.of(one)]
    realiser = NodeRealiser(
        session,
        builder,
        dry_run=request.dry_run,
        must_be_present=below - {layer.env_name for layer in selection.built},
        rebuild_and_compare={layer.env_name for layer in checked},
    )
    executor = ThreadExecutor(realiser.realise, session.jobs, session.cancel, keep_going=request.keep_going)
    return execute(executor, nodes)


def execute(executor: Executor, nodes: Mapping[StorePath, Recipe]) -> Mapping[StorePath, RealisedLayer]:
    """Realise a graph of nodes. Raises one error for all nodes that failed."""
    executed = executor.run(nodes)
    if executed.failures:
        raise combined_error(nodes, executed.done, executed.failures)
    return executed.done


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
