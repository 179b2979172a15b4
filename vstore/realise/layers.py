"""Making the object of a node present, once the objects below it are."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import FACTS, read_facts
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.errors import BuildError
from vstore.objects import Kind, StorePath
from vstore.realise.make import Maker
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.obtain import at_hand, obtain
from vstore.realise.session import Session


class Realiser:
    """Realises nodes. Safe for several threads.

    `left_alone` are names of layers that must be present already, `checked` those that are built again and compared.
    """

    def __init__(
        self,
        session: Session,
        maker: Maker,
        *,
        dry_run: bool = False,
        left_alone: Collection[str] = (),
        checked: Collection[str] = (),
    ) -> None:
        self._session = session
        self._store = session.store
        self._maker = maker
        self._dry_run = dry_run
        self._left_alone = left_alone
        self._checked = checked

    def realise(self, node: Recipe, below: Mapping[StorePath, StorePath | None]) -> RealisedLayer:
        """Make a node's object present; `below` are the objects of its dependencies, None where a dry run has none."""
        started = time.monotonic()
        self._session.cancel.check()
        if isinstance(node, InterpreterRecipe):
            return self._maker.interpreters.realise(node)
        origin, path = Origin.TO_BUILD, None
        if None not in below.values():
            origin, path = self._realised(node.over({key: found for key, found in below.items() if found is not None}))
        seconds = time.monotonic() - started
        clashes: tuple[Clash, ...] = ()
        if node.kind != Kind.STACK:
            self._session.told.completed(node.name, str(origin), seconds)
            if path and origin in (Origin.BUILT, Origin.SUBSTITUTED):
                clashes = self._new_clashes(path, below.values())
        return RealisedLayer(name=node.name, kind=node.kind, path=path, origin=origin, seconds=seconds, clashes=clashes)

    def _new_clashes(self, path: StorePath, below: Iterable[StorePath | None]) -> tuple[Clash, ...]:
        """The clashes of a layer that the layers below it do not have."""
        folders = [self._store.layout.object(low) for low in below if low]
        known = {clash for folder in folders if (folder / FACTS).exists() for clash in read_facts(folder).clashes}
        return tuple(one for one in read_facts(self._store.layout.object(path)).clashes if one not in known)

    def _realised(self, recipe: Recipe) -> tuple[Origin, StorePath | None]:
        found = at_hand(self._session, recipe, dry_run=self._dry_run)
        if found is None and recipe.name in self._left_alone:
            raise BuildError(
                f"layer {recipe.name} is not in the store, and --no-dependencies leaves it alone",
                hint="leave out --no-dependencies, or add the layer by --include",
            )
        if found is None:
            return obtain(self._session, recipe, lambda: self._maker.make(recipe), dry_run=self._dry_run)
        origin, path = found
        if origin == Origin.PRESENT and isinstance(recipe, LayerRecipe):
            if recipe.name in self._checked:
                self._maker.check(recipe, path)
                return Origin.CHECKED, path
            if not self._store.distrusted.isdisjoint(recipe.sources):
                self._maker.import_sources(recipe)  # a repair
        return found
