"""The interpreters of a spec's runtimes: from the store, from a cache, or made and registered."""

from __future__ import annotations

import time
from pathlib import Path

from vstore.build.interpreter.provide import InterpreterSource, choose, materialise
from vstore.build.layout import Layout
from vstore.build.recipe import InterpreterRecipe
from vstore.errors import BuildError
from vstore.lock import InterpreterPin
from vstore.objects import StorePath
from vstore.realise.document import recipe_metadata
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.obtain import at_hand, obtain
from vstore.realise.session import Session
from vstore.spec import Layer
from vstore.store import Provenance, Store
from vstore.target import Target


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
        self._made: dict[InterpreterRecipe, RealisedLayer] = {}

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

    def realise(self, recipe: InterpreterRecipe) -> RealisedLayer:
        """Make the interpreter present; without an object in a dry run. Raises BuildError, ToolError or StoreError."""
        if recipe not in self._made:
            self._made[recipe] = self._realised(recipe)
        return self._made[recipe]

    def program(self, pin: InterpreterPin) -> Path:
        """Make the pinned interpreter of this machine present, and return its program."""
        path = self.realise(InterpreterRecipe.of(pin, Target.host())).path
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

    def _realised(self, recipe: InterpreterRecipe) -> RealisedLayer:
        started = time.monotonic()
        found = at_hand(self._session, recipe, dry_run=self._dry_run)
        origin, path = found or obtain(self._session, recipe, lambda: self._build(recipe), dry_run=self._dry_run)
        if origin == Origin.BUILT and not recipe.pin.is_managed(recipe.target):
            origin = Origin.ADOPTED
        seconds = time.monotonic() - started
        if origin in (Origin.BUILT, Origin.ADOPTED, Origin.SUBSTITUTED):
            self._session.reporter.completed(recipe.name, str(origin), seconds)
        return RealisedLayer(name=recipe.name, kind=recipe.kind, path=path, origin=origin, seconds=seconds)

    def _build(self, recipe: InterpreterRecipe) -> StorePath:
        session, wanted = self._session, f"{recipe.implementation}@{recipe.version}"
        known = self._pins.get(recipe.version)  # it has the builds for other targets too, which an error names
        pin = known if known and InterpreterRecipe.of(known, recipe.target) == recipe else recipe.pin
        source = self._chosen.get(recipe) or choose(
            wanted, pin=pin, uv=session.uv, target=recipe.target, offline=self._offline
        )
        compiler = None if recipe.target == Target.host() else self.compiler(recipe.version)
        with session.store.staging(recipe.name) as staging:
            materialise(source, staging, uv=session.uv, reporter=session.reporter, jobs=session.jobs, compiler=compiler)
            session.reporter.progress(recipe.name, "hashing and flushing")
            provenance = Provenance(recipe=recipe.digest, metadata=recipe_metadata(recipe))
            return session.store.add(staging, name=recipe.name, kind=recipe.kind, provenance=provenance).path
