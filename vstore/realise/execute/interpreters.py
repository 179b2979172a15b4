"""The interpreters of runtimes: present in the store, else substituted, else adopted or downloaded."""

from __future__ import annotations

import time
from pathlib import Path

from vstore.build.interpreter.source import InterpreterSource, build_interpreter, choose_source
from vstore.build.layout import LayerLayout
from vstore.build.recipe import InterpreterRecipe
from vstore.errors import BuildError
from vstore.lock import InterpreterPin
from vstore.objects import StorePath
from vstore.python_version import PythonRequirement, PythonVersion
from vstore.realise.execute.present import find_present, substitute_or_build
from vstore.realise.execute.statement import state_build
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.plan.document import recipe_metadata
from vstore.realise.session import Session
from vstore.store import Provenance, Store
from vstore.target import Target


def program_of(store: Store, interpreter: StorePath, version: str) -> Path:
    """Return the executable of an interpreter for this machine."""
    layout = LayerLayout(target=Target.host(), python=PythonVersion.parse(version))
    return store.layout.object(interpreter) / layout.interpreter


class Interpreters:
    """Realises interpreters, each once in a session. Its methods are called from several threads.

    `compiler` is the object of this machine's interpreter that compiles modules for others, if it is known.
    """

    def __init__(self, session: Session, *, dry_run: bool = False, compiler: StorePath | None = None) -> None:
        self._session = session
        self._dry_run = dry_run
        self._compiler = compiler
        self._chosen: dict[InterpreterRecipe, InterpreterSource] = {}
        self._pins: dict[str, InterpreterPin] = {}  # by version
        self._realised: dict[InterpreterRecipe, RealisedLayer] = {}

    def pin(self, wanted: PythonRequirement, locked: InterpreterPin | None) -> InterpreterPin:
        """Return the locked pin if the requirement allows it, else a pin of the best interpreter that is available.

        Raises BuildError if there is none.
        """
        if locked is None or not locked.satisfies(wanted):
            host = Target.host()
            source = choose_source(wanted, pin=None, uv=self._session.uv, target=host)
            self._chosen[InterpreterRecipe.of(source.pin, host)] = source
            why = (
                "nothing is locked"
                if locked is None
                else f"the lock has CPython {locked.version}, and {wanted} is wanted"
            )
            place = f"adopted from {source.local.executable}" if source.local is not None else "a managed build"
            self._session.reporter.detail(f"interpreter for {wanted}: {source.pin.version}, {place}; {why}")
            locked = source.pin
        else:
            self._session.reporter.detail(f"interpreter for {wanted}: {locked.version}, as the lock says")
        self._pins[locked.version] = locked
        return locked

    def realise(self, recipe: InterpreterRecipe) -> RealisedLayer:
        """Realise an interpreter. A dry run builds none. Raises BuildError, ToolError or StoreError."""
        if recipe not in self._realised:
            self._realised[recipe] = self._realise(recipe)
        return self._realised[recipe]

    def program(self, pin: InterpreterPin) -> Path:
        """Realise the pinned interpreter for this machine, and return its executable. In a dry run BuildError."""
        return program_of(self._session.store, self._of_host(pin), pin.version)

    def _of_host(self, pin: InterpreterPin) -> StorePath:
        path = self.realise(InterpreterRecipe.of(pin, Target.host())).path
        if path is None:
            raise BuildError(f"CPython {pin.version} is not in the store", hint="run without --dry-run to add it")
        return path

    def compiler(self, version: str) -> StorePath:
        """Return an interpreter of this version for this machine, which compiles modules for other machines.

        It is adopted from this machine if no managed build for it is pinned.
        """
        if self._compiler is not None:
            return self._compiler
        pin = self._pins.get(version)
        if pin is None or str(Target.host()) not in pin.downloads:
            pin = InterpreterPin(implementation="cpython", version=version, source="adopted")
        return self._of_host(pin)

    def _realise(self, recipe: InterpreterRecipe) -> RealisedLayer:
        started = time.monotonic()
        found = find_present(self._session, recipe, dry_run=self._dry_run)
        origin, path = found or substitute_or_build(
            self._session, recipe, lambda: self._build(recipe), dry_run=self._dry_run
        )
        if origin == Origin.BUILT and not recipe.pin.is_managed(recipe.target):
            origin = Origin.ADOPTED
        seconds = time.monotonic() - started
        if origin in (Origin.BUILT, Origin.ADOPTED, Origin.SUBSTITUTED):
            self._session.reporter.completed(recipe.name, str(origin), seconds)
        return RealisedLayer(name=recipe.name, kind=recipe.kind, path=path, origin=origin, seconds=seconds)

    def _build(self, recipe: InterpreterRecipe) -> StorePath:
        session, wanted = self._session, PythonRequirement(recipe.implementation, recipe.version)
        known = self._pins.get(recipe.version)  # with the builds for other targets, for errors
        pin = known if known and InterpreterRecipe.of(known, recipe.target) == recipe else recipe.pin
        source = self._chosen.get(recipe) or choose_source(wanted, pin=pin, uv=session.uv, target=recipe.target)
        compiler = None
        if recipe.target != Target.host():
            compiler = program_of(session.store, self.compiler(recipe.version), recipe.version)
        started = time.monotonic()
        with session.store.staging(recipe.name) as staging:
            build_interpreter(
                source, staging, uv=session.uv, reporter=session.reporter, jobs=session.jobs, compiler=compiler
            )
            session.reporter.progress(recipe.name, "hashing and flushing")
            builds = (state_build(recipe, time.monotonic() - started),)
            provenance = Provenance(recipe=recipe.digest, metadata=recipe_metadata(recipe), builds=builds)
            return session.store.add(staging, name=recipe.name, kind=recipe.kind, provenance=provenance).path
