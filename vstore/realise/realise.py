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
from vstore.errors import BuildError, UsageError, VstoreError
from vstore.objects import Kind, StorePath
from vstore.realise.execute import Executor, Threads
from vstore.realise.interpreters import Interpreters
from vstore.realise.layers import Realiser
from vstore.realise.make import Maker
from vstore.realise.model import Origin, Realised, RealisedLayer, Request
from vstore.realise.plan import Plan, find_known, make_plan
from vstore.realise.prepare import Locks, ensure_locked, wish_of
from vstore.realise.remembered import inputs_key, profile_name, settle
from vstore.realise.session import Session
from vstore.realise.sources import Sources
from vstore.spec import Layer, Spec, load
from vstore.spec.select import Operation, Selection, select


def realise(session: Session, request: Request) -> Realised:
    """Make the spec's stack present and its profile's current generation; ask `remembered` first.

    The first layer that fails sets the session's `stop`, unless asked to keep going. Raises SpecError, LockError,
    BuildError, ToolError or StoreError; the store is intact after any of them.
    """
    spec = load(request.spec, environment=request.environment)
    for warning in spec.warnings:
        session.report.warn(warning)
    session = session.reaching(spec)
    selection = select(spec, wish_of(request), request.platform)
    wanted = _wanted(spec, selection, request, session)
    interpreters = Interpreters(session, offline=request.offline, dry_run=request.dry_run)
    locks = ensure_locked(session, spec, request, selection, interpreters)
    sources = Sources(session.store, spec)
    plan = make_plan(spec, wanted, request.platform, locked=locks.locked, pins=locks.pins, source=sources.path)
    if session.substitutes.anybody:
        session.substitutes.begin(find_known(session.store, session.substitutes, plan.nodes).cached.values())
    whole = not (request.include or request.check or request.dry_run)
    nodes = {key: node for key, node in plan.nodes.items() if whole or node.kind != Kind.STACK}
    with closing(Maker(session, interpreters, import_sources=sources.add, keep_failed=request.keep_failed)) as maker:
        realiser = Realiser(
            session,
            maker,
            dry_run=request.dry_run,
            left_alone=_left_alone(spec, wanted),
            checked=_checked(request, wanted, selection),
        )
        threads = Threads(request.jobs, session.stop, keep_going=request.keep_going)
        done = execute(threads, realiser, nodes)
    layers = _layers(wanted, plan, locks, done)
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
    session.store.index.remember(inputs_key(spec, request.platform, request), stack)
    return settle(session.store, spec, request, stack, layers, report=session.report, now=session.now)


def _wanted(spec: Spec, selection: Selection, request: Request, session: Session) -> tuple[Layer, ...]:
    """The layers to realise with all that they sit on, in file order."""
    for pattern in selection.unmatched:
        session.report.warn(f"--include {pattern}: no such layer")
    wanted = tuple(layer for layer in spec.layers if selection.builds(layer))
    if not wanted and not selection.unmatched:
        which = "selected " if selection.operations else ""
        raise UsageError(
            f"{spec.path.name}: no {which}layer is for {request.platform}", hint="see `platforms` in the spec"
        )
    return wanted


def _left_alone(spec: Spec, wanted: tuple[Layer, ...]) -> set[str]:
    """The layers below that are not to be made: with ``--no-dependencies``."""
    return {name for layer in wanted for name in layer.lower_names} - {layer.env_name for layer in wanted}


def _checked(request: Request, wanted: tuple[Layer, ...], selection: Selection) -> set[str]:
    """The layers to build again and compare: not those that are only needed by one."""
    return {layer.env_name for layer in wanted if request.check and Operation.BUILD in selection.of(layer)}


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


def _layers(
    wanted: tuple[Layer, ...], plan: Plan, locks: Locks, done: Mapping[StorePath, RealisedLayer]
) -> tuple[RealisedLayer, ...]:
    """The interpreters, once each, then the layers; a dry run has some without a node."""
    interpreters = dict.fromkeys(plan.interpreters[layer.runtime or layer.name] for layer in wanted)
    rows = [done[key] for key in interpreters]
    for layer in wanted:
        key = plan.layers.get(layer.env_name)
        origin = Origin.TO_LOCK if layer.env_name in locks.stale else Origin.TO_BUILD
        without = RealisedLayer(name=layer.env_name, kind=layer.kind, path=None, origin=origin, seconds=0.0)
        rows.append(without if key is None else done[key])
    return tuple(rows)
