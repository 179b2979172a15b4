"""The interpreters of a spec's runtimes: from the store, from a cache, or made and registered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vstore.build.interpreter import InterpreterSource, choose, materialise
from vstore.build.layout import Layout
from vstore.build.recipe import interpreter_recipe
from vstore.digest import Digest
from vstore.lock import InterpreterPin
from vstore.objects import Kind, StorePath
from vstore.realise.model import Request, Substitutes
from vstore.report import Report
from vstore.spec import Layer
from vstore.store import Store
from vstore.target import Target
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
class Interpreters:
    """Makes interpreters present."""

    store: Store
    request: Request
    uv: Uv
    report: Report
    substitutes: Substitutes

    def of(
        self, runtimes: Iterable[Layer], pins: Mapping[str, InterpreterPin], target: Target
    ) -> dict[str, Interpreter]:
        """Those of these runtimes for a target, by the runtime's name; `pins` are by env name."""
        return {layer.name: self._for_target(layer, pins.get(layer.env_name), target) for layer in runtimes}

    def _for_target(self, layer: Layer, pin: InterpreterPin | None, target: Target) -> Interpreter:
        """For another machine's target also make one of the same version that runs here."""
        assert layer.python_implementation is not None
        if pin is not None and not pin.satisfies(layer.python_implementation):
            pin = None
        host = Target.host()
        if target == host:
            return self._make(layer, pin, target)
        own = pin
        if pin is not None and str(host) not in pin.downloads:
            own = replace(pin, source="adopted")
        here = self._make(layer, own, host)
        compiler = here.program(self.store) if here.path else None
        return replace(self._make(layer, pin or here.pin, target, compiler=compiler), here=here.path)

    def _make(
        self, layer: Layer, pin: InterpreterPin | None, target: Target, *, compiler: Path | None = None
    ) -> Interpreter:
        """From a cache or the store when the pin's recipe is realised there, else made and registered."""
        started = time.monotonic()
        assert layer.python_implementation is not None
        source, built = None, False
        if pin is None:
            source = self._choose(layer.python_implementation, None, target)
            pin = source.pin
        name = f"{pin.implementation}-{pin.version}"
        recipe = interpreter_recipe(pin, str(target))
        brought = self.substitutes.begun(recipe)
        path = brought or self.store.realisation(recipe)
        if path is None and self.request.dry_run:
            path = brought = self.substitutes.substitute(recipe)
        elif path is None:
            with self.store.recipe_lock(recipe):
                path = self.store.realisation(recipe)
                if path is None:
                    path = brought = self.substitutes.substitute(recipe)
                if path is None:
                    source = source or self._choose(layer.python_implementation, pin, target)
                    path, built = self._build(source, name, recipe, compiler), True
        seconds = time.monotonic() - started
        if built:
            self.report.finished(name, "built" if pin.is_managed(target) else "adopted", seconds)
        elif brought and not self.request.dry_run:
            self.report.finished(name, "substituted", seconds)
        return Interpreter(name=name, pin=pin, path=path, built=built, substituted=brought is not None, seconds=seconds)

    def _choose(self, wanted: str, pin: InterpreterPin | None, target: Target) -> InterpreterSource:
        return choose(wanted, pin=pin, uv=self.uv, target=str(target), offline=self.request.offline)

    def _build(self, source: InterpreterSource, name: str, recipe: Digest, compiler: Path | None) -> StorePath:
        with self.store.staging(name) as staging:
            materialise(source, staging, uv=self.uv, report=self.report, jobs=self.request.jobs, compiler=compiler)
            self.report.stage(name, "hashing and flushing")
            return self.store.add(staging, name=name, kind=Kind.INTERPRETER, recipe=recipe).path
