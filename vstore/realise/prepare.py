"""Before objects can be made: the spec read, valid locks, a pin for each runtime's interpreter, and the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from vstore.errors import LockError, UsageError
from vstore.lock import InterpreterPin, LockedLayer, LockOptions, PythonForLocking, read_locks
from vstore.lock.lockfile import write_interpreter
from vstore.lock.paths import check_places
from vstore.lock.resolution.resolve import lock
from vstore.lock.select import check_covered, gaps
from vstore.lock.staleness import check, runtime_of
from vstore.objects import Kind
from vstore.realise.interpreters import Interpreters
from vstore.realise.model import Request
from vstore.realise.plan import Plan, make_plan
from vstore.realise.session import Session
from vstore.realise.sources import Sources
from vstore.reporter import Reporter
from vstore.spec import Layer, Spec, load
from vstore.spec.select import Operation, Selection, SelectionRequest, select
from vstore.target import Target
from vstore.values import frozen


@frozen
class Locks:
    """`locked` and `stale` (the reasons) are by env name, `pins` by runtime; `stale` is empty but for a dry run."""

    locked: Mapping[str, LockedLayer]
    pins: Mapping[str, InterpreterPin]
    stale: Mapping[str, str] = {}


@frozen
class Prepared:
    """A request that is ready to be carried out; `session` reaches the places that the spec names.

    `wanted` are the layers to realise with all that they sit on, in file order.
    """

    session: Session
    spec: Spec
    selection: Selection
    wanted: tuple[Layer, ...]
    interpreters: Interpreters
    locks: Locks
    sources: Sources
    plan: Plan


def prepare(session: Session, request: Request) -> Prepared:
    """Read the spec, ensure that it is locked, and plan.

    Raises SpecError, UsageError where no layer is for the platform, LockError, BuildError or ToolError.
    """
    spec, target = load(request.spec, environment=request.environment), request.platform
    for warning in spec.warnings:
        session.reporter.warn(warning)
    session = session.reaching(spec)
    selection = select(spec, wish_of(request), target)
    for pattern in selection.unmatched:
        session.reporter.warn(f"--include {pattern}: no such layer")
    wanted = tuple(layer for layer in spec.layers if selection.builds(layer))
    if not wanted and not selection.unmatched:
        which = "selected " if selection.operations else ""
        raise UsageError(f"{spec.path.name}: no {which}layer is for {target}", hint="see `platforms` in the spec")
    interpreters = Interpreters(session, offline=request.offline, dry_run=request.dry_run)
    locks = ensure_locked(session, spec, request, selection, interpreters)
    sources = Sources(session.store, spec)
    return Prepared(
        session=session,
        spec=spec,
        selection=selection,
        wanted=wanted,
        interpreters=interpreters,
        locks=locks,
        sources=sources,
        plan=make_plan(spec, wanted, target, locked=locks.locked, pins=locks.pins, source=sources.path),
    )


def wish_of(request: Request) -> SelectionRequest:
    """What `realise` does with which layers."""
    return SelectionRequest(
        include=request.include,
        allow_missing=request.allow_missing,
        dependencies=request.dependencies,
        dependents=request.dependents,
        lock=None if request.locked else Operation.LOCK_IF_NEEDED,
        build=True,
    )


def ensure_locked(
    session: Session, spec: Spec, request: Request, selection: Selection, interpreters: Interpreters
) -> Locks:
    """Read the locks of the selected layers, or make those that are missing or stale.

    Raises LockError when one is stale and the request forbids locking, or does not cover the platform.
    """
    target, reporter = request.platform, session.reporter
    wanted = [layer for layer in spec.layers if selection.builds(layer)]
    dependencies = {
        low.env_name for layer in wanted for low in spec.dependencies(layer)
    }  # with --no-dependencies not selected
    concerned = [one.env_name for one in spec.layers if one in selection or one.env_name in dependencies]
    reasons = check(spec)
    stale = {name: why for name in concerned if (why := reasons.get(name)) is not None}
    if stale and request.locked:
        raise stale_error(spec, stale)
    if stale and not request.dry_run:
        wish = LockOptions(local_wheels=request.local_wheels, index=request.index)
        locked = lock_spec(session, spec, selection, replace(wish, target=target), interpreters)
        stale = {}
        _tell(locked.values(), reporter)
    else:
        found = [one for one in read_locks(spec) if one.env_name in concerned and one.env_name not in stale]
        locked = {one.env_name: one for one in found}
        for gap in gaps(spec, found):
            reporter.warn(gap, hint="it was locked by venvstacks, and cannot be realised there")
    for layer in wanted:
        if layer.env_name in locked:
            check_covered(locked[layer.env_name], target)
    known = _pins(locked.values())
    runtimes = _runtimes(spec, selection, target)
    pins = {layer.name: interpreters.pin(layer, known.get(layer.env_name)) for layer in runtimes}
    if not (request.locked or request.dry_run):
        for layer in runtimes:
            by_venvstacks = layer.env_name in locked and locked[layer.env_name].inputs is None
            if by_venvstacks and known.get(layer.env_name) != pins[layer.name]:
                write_interpreter(spec, layer, pins[layer.name])
    return Locks(locked=locked, pins=pins, stale=stale)


def _tell(locked: Iterable[LockedLayer], reporter: Reporter) -> None:
    """Say what locking found: packages held back, conflicts in a stack, platforms left out."""
    for one in locked:
        for held in one.findings.held_back:
            reporter.note(f"layer {one.env_name}: held back: {held}")
        for conflict in one.findings.conflicts:
            reporter.warn(f"conflict: {conflict}")
        for target, why in one.findings.left_out.items():
            reporter.note(f"layer {one.env_name}: not locked for {target}: {why}")


def stale_error(spec: Spec, stale: Mapping[str, str]) -> LockError:
    """The error for a lock that may not be refreshed: every stale layer with its reason."""
    return LockError(
        f"lock is missing or stale: {spec.path.name}",
        details=[f"layer {name}: {reason}" for name, reason in stale.items()],
        hint=f"run `vstore lock {spec.path.name}`",
    )


def lock_spec(
    session: Session, spec: Spec, selection: Selection, wish: LockOptions, interpreters: Interpreters
) -> Mapping[str, LockedLayer]:
    """Lock the selected layers together; returns the locks by env name.

    uv asks an interpreter of this machine, so also a runtime that is only for others gets one.
    """
    check_places(spec, (layer for layer in spec.layers if selection.locks(layer)))
    anew = [name for name, operations in selection.operations.items() if _is_anew(operations, wish)]
    known = _pins(one for one in read_locks(spec, without=selection.resets) if one.env_name not in anew)
    pythons = {}
    for layer in _runtimes(spec, selection):
        pin = interpreters.pin(layer, known.get(layer.env_name))
        pythons[layer.name] = PythonForLocking(path=interpreters.program(pin), pin=pin)
    locked = lock(spec, selection, wish, uv=session.uv, pythons=pythons, reporter=session.reporter)
    for gap in gaps(spec, locked):
        session.reporter.warn(gap, hint="lock this layer with --reset, or narrow its `platforms`")
    return {one.env_name: one for one in locked}


def _is_anew(operations: tuple[Operation, ...], wish: LockOptions) -> bool:
    """Whether a layer's old pins are all given up."""
    return Operation.RESET_LOCK in operations or (wish.upgrade and Operation.LOCK in operations)


def _pins(locked: Iterable[LockedLayer]) -> dict[str, InterpreterPin]:
    return {one.env_name: one.interpreter for one in locked if one.interpreter is not None}


def _runtimes(spec: Spec, selection: Selection, target: Target | None = None) -> list[Layer]:
    """The runtimes of the selected layers; only those for the target, if there is one."""
    needed = {runtime_of(spec, layer).name for layer in spec.layers if layer in selection}
    return [
        layer
        for layer in spec.layers
        if layer.kind == Kind.RUNTIME and layer.name in needed and (target is None or target in layer.targets)
    ]
