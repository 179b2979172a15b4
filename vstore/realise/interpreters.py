"""The interpreters of a spec's runtimes: from the store, from a cache, or made and registered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from vstore.build.interpreter import InterpreterSource, choose, materialise
from vstore.build.layout import Layout
from vstore.build.recipe import InterpreterRecipe
from vstore.errors import BuildError
from vstore.lock import InterpreterPin
from vstore.objects import StorePath
from vstore.realise.document import recipe_metadata
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.session import Session
from vstore.spec import Layer
from vstore.store import Store
from vstore.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter: its pin, its object (None in a dry run without one), and how it came to be present."""

    pin: InterpreterPin
    path: StorePath | None
    origin: Origin
    seconds: float


def program_of(store: Store, interpreter: StorePath, version: str) -> Path:
    """Return the program of an interpreter's object that runs here."""
    return store.layout.object(interpreter) / Layout(target=Target.host(), python=version).interpreter


class Interpreters:
    """Makes interpreters present, each once in a session. Its methods run in several threads."""

    def __init__(self, session: Session, *, offline: bool = False, dry_run: bool = False) -> None:
        self._session = session
        self._offline = offline
        self._dry_run = dry_run
        self._chosen: dict[InterpreterRecipe, InterpreterSource] = {}
        self._pins: dict[str, InterpreterPin] = {}  # by version
        self._made: dict[InterpreterRecipe, Interpreter] = {}

    def pin(self, runtime: Layer, locked: InterpreterPin | None) -> InterpreterPin:
        """Return the pin of a runtime: the locked one if the spec still allows it, else the one that this machine has.

        Raises BuildError where there is none.
        """
        wanted = runtime.python_implementation
        assert wanted is not None
        if locked is None or not locked.satisfies(wanted):
            host = Target.host()
            source = choose(wanted, pin=None, uv=self._session.uv, target=str(host), offline=self._offline)
            self._chosen[InterpreterRecipe.of(source.pin, host)] = source
            locked = source.pin
        self._pins[locked.version] = locked
        return locked

    def make(self, pin: InterpreterPin, target: Target) -> Interpreter:
        """Make the pinned interpreter present. Raises BuildError, ToolError or StoreError."""
        recipe = InterpreterRecipe.of(pin, target)
        if recipe not in self._made:
            self._made[recipe] = self._realised(recipe, pin, target)
        return self._made[recipe]

    def program(self, pin: InterpreterPin) -> Path:
        """Make the pinned interpreter of this machine present, and return its program."""
        path = self.make(pin, Target.host()).path
        if path is None:
            raise BuildError(f"CPython {pin.version} is not in the store", hint="a dry run makes none")
        return program_of(self._session.store, path, pin.version)

    def compiler(self, version: str) -> Path:
        """Return a program of this version that runs here, for what is made for another machine.

        Where no managed build for this machine is pinned, it is one adopted here.
        """
        pin = self._pins.get(version)
        if pin is None or str(Target.host()) not in pin.downloads:
            pin = InterpreterPin(implementation="cpython", version=version, source="adopted")
        return self.program(pin)

    def layer(self, recipe: InterpreterRecipe) -> RealisedLayer:
        """Make a node's interpreter present, as a layer of the result."""
        made = self.make(recipe.pin, Target(recipe.target))
        return RealisedLayer(
            name=recipe.name, kind=recipe.kind, path=made.path, origin=made.origin, seconds=made.seconds
        )

    def _realised(self, recipe: InterpreterRecipe, pin: InterpreterPin, target: Target) -> Interpreter:
        """From a cache or the store when the recipe is realised there, else made and registered."""
        started = time.monotonic()
        store, substitutes = self._session.store, self._session.substitutes
        origin = Origin.PRESENT
        path = brought = substitutes.begun(recipe.digest)
        path = path or store.realisation(recipe.digest)
        if path is None and self._dry_run:
            path = brought = substitutes.substitute(recipe.digest)
            origin = Origin.TO_BUILD
        elif path is None:
            with store.recipe_lock(recipe.digest):
                path = store.realisation(recipe.digest)
                if path is None:
                    path = brought = substitutes.substitute(recipe.digest)
                if path is None:
                    path = self._build(recipe, pin, target)
                    origin = Origin.BUILT if pin.is_managed(target) else Origin.ADOPTED
        if brought:
            origin = Origin.TO_SUBSTITUTE if self._dry_run else Origin.SUBSTITUTED
        seconds = time.monotonic() - started
        if origin in (Origin.BUILT, Origin.ADOPTED, Origin.SUBSTITUTED):
            self._session.report.finished(recipe.name, str(origin), seconds)
        return Interpreter(pin=pin, path=path, origin=origin, seconds=seconds)

    def _build(self, recipe: InterpreterRecipe, pin: InterpreterPin, target: Target) -> StorePath:
        session = self._session
        source = self._chosen.get(recipe) or choose(
            f"{pin.implementation}@{pin.version}", pin=pin, uv=session.uv, target=str(target), offline=self._offline
        )
        compiler = None if target == Target.host() else self.compiler(pin.version)
        with session.store.staging(recipe.name) as staging:
            materialise(source, staging, uv=session.uv, report=session.report, jobs=session.jobs, compiler=compiler)
            session.report.stage(recipe.name, "hashing and flushing")
            metadata = recipe_metadata(recipe)
            return session.store.add(
                staging, name=recipe.name, kind=recipe.kind, recipe=recipe.digest, metadata=metadata
            ).path
