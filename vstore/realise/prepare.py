"""What must be known before layers can be made: an interpreter for each runtime, and a valid lock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vstore.build.interpreter import choose, materialise
from vstore.build.recipe import interpreter_recipe
from vstore.errors import LockError
from vstore.lock import InterpreterPin, LockedLayer, LockWish, PythonForLocking, read_locks
from vstore.lock.lockfile import write_interpreter
from vstore.lock.resolve import lock
from vstore.lock.select import gaps
from vstore.lock.staleness import check, runtime_of
from vstore.objects import Kind, StorePath
from vstore.realise.model import Request, Substitute
from vstore.report import Report
from vstore.spec import Layer, Operation, Selection, Spec, Target, Wish
from vstore.store import Store
from vstore.uv import Uv


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A runtime's interpreter: what the lock pins and the object it is in (None in a dry run without one)."""

    name: str
    pin: InterpreterPin
    path: StorePath | None
    built: bool
    seconds: float
    substituted: bool = False


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
    substitute: Substitute = lambda _: None,
) -> Prepared:
    """Read the locks of the selected layers, or make those that are missing or stale; make the interpreters present.

    Raises LockError when one is stale and the request forbids locking.
    """
    concerned = [layer.env_name for layer in spec.layers if layer in selection]
    reasons = check(spec)
    stale = {name: why for name in concerned if (why := reasons.get(name)) is not None}
    if stale and request.locked:
        raise stale_error(spec, stale)
    if stale and not request.dry_run:
        wish = LockWish(local_wheels=request.local_wheels, index=request.index)
        return lock_spec(
            store, spec, request, selection, wish, target=target, uv=uv, report=report, substitute=substitute
        )
    found = [one for one in read_locks(spec) if one.env_name in concerned and one.env_name not in stale]
    for gap in gaps(spec, found):
        report.warn(gap, hint="it was locked by venvstacks, and cannot be realised there")
    interpreters = _interpreters(
        store, spec, _pins(found), request, selection, target=target, uv=uv, report=report, substitute=substitute
    )
    if not (request.locked or request.dry_run):
        for one in found:
            layer = spec.layer(one.env_name)
            if layer.kind == Kind.RUNTIME and one.inputs is None and layer.name in interpreters:
                write_interpreter(spec, layer, interpreters[layer.name].pin)
    locked = {one.env_name: one for one in found}
    return Prepared(selection=selection, interpreters=interpreters, locked=locked, stale=stale)


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
    substitute: Substitute = lambda _: None,
) -> Prepared:
    """Lock the selected layers together, with the interpreters they will run on."""
    anew = [name for name, operations in selection.operations.items() if _is_anew(operations, wish)]
    pins = _pins(one for one in read_locks(spec, without=selection.resets) if one.env_name not in anew)
    interpreters = _interpreters(
        store,
        spec,
        pins,
        request,
        selection,
        target=target,
        uv=uv,
        report=report,
        substitute=substitute,
        locking=True,
    )
    pythons = {}
    for name, interpreter in interpreters.items():
        assert interpreter.path is not None
        binary = store.layout.object(interpreter.path) / "bin" / "python3"
        pythons[name] = PythonForLocking(path=binary, pin=interpreter.pin)
    locked = lock(spec, selection, wish, uv=uv, pythons=pythons, report=report)
    for gap in gaps(spec, locked):
        report.warn(gap, hint="lock this layer with --reset, or narrow its `platforms`")
    return Prepared(selection=selection, interpreters=interpreters, locked={one.env_name: one for one in locked})


def _is_anew(operations: tuple[Operation, ...], wish: LockWish) -> bool:
    """Whether a layer's old pins are all given up."""
    return Operation.RESET_LOCK in operations or (wish.upgrade and Operation.LOCK in operations)


def _pins(locked: Iterable[LockedLayer]) -> dict[str, InterpreterPin]:
    return {one.env_name: one.interpreter for one in locked if one.interpreter is not None}


def _interpreters(
    store: Store,
    spec: Spec,
    pins: Mapping[str, InterpreterPin],
    request: Request,
    selection: Selection,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitute: Substitute,
    locking: bool = False,
) -> dict[str, Interpreter]:
    """By runtime name; for locking also those of runtimes for other machines, as uv asks one of this machine."""
    needed = {runtime_of(spec, layer).name for layer in spec.layers if layer in selection}
    return {
        layer.name: _interpreter(
            store, layer, pins.get(layer.env_name), request, target=target, uv=uv, report=report, substitute=substitute
        )
        for layer in spec.layers
        if layer.kind == Kind.RUNTIME and layer.name in needed and (locking or target in layer.targets)
    }


def _interpreter(
    store: Store,
    layer: Layer,
    pin: InterpreterPin | None,
    request: Request,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitute: Substitute,
) -> Interpreter:
    """From the store when the pin's recipe is realised there, else from a cache, else made and registered."""
    started = time.monotonic()
    assert layer.python_implementation is not None
    source = None
    if pin is None or not pin.satisfies(layer.python_implementation):
        source = choose(layer.python_implementation, pin=None, uv=uv, target=str(target), offline=request.offline)
        pin = source.pin
    name = f"{pin.implementation}-{pin.version}"
    recipe = interpreter_recipe(pin, str(target))
    path = store.realisation(recipe)
    if path is not None or request.dry_run:
        return Interpreter(name=name, pin=pin, path=path, built=False, seconds=time.monotonic() - started)
    with store.recipe_lock(recipe):
        path = store.realisation(recipe)
        substituted = path is None and (path := substitute(recipe)) is not None
        if path is None:
            if source is None:
                source = choose(
                    layer.python_implementation, pin=pin, uv=uv, target=str(target), offline=request.offline
                )
            with store.staging(name) as staging:
                materialise(source, staging, uv=uv, report=report, jobs=request.jobs)
                report.stage(name, "hashing and flushing")
                path = store.add(staging, name=name, kind=Kind.INTERPRETER, recipe=recipe).path
    seconds = time.monotonic() - started
    made = "adopted" if pin.source == "adopted" else "built"
    report.finished(name, "substituted" if substituted else made, seconds)
    return Interpreter(name=name, pin=pin, path=path, built=not substituted, substituted=substituted, seconds=seconds)
