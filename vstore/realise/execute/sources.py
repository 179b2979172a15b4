"""Source objects: the modules of a spec, imported into the store and named by their content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vstore.build.recipe import LayerRecipe
from vstore.errors import BuildError, StoreError
from vstore.objects import Kind, StorePath
from vstore.spec import Spec, copy_source, source_manifest
from vstore.store import Store


class ModuleSources:
    """The modules of a spec with the store paths of their source objects."""

    def __init__(self, store: Store, spec: Spec) -> None:
        self._store = store
        self._spec = spec
        self._modules: dict[StorePath, PurePosixPath] = {}

    def path(self, module: PurePosixPath) -> StorePath:
        """Return the store path of a module with its present content. Raises SpecError if it cannot be read."""
        path = StorePath.make(source_manifest(self._spec, module).digest, source_label(module.name))
        self._modules[path] = module
        return path

    def import_all(self, recipe: LayerRecipe) -> None:
        """Add the source objects of a recipe to the store. Raises BuildError if a module has changed."""
        for path in recipe.sources:
            self._store.add_temp_root(path)
            if self._store.is_valid(path):
                continue
            module = self._modules[path]
            with self._store.staging(path.name) as staging:
                copy_source(self._spec, module, staging)
                made = self._store.add(staging, name=path.name, kind=Kind.SOURCE).path
            if made != path:
                raise BuildError(
                    f"module {module} of layer {recipe.name} has changed in the meantime", hint="run the command again"
                )


def source_label(name: str) -> str:
    """Return the name of the source object of a file or a folder."""
    return re.sub(r"[^A-Za-z0-9@+._-]|^[^A-Za-z0-9_]", "_", name)[:127]


def require_inputs(store: Store, recipe: LayerRecipe) -> None:
    """Raise StoreError unless the dependencies and the source objects of a recipe are in the store."""
    needed = (*recipe.all_dependencies, *recipe.sources)
    store.add_temp_root(*needed)
    missing = [str(path) for path in needed if not store.is_valid(path)]
    if missing:
        raise StoreError(
            f"{recipe.name} needs objects that are not in the store: {', '.join(missing)}",
            hint="`vstore plan SPEC` imports modules, `vstore build` builds dependencies, `vstore pull` fetches both",
        )
