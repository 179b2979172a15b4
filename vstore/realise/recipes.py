"""From a layer, its lock and the objects below to its recipe."""

from __future__ import annotations

from collections.abc import Sequence

from vstore.build.recipe import Recipe
from vstore.lock import LockedLayer
from vstore.lock.select import select
from vstore.objects import StorePath
from vstore.realise.sources import source_path
from vstore.spec import Layer, Spec
from vstore.target import Target


def recipe_of(
    spec: Spec,
    layer: Layer,
    locked: LockedLayer | None,
    target: Target,
    *,
    python: str,
    interpreter: StorePath | None,
    lowers: Sequence[StorePath | None],
) -> Recipe | None:
    """The layer's recipe; None while its lock or an object below is not known."""
    if locked is None or interpreter is None or None in lowers:
        return None
    return Recipe(
        name=layer.env_name,
        kind=layer.kind,
        target=str(target),
        python=python,
        interpreter=interpreter,
        wheels=select(locked, layer, target, python),
        lowers=tuple(path for path in lowers if path is not None),
        sources=tuple(source_path(spec, module) for module in layer.modules),
        launch_module=layer.launch_module.stem if layer.launch_module else None,
        dynlib_exclude=tuple(sorted(set(layer.dynlib_exclude))),
    )
