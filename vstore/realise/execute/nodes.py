"""Realising one node, once the objects of its dependencies are present."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import read_metadata
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.errors import BuildError
from vstore.objects import LAYER_FILE, Kind, StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.execute.present import find_present, substitute_or_build
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.session import Session


class NodeBuilder(Protocol):
    """Builds the object of a node under the lock of its recipe: `ObjectBuilder`, for instance."""

    interpreters: Interpreters
    import_sources: Callable[[LayerRecipe], None]

    def build(self, recipe: Recipe) -> StorePath:
        """Build an object and add it to the store. Raises BuildError, ToolError or StoreError."""

    def compare(self, recipe: LayerRecipe, known: StorePath) -> None:
        """Build a layer again. Raises NotReproducibleError if its bytes are not those of the known object."""


class NodeRealiser:
    """Realises nodes. Safe for several threads.

    Layers named in `must_be_present` are never built. Those named in `rebuild_and_compare` are built again, and the two
    results are compared.
    """

    def __init__(
        self,
        session: Session,
        builder: NodeBuilder,
        *,
        dry_run: bool = False,
        must_be_present: Collection[str] = (),
        rebuild_and_compare: Collection[str] = (),
    ) -> None:
        self._session = session
        self._store = session.store
        self._builder = builder
        self._dry_run = dry_run
        self._must_be_present = must_be_present
        self._rebuild_and_compare = rebuild_and_compare

    def realise(self, node: Recipe, below: Mapping[StorePath, StorePath | None]) -> RealisedLayer:
        """Realise a node over the objects of its dependencies, which are None in a dry run if not known.

        Raises BuildError, ToolError, StoreError, NotReproducibleError or Cancelled.
        """
        started = time.monotonic()
        self._session.cancel.check()
        if isinstance(node, InterpreterRecipe):
            return self._builder.interpreters.realise(node)
        origin, path = Origin.TO_BUILD, None
        if None not in below.values():
            origin, path = self._realise(node.over({key: found for key, found in below.items() if found is not None}))
        seconds = time.monotonic() - started
        clashes: tuple[Clash, ...] = ()
        if node.kind != Kind.STACK:
            self._session.reporter.completed(node.name, str(origin), seconds)
            if path and origin in (Origin.BUILT, Origin.SUBSTITUTED):
                clashes = self._new_clashes(path, below.values())
        return RealisedLayer(name=node.name, kind=node.kind, path=path, origin=origin, seconds=seconds, clashes=clashes)

    def _new_clashes(self, path: StorePath, below: Iterable[StorePath | None]) -> tuple[Clash, ...]:
        """Return the clashes of a layer that the layers below it do not have."""
        folders = [self._store.layout.object(low) for low in below if low]
        layers = (folder for folder in folders if (folder / LAYER_FILE).exists())
        known = {clash for layer in layers for clash in read_metadata(layer).clashes}
        return tuple(one for one in read_metadata(self._store.layout.object(path)).clashes if one not in known)

    def _realise(self, recipe: Recipe) -> tuple[Origin, StorePath | None]:
        found = find_present(self._session, recipe, dry_run=self._dry_run)
        if found is None and recipe.name in self._must_be_present:
            raise BuildError(
                f"layer {recipe.name} is not in the store, and with --no-dependencies it is not built",
                hint="leave out --no-dependencies, or add the layer by --include",
            )
        if found is None:
            return substitute_or_build(
                self._session, recipe, lambda: self._builder.build(recipe), dry_run=self._dry_run
            )
        origin, path = found
        if origin == Origin.PRESENT and isinstance(recipe, LayerRecipe):
            if recipe.name in self._rebuild_and_compare:
                self._builder.compare(recipe, path)
                return Origin.CHECKED, path
            if not self._store.distrusted.isdisjoint(recipe.sources):
                self._builder.import_sources(recipe)  # a repair
        return found
