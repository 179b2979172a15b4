"""Source objects: the launch and support modules of a spec, imported into the store once and named by content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vstore.build.recipe import Recipe
from vstore.errors import BuildError
from vstore.objects import Kind, StorePath
from vstore.spec import Layer, Spec, copy_source, source_manifest
from vstore.store import Store


def source_path(spec: Spec, module: PurePosixPath) -> StorePath:
    """Return the store path that a module has or would have. Raises SpecError for one that cannot be read."""
    label = re.sub(r"[^A-Za-z0-9@+._-]|^[^A-Za-z0-9_]", "_", module.name)[:127]
    return StorePath.make(source_manifest(spec, module).digest, label)


def import_sources(store: Store, spec: Spec, layer: Layer, recipe: Recipe) -> None:
    """Make the source objects of a layer's recipe present. Raises BuildError for a module that was edited meanwhile."""
    for module, path in zip(layer.modules, recipe.sources, strict=True):
        store.temp_root(path)
        if store.is_valid(path):
            continue
        with store.staging(path.name) as staging:
            copy_source(spec, module, staging)
            made = store.add(staging, name=path.name, kind=Kind.SOURCE).path
        if made != path:
            raise BuildError(f"module {module} of layer {layer.env_name} was edited meanwhile", hint="run it again")
