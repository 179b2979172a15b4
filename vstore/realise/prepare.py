"""What must be known before layers can be made: an interpreter for each runtime, and a valid lock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vstore.build.interpreter import choose, materialise
from vstore.build.layout import Layout
from vstore.build.recipe import interpreter_recipe
from vstore.errors import LockError
from vstore.lock import InterpreterPin, LockedLayer, PythonForLocking, read_locks
from vstore.lock.resolve import lock
from vstore.lock.staleness import check
from vstore.objects import Kind, StorePath
from vstore.realise.model import Request, Substitute
from vstore.report import Report
from vstore.spec import Layer, Spec, Target
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
    here: StorePath | None = None  # of another machine's: an interpreter of the same version that runs on this one

    def program(self, store: Store) -> Path:
        """A program of this version that runs here: for uv to ask, and to compile with."""
        found = self.here or self.path
        assert found is not None
        return store.layout.object(found) / Layout(target=Target.host(), python=self.pin.version).interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """`interpreters` by runtime name, `locked` and `stale` by env name; `stale` is empty but for a dry run."""

    interpreters: Mapping[str, Interpreter]
    locked: Mapping[str, LockedLayer]
    stale: Mapping[str, str] = field(default_factory=dict)


def prepare(
    store: Store,
    spec: Spec,
    request: Request,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitute: Substitute = lambda _: None,
) -> Prepared:
    """Read the lock, or make it when it is missing or stale; make the interpreters present.

    Raises LockError when the lock is stale and the request forbids locking.
    """
    stale = {name: reason for name, reason in check(spec).items() if reason is not None}
    if stale and request.locked:
        raise stale_error(spec, stale)
    pins = {} if stale else _pins(read_locks(spec))
    if stale and not request.dry_run:
        return lock_spec(store, spec, request, target=target, uv=uv, report=report, substitute=substitute)
    interpreters = _interpreters(store, spec, pins, request, target=target, uv=uv, report=report, substitute=substitute)
    locked = {locked.env_name: locked for locked in read_locks(spec) if locked.env_name not in stale}
    return Prepared(interpreters=interpreters, locked=locked, stale=stale)


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
    *,
    target: Target,
    uv: Uv,
    report: Report,
    upgrade: bool = False,
    upgrade_packages: tuple[str, ...] = (),
    reset: tuple[str, ...] = (),
    if_needed: bool = True,
    substitute: Substitute = lambda _: None,
) -> Prepared:
    """Lock all layers together, with the interpreters they will run on."""
    pins = {} if upgrade else _pins(read_locks(spec, without=reset))
    interpreters = _interpreters(
        store, spec, pins, request, target=Target.host(), uv=uv, report=report, substitute=substitute, locking=True
    )
    pythons = {}
    for name, interpreter in interpreters.items():
        assert interpreter.path is not None
        pythons[name] = PythonForLocking(path=interpreter.program(store), pin=interpreter.pin)
    locked = lock(
        spec,
        uv=uv,
        pythons=pythons,
        upgrade=upgrade,
        upgrade_packages=upgrade_packages,
        reset=reset,
        if_needed=if_needed,
        local_wheels=request.local_wheels,
        index=request.index,
        report=report,
    )
    if target != Target.host():
        pins = _pins(locked)
        interpreters = _interpreters(
            store, spec, pins, request, target=target, uv=uv, report=report, substitute=substitute
        )
    return Prepared(interpreters=interpreters, locked={one.env_name: one for one in locked})


def _pins(locked: tuple[LockedLayer, ...]) -> dict[str, InterpreterPin]:
    return {one.env_name: one.interpreter for one in locked if one.interpreter is not None}


def _interpreters(
    store: Store,
    spec: Spec,
    pins: Mapping[str, InterpreterPin],
    request: Request,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitute: Substitute,
    locking: bool = False,
) -> dict[str, Interpreter]:
    """By runtime name; for locking also those of runtimes for other machines, as uv asks one of this machine."""
    return {
        layer.name: _interpreter(
            store, layer, pins.get(layer.env_name), request, target=target, uv=uv, report=report, substitute=substitute
        )
        for layer in spec.layers
        if layer.kind == Kind.RUNTIME and (target in layer.targets or (locking and layer.targets))
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
    """The interpreter for the target; for another machine's also one of the same version that runs here."""
    assert layer.python_implementation is not None
    if pin is not None and not pin.satisfies(layer.python_implementation):
        pin = None
    if target == Target.host():
        return _make(store, layer, pin, request, target=target, uv=uv, report=report, substitute=substitute)
    own = pin
    if pin is not None and str(Target.host()) not in pin.downloads:
        own = replace(pin, source="adopted")
    here = _make(store, layer, own, request, target=Target.host(), uv=uv, report=report, substitute=substitute)
    compiler = here.program(store) if here.path else None
    made = _make(
        store,
        layer,
        pin or here.pin,
        request,
        target=target,
        uv=uv,
        report=report,
        substitute=substitute,
        compiler=compiler,
    )
    return replace(made, here=here.path)


def _make(
    store: Store,
    layer: Layer,
    pin: InterpreterPin | None,
    request: Request,
    *,
    target: Target,
    uv: Uv,
    report: Report,
    substitute: Substitute,
    compiler: Path | None = None,
) -> Interpreter:
    """From the store when the pin's recipe is realised there, else from a cache, else made and registered."""
    started = time.monotonic()
    assert layer.python_implementation is not None
    source = None
    if pin is None:
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
                materialise(source, staging, uv=uv, report=report, jobs=request.jobs, compiler=compiler)
                report.stage(name, "hashing and flushing")
                path = store.add(staging, name=name, kind=Kind.INTERPRETER, recipe=recipe).path
    seconds = time.monotonic() - started
    made = "built" if pin.is_managed(target) else "adopted"
    report.finished(name, "substituted" if substituted else made, seconds)
    return Interpreter(name=name, pin=pin, path=path, built=not substituted, substituted=substituted, seconds=seconds)
