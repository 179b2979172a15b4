"""The one verb: realise the stack of a spec, and switch its profile to it.

Ensure that the spec is locked, plan, execute, activate. Each object, lowest first, is present in the store, else
substituted from a cache, else built. Equal recipes are the same work: an object whose recipe the store knows is not
built again, and if a lower layer is rebuilt with equal bytes, nothing above it is.
The two columns of the architecture, spec → lock → build and fs → store → profile, meet in this folder only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from vstore.build.recipe import Recipe
from vstore.errors import BuildError, VstoreError
from vstore.lock import Project
from vstore.objects import Kind, StorePath
from vstore.realise.execute.executor import Executor, ThreadExecutor
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.sources import ModuleSources
from vstore.realise.locking import Locks, ensure_locked, select
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import activate, inputs_key, profile_name, warn_of_other_spec
from vstore.realise.plan.graph import Plan, find_known, plan_layers
from vstore.realise.session import Session
from vstore.spec import Layer
from vstore.spec.select import Operation, Selection


def realise(session: Session, project: Project, request: Request) -> Realised:
    """Realise the stack of a project, and make it the current generation of its profile. Try `find_noop` first.

    The first layer that fails cancels the others, unless the request keeps going. Raises SpecError, LockError,
    BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    spec, store = project.spec, session.store
    session = session.with_settings_of(spec)
    selection = select(session, spec, request)
    if request.generation and not (request.include or request.check):
        warn_of_other_spec(store, spec, request, reporter=session.reporter)
    interpreters = Interpreters(session, dry_run=request.dry_run)
    sources = ModuleSources(store, spec)

    locks = ensure_locked(session, project, selection, request, interpreters)
    plan = plan_layers(spec, selection.built, request.platform, locks, sources.path)
    builder = ObjectBuilder(
        session,
        interpreters,
        import_sources=sources.import_all,
        keep_failed=request.keep_failed,
        locks={name: f"{one.path.name} {one.packages_digest}" for name, one in locks.locked.items()},
    )
    with closing(builder):
        done = _execute_plan(session, builder, plan, selection, request)
    stack = done.get(plan.stack) if plan.stack else None
    realised = Realised(
        profile=profile_name(spec, request),
        target=request.platform,
        layers=_layers(selection.built, plan, locks, done),
        stack=stack.path if stack else None,
        dry_run=request.dry_run,
        fetched_bytes=session.substituter.fetched_bytes,
    )
    if realised.stack is None:
        return realised
    store.realisations.cache_stack(inputs_key(spec, request.platform, request), realised.stack)
    if not request.generation:
        return realised
    return activate(store, spec, realised, reporter=session.reporter)


def _execute_plan(
    session: Session, builder: ObjectBuilder, plan: Plan, selection: Selection, request: Request
) -> Mapping[StorePath, RealisedLayer]:
    """Realise the nodes of a plan, without the stack if this is not all of it."""
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
        raise _combined(nodes, executed.done, executed.failures)
    return executed.done


def _combined(
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


def _layers(
    layers: Sequence[Layer], plan: Plan, locks: Locks, done: Mapping[StorePath, RealisedLayer]
) -> tuple[RealisedLayer, ...]:
    """Return the interpreters, once each, and the layers. In a dry run some layers have no node."""
    rows = [done[key] for key in dict.fromkeys(plan.interpreters[layer.runtime.name] for layer in layers)]
    for layer in layers:
        key = plan.layers.get(layer.env_name)
        origin = Origin.TO_LOCK if layer.env_name in locks.stale else Origin.TO_BUILD
        planned = RealisedLayer(name=layer.env_name, kind=layer.kind, path=None, origin=origin, seconds=0.0)
        rows.append(planned if key is None else done[key])
    return tuple(rows)
