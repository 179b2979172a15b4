"""Recipes of small layers without wheels, over the interpreter of a realised world; for tests of executors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.testing.machine import Said
from scripts.testing.world import World
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.lock import PinnedWheel
from vstore.objects import SOURCE_FOLDER, Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.object_builder import ObjectBuilder
from vstore.realise.execute.sources import require_inputs
from vstore.realise.plan.document import recorded_recipe
from vstore.realise.session import Session
from vstore.realise.stack import StackRecipe
from vstore.reporter import Reporter, Unit
from vstore.store import Store
from vstore.target import Target


class Listening(Said):
    """Remembers what was completed; calls `on_progress` with each subject and activity."""

    def __init__(self) -> None:
        super().__init__()
        self.on_progress: Callable[[str, str], object] = lambda subject, activity: None
        self.outcomes: list[tuple[str, str]] = []

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        self.on_progress(subject, activity)

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        self.outcomes.append((subject, outcome))


@dataclass
class SmallLayers:
    """A store with an interpreter, whose recipe is `interpreter`; makes recipes of layers with one module each."""

    world: World
    store: Store
    interpreter: InterpreterRecipe

    @classmethod
    @contextmanager
    def opened(cls, world: World) -> Iterator[SmallLayers]:
        with Store.open(world.root) as store:
            found = next(info.path for info in store.objects.all() if info.kind == Kind.INTERPRETER)
            interpreter = recorded_recipe(store.manifest(found)[1])
            assert isinstance(interpreter, InterpreterRecipe)
            yield cls(world, store, interpreter)

    def session(self, reporter: Reporter | None = None) -> Session:
        return Session.open(self.store, offline=True, environment=self.world.environment(), reporter=reporter)

    def nodes(self, *recipes: Recipe) -> dict[StorePath, Recipe]:
        """The graph of these nodes and their interpreter."""
        return {one.key: one for one in (self.interpreter, *recipes)}

    def layer(self, name: str, *below: LayerRecipe, wheels: tuple[PinnedWheel, ...] = ()) -> LayerRecipe:
        """A layer; those below are a runtime, or frameworks over it."""
        with self.store.staging(f"{name}.py") as staging:
            (staging / SOURCE_FOLDER).mkdir()
            (staging / SOURCE_FOLDER / f"{name}.py").write_text(f"NAME = {name!r}\n")
            source = self.store.add(staging, name=f"{name}.py", kind=Kind.SOURCE).path
        return LayerRecipe(
            name=name,
            kind=Kind.FRAMEWORK if below else Kind.RUNTIME,
            target=Target.host(),
            python=self.interpreter.version,
            interpreter=self.interpreter.key,
            wheels=wheels,
            dependencies=tuple(one.key for one in below),
            sources=(source,),
        )

    def broken(self, name: str, *below: LayerRecipe) -> LayerRecipe:
        """A layer whose wheel is not there."""
        place = str(self.world.wheels / "gone-1-py3-none-any.whl")
        wheel = PinnedWheel(name="gone", version="1", sha256="0" * 64, location=place, filename=Path(place).name)
        return self.layer(name, *below, wheels=(wheel,))

    def stack(self, *layers: LayerRecipe) -> StackRecipe:
        rows = tuple(StackLayer(name=one.name, kind=one.kind, path=one.key) for one in layers)
        return StackRecipe.of("p", Target.host(), rows)

    def is_clean(self) -> bool:
        """Whether nothing is left of builds that were begun."""
        locks = os.listdir(self.store.layout.root / "locks")
        return os.listdir(self.store.layout.tmp) == ["trash"] and not any(one.startswith("recipe-") for one in locks)


def object_builder(session: Session) -> ObjectBuilder:
    def require(recipe: LayerRecipe) -> None:
        require_inputs(session.store, recipe)

    return ObjectBuilder(session, Interpreters(session), import_sources=require)
