"""What must be known before layers can be made: an interpreter for each runtime, and valid locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vstore.errors import LockError
from vstore.lock import InterpreterPin, LockedLayer, LockWish, PythonForLocking, read_locks
from vstore.lock.lockfile import write_interpreter
from vstore.lock.places import check_places
from vstore.lock.resolve import lock
from vstore.lock.select import check_covered, gaps
from vstore.lock.staleness import check, runtime_of
from vstore.objects import Kind
from vstore.realise.ahead import bring_ahead
from vstore.realise.interpreters import Interpreter, Interpreters
from vstore.realise.model import NOBODY, Request, Substitutes
from vstore.report import Report
from vstore.spec import Layer, Spec
from vstore.spec.select import Operation, Selection, Wish
from vstore.store import Store
from vstore.target import Target
from vstore.uv import Uv


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """`interpreters` by runtime name, `locked` and `stale` by env name; `stale` is empty but for a dry run."""

    selection: Selection
    interpreters: Mapping[str, Interpreter]
    locked: Mapping[str, LockedLayer]
    stale: Mapping[str, str] = field(default_factory=dict)

    def checks(self, layer: Layer) -> bool:
        """Whether ``--check`` is for this layer, and not just for those that sit on it."""
        return Operation.BUILD in self.selection.of(layer)


def wish_of(request: Request) -> Wish:
    """What `realise` does with which layers."""
    return Wish(
        include=request.include,
        allow_missing=request.allow_missing,
        dependencies=request.dependencies,
        derived=request.derived,
        lock=None if request.locked else Operation.LOCK_IF_NEEDED,
        build=True,
    )


def prepare(
    store: Store,
    spec: Spec,
    request: Request,
    selection: Selection,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitutes: Substitutes = NOBODY,
) -> Prepared:
    """Read the locks of the selected layers, or make those that are missing or stale; make the interpreters present.

    Raises LockError when one is stale and the request forbids locking.
    """
    wanted = [layer for layer in spec.layers if selection.builds(layer)]
    lowers = {low.env_name for layer in wanted for low in spec.lower(layer)}  # with --no-dependencies not selected
    concerned = [one.env_name for one in spec.layers if one in selection or one.env_name in lowers]
    reasons = check(spec)
    stale = {name: why for name in concerned if (why := reasons.get(name)) is not None}
    if stale and request.locked:
        raise stale_error(spec, stale)
    if stale and not request.dry_run:
        wish = LockWish(local_wheels=request.local_wheels, index=request.index)
        prepared = lock_spec(
            store, spec, request, selection, wish, target=target, uv=uv, report=report, substitutes=substitutes
        )
        for layer in wanted:
            if layer.env_name in prepared.locked:
                check_covered(prepared.locked[layer.env_name], target)
        _tell(prepared.locked.values(), report)
        bring_ahead(store, spec, wanted, prepared.locked, target=target, substitutes=substitutes)
        return prepared
    found = [one for one in read_locks(spec) if one.env_name in concerned and one.env_name not in stale]
    for gap in gaps(spec, found):
        report.warn(gap, hint="it was locked by venvstacks, and cannot be realised there")
    locked = {one.env_name: one for one in found}
    for layer in wanted:
        if layer.env_name in locked:
            check_covered(locked[layer.env_name], target)
    bring_ahead(store, spec, wanted, locked, target=target, substitutes=substitutes)
    makers = Interpreters(store=store, request=request, uv=uv, report=report, substitutes=substitutes)
    interpreters = makers.of(_runtimes(spec, selection, target), _pins(found), target)
    if not (request.locked or request.dry_run):
        for one in found:
            layer = spec.layer(one.env_name)
            if layer.kind == Kind.RUNTIME and one.inputs is None and layer.name in interpreters:
                write_interpreter(spec, layer, interpreters[layer.name].pin)
    return Prepared(selection=selection, interpreters=interpreters, locked=locked, stale=stale)


def _tell(locked: Iterable[LockedLayer], report: Report) -> None:
    """Say what locking found: packages held back, conflicts in a stack, platforms left out."""
    for one in locked:
        for held in one.findings.held_back:
            report.note(f"layer {one.env_name}: held back: {held}")
        for conflict in one.findings.conflicts:
            report.warn(f"conflict: {conflict}")
        for target, why in one.findings.left_out.items():
            report.note(f"layer {one.env_name}: not locked for {target}: {why}")


def stale_error(spec: Spec, stale: Mapping[str, str]) -> LockError:
    """The error for a lock that may not be refreshed: every stale layer with its reason."""
    return LockError(
        f"lock is missing or stale: {spec.path.name}",
        details=[f"layer {name}: {reason}" for name, reason in stale.items()],
        hint=f"run `vstore lock {spec.path.name}`",
    )


def lock_spec(
    store: Store,
    spec: Spec,
    request: Request,
    selection: Selection,
    wish: LockWish,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitutes: Substitutes = NOBODY,
) -> Prepared:
    """Lock the selected layers together; the interpreters are those that they will run on, on `target`.

    uv asks an interpreter of this machine, so also a runtime that is only for others gets one.
    """
    check_places(spec, (layer for layer in spec.layers if selection.locks(layer)))
    anew = [name for name, operations in selection.operations.items() if _is_anew(operations, wish)]
    pins = _pins(one for one in read_locks(spec, without=selection.resets) if one.env_name not in anew)
    makers = Interpreters(store=store, request=request, uv=uv, report=report, substitutes=substitutes)
    interpreters = makers.of(_runtimes(spec, selection), pins, Target.host())
    pythons = {name: PythonForLocking(path=one.program(store), pin=one.pin) for name, one in interpreters.items()}
    locked = lock(spec, selection, replace(wish, target=target), uv=uv, pythons=pythons, report=report)
    for gap in gaps(spec, locked):
        report.warn(gap, hint="lock this layer with --reset, or narrow its `platforms`")
    if target != Target.host():
        interpreters = makers.of(_runtimes(spec, selection, target), _pins(locked), target)
    return Prepared(selection=selection, interpreters=interpreters, locked={one.env_name: one for one in locked})


def _is_anew(operations: tuple[Operation, ...], wish: LockWish) -> bool:
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
