"""Looking ahead: what caches have of a whole stack is known before the first byte of an archive is moved.

A recipe names what is below by store path, and a cache's record of the layer below says that path. So the layers are
asked for one above the other by records alone, side by side where none is above the other, and whatever they give is
brought at once. Nothing relies on it: a layer that was not foreseen, or did not come, is asked for in its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from vstore.build.recipe import interpreter_recipe
from vstore.digest import Digest
from vstore.lock import InterpreterPin, LockedLayer
from vstore.lock.staleness import runtime_of
from vstore.objects import StorePath
from vstore.realise.model import Substitutes
from vstore.realise.recipes import recipe_of
from vstore.spec import Layer, Spec
from vstore.store import Store
from vstore.target import Target


def bring_ahead(
    store: Store,
    spec: Spec,
    wanted: Sequence[Layer],
    locked: Mapping[str, LockedLayer],
    *,
    target: Target,
    substitutes: Substitutes,
) -> None:
    """Start to bring what the store lacks of these layers and their interpreters, and caches have."""
    if substitutes.anybody:
        foresight = _Foresight(store, spec, locked, target, substitutes)
        foresight.look(wanted)
        substitutes.begin(foresight.lacking)


class _Foresight:
    """The objects of layers, as far as the store and the caches know them."""

    def __init__(
        self, store: Store, spec: Spec, locked: Mapping[str, LockedLayer], target: Target, substitutes: Substitutes
    ) -> None:
        self._store = store
        self._spec = spec
        self._locked = locked
        self._target = target
        self._substitutes = substitutes
        self._interpreters: dict[str, tuple[str, StorePath | None]] = {}  # by runtime: version and object
        self._paths: dict[str, StorePath | None] = {}
        self.lacking: list[Digest] = []

    def look(self, wanted: Sequence[Layer]) -> None:
        runtimes = {runtime.name: runtime for runtime in (runtime_of(self._spec, layer) for layer in wanted)}
        pins = {name: pin for name, layer in runtimes.items() if (pin := self._pin(layer)) is not None}
        found = self._objects({name: interpreter_recipe(pin, str(self._target)) for name, pin in pins.items()})
        self._interpreters = {name: (pin.version, found[name]) for name, pin in pins.items()}
        by_name = {layer.env_name: layer for layer in wanted}
        sorter = TopologicalSorter(
            {name: [low.env_name for low in self._spec.lower(layer)] for name, layer in by_name.items()}
        )
        sorter.prepare()
        while ready := sorter.get_ready():
            self._paths |= self._objects({name: self._recipe(by_name[name]) for name in ready})
            sorter.done(*ready)

    def _pin(self, runtime: Layer) -> InterpreterPin | None:
        locked = self._locked.get(runtime.env_name)
        wanted = runtime.python_implementation
        pin = locked.interpreter if locked is not None else None
        return pin if pin is not None and wanted is not None and pin.satisfies(wanted) else None

    def _recipe(self, layer: Layer) -> Digest | None:
        python, interpreter = self._interpreters.get(layer.runtime or layer.name, ("", None))
        lowers = [self._paths[low.env_name] for low in self._spec.lower(layer)]
        locked = self._locked.get(layer.env_name)
        recipe = recipe_of(
            self._spec, layer, locked, self._target, python=python, interpreter=interpreter, lowers=lowers
        )
        return recipe.digest if recipe is not None else None

    def _objects(self, recipes: Mapping[str, Digest | None]) -> dict[str, StorePath | None]:
        """What the recipes give here, else in a cache: asked for at once."""
        here = {recipe: self._store.realisation(recipe) for recipe in recipes.values() if recipe is not None}
        found = self._substitutes.find(recipe for recipe, path in here.items() if path is None)
        self.lacking += found
        return {name: (here.get(recipe) or found.get(recipe)) if recipe else None for name, recipe in recipes.items()}
