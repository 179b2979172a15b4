"""Source objects: the launch and support modules of a spec, imported into the store once and named by content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vstore.build.recipe import LayerRecipe
from vstore.errors import BuildError, StoreError
from vstore.objects import Kind, StorePath
from vstore.spec import Spec, copy_source, source_manifest
from vstore.store import Store


class Sources:
    """The modules of a spec, and the store paths that they have or would have."""

    def __init__(self, store: Store, spec: Spec) -> None:
        self._store = store
        self._spec = spec
        self._modules: dict[StorePath, PurePosixPath] = {}

    def path(self, module: PurePosixPath) -> StorePath:
        """Return the store path of a module as it lies there now. Raises SpecError for one that cannot be read."""
        label = re.sub(r"[^A-Za-z0-9@+._-]|^[^A-Za-z0-9_]", "_", module.name)[:127]
        path = StorePath.make(source_manifest(self._spec, module).digest, label)
        self._modules[path] = module
        return path

    def add(self, recipe: LayerRecipe) -> None:
        """Make the source objects of a recipe present. Raises BuildError for a module that was edited meanwhile."""
        for path in recipe.sources:
            self._store.add_temp_root(path)
            if self._store.is_valid(path):
                continue
            module = self._modules[path]
            with self._store.staging(path.name) as staging:
                copy_source(self._spec, module, staging)
                made = self._store.add(staging, name=path.name, kind=Kind.SOURCE).path
            if made != path:
                raise BuildError(f"module {module} of layer {recipe.name} was edited meanwhile", hint="run it again")


def require(store: Store, recipe: LayerRecipe) -> None:
    """Raise StoreError unless all that a recipe names is in the store."""
    needed = (*recipe.all_dependencies, *recipe.sources)
    store.add_temp_root(*needed)
    gone = [str(path) for path in needed if not store.is_valid(path)]
    if gone:
        raise StoreError(
            f"{recipe.name} is built from what is not in the store: {', '.join(gone)}",
            hint="`vstore plan SPEC` imports modules, `vstore build` makes what is below; or pull them",
        )
