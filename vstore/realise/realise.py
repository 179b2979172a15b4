"""The one verb: make a spec's stack present, and switch to it.

Ensure that it is locked, plan, execute, activate. For each object, lowest first: present in the store, else
substituted from a cache, else built. Equal recipes are the same work, so a recipe that the store knows is nothing to
do, and a lower layer rebuilt with equal bytes rebuilds nothing above.
The two columns, spec → lock → build and fs → store → profile, meet in this folder and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from vstore.build.recipe import Recipe
from vstore.errors import BuildError, VstoreError
from vstore.objects import Kind, StorePath
from vstore.realise.execute import Executor, Threads
from vstore.realise.layers import Realiser
from vstore.realise.make import Maker
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.noop import inputs_key, profile_name, settle
from vstore.realise.plan import find_known
from vstore.realise.prepare import Prepared, prepare
from vstore.realise.session import Session
from vstore.spec import Layer
from vstore.spec.select import Operation


def realise(session: Session, request: Request) -> Realised:
    """Make the spec's stack present and its profile's current generation; ask `cached_stack` first.

    The first layer that fails sets the session's `cancel`, unless asked to keep going. Raises SpecError, LockError,
    BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    ready = prepare(session, request)
    session, spec, plan = ready.session, ready.spec, ready.plan
    if session.substitutes.anybody:
        session.substitutes.begin(find_known(session.store, session.substitutes, plan.nodes).cached.values())
    whole = not (request.include or request.check or request.dry_run)
    nodes = {key: node for key, node in plan.nodes.items() if whole or node.kind != Kind.STACK}
    with closing(
        Maker(session, ready.interpreters, import_sources=ready.sources.add, keep_failed=request.keep_failed)
    ) as maker:
        realiser = Realiser(
            session,
            maker,
            dry_run=request.dry_run,
            left_alone=_left_alone(ready.wanted),
            checked=_checked(request, ready),
        )
        threads = Threads(request.jobs, session.cancel, keep_going=request.keep_going)
        done = execute(threads, realiser, nodes)
    layers = _layers(ready, done)
    if not whole:
        return Realised(
            profile=profile_name(spec, request),
            target=request.platform,
            generation=None,
            changed=False,
            stack=None,
            layers=layers,
            dry_run=request.dry_run,
        )
    assert plan.stack is not None
    stack = done[plan.stack].path
    assert stack is not None
    session.store.realisations.cache_stack(inputs_key(spec, request.platform, request), stack)
    return settle(session.store, spec, request, stack, layers, reporter=session.reporter, now=session.now)


def _left_alone(wanted: tuple[Layer, ...]) -> set[str]:
    """The layers below that are not to be made: with ``--no-dependencies``."""
    return {name for layer in wanted for name in layer.dependency_names} - {layer.env_name for layer in wanted}


def _checked(request: Request, ready: Prepared) -> set[str]:
    """The layers to build again and compare: not those that are only needed by one."""
    return {one.env_name for one in ready.wanted if request.check and Operation.BUILD in ready.selection.of(one)}


def execute(
    executor: Executor, realiser: Realiser, nodes: Mapping[StorePath, Recipe]
) -> Mapping[StorePath, RealisedLayer]:
    """Realise a graph of nodes. Raises one error for all that failed."""

    def work(node: Recipe, below: Mapping[StorePath, RealisedLayer]) -> RealisedLayer:
        return realiser.realise(node, {key: one.path for key, one in below.items()})

    done, failures = executor.run(nodes, work)
    if failures:
        raise _combined(nodes, done, failures)
    return done


def _combined(
    nodes: Mapping[StorePath, Recipe],
    done: Mapping[StorePath, RealisedLayer],
    failures: Mapping[StorePath, VstoreError],
) -> VstoreError:
    """One error for all failures."""
    if len(failures) == 1:
        ((key, error),) = failures.items()
        if nodes[key].name not in error.message:  # of uv, for instance, which knows packages only
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


def _layers(ready: Prepared, done: Mapping[StorePath, RealisedLayer]) -> tuple[RealisedLayer, ...]:
    """The interpreters, once each, then the layers; a dry run has some without a node."""
    interpreters = dict.fromkeys(ready.plan.interpreters[layer.runtime or layer.name] for layer in ready.wanted)
    rows = [done[key] for key in interpreters]
    for layer in ready.wanted:
        key = ready.plan.layers.get(layer.env_name)
        origin = Origin.TO_LOCK if layer.env_name in ready.locks.stale else Origin.TO_BUILD
        without = RealisedLayer(name=layer.env_name, kind=layer.kind, path=None, origin=origin, seconds=0.0)
        rows.append(without if key is None else done[key])
    return tuple(rows)
