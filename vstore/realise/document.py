"""Nodes as documents: what a plan prints, and what builds one node somewhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vstore.build import BUILDER
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.errors import UsageError
from vstore.lock import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.stack import StackRecipe
from vstore.target import Target

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
_HINT = "`vstore plan SPEC --json` prints nodes"


def node_document(node: Recipe, objects: Mapping[StorePath, StorePath]) -> dict[str, object]:
    """Return a node as JSON: the recipe that is hashed, where the bytes may be had, known objects of what it needs."""
    known = {str(key): str(path) for key, path in objects.items()}
    return {"key": str(node.key), "recipe": node.as_json(), "origins": _origins(node), "objects": known}


def _origins(recipe: Recipe) -> dict[str, dict[str, str]]:
    if isinstance(recipe, LayerRecipe):
        return {wheel.sha256: _origin(wheel) for wheel in recipe.wheels}
    if isinstance(recipe, InterpreterRecipe) and recipe.url and recipe.sha256:
        return {recipe.sha256: {"url": recipe.url}}
    return {}


def recipe_metadata(recipe: Recipe) -> dict[str, object]:
    """Return what an object's manifest keeps of its recipe: the text, and the URLs of the bytes."""
    origins = {sha256: origin for sha256, origin in _origins(recipe).items() if "url" in origin}
    return {"recipe_text": recipe.as_json(), "origins": origins}


def recorded_recipe(metadata: Mapping[str, Any]) -> Recipe:
    """Read the recipe that `recipe_metadata` wrote. Raises UsageError where it, or a wheel's URL, is not there."""
    return _read(metadata.get("recipe_text"), metadata.get("origins"))


def read_node(document: Any) -> tuple[Recipe, dict[StorePath, StorePath]]:
    """Read a node, and the objects that its document knows.

    Raises UsageError for what is no node, is of another release, or has another key than it says.
    """
    try:
        node = _read(document["recipe"], document["origins"])
        objects = {StorePath.parse(key): StorePath.parse(path) for key, path in document["objects"].items()}
        same = str(node.key) == document["key"]
    except _MALFORMED as error:
        raise UsageError(f"not a node of a plan: {error}", hint=_HINT) from error
    if not same:
        raise UsageError(f"not a node of a plan: its text does not give its key {document['key']}", hint=_HINT)
    return node, objects


def _read(text: Any, origins: Any) -> Recipe:
    """Read a recipe that would be written as it is."""
    try:
        if text["builder"] != BUILDER:
            raise UsageError(
                f"the recipe is for builder {text['builder']}, and this vstore has builder {BUILDER}",
                hint="make the plan and build it with one release of vstore",
            )
        recipe = _READERS[Kind(text["kind"])](text, origins)
    except _MALFORMED as error:
        raise UsageError(f"not a recipe: {error}", hint=_HINT) from error
    if recipe.as_json() != text:
        raise UsageError("not a recipe: it would be written in another way", hint=_HINT)
    return recipe


def _origin(wheel: PinnedWheel) -> dict[str, str]:
    place = {"url" if "://" in wheel.location else "path": wheel.location}
    return {"filename": wheel.filename, **place, **({"index": wheel.index} if wheel.index else {})}


def _interpreter(recipe: Any, origins: Any) -> Recipe:
    return InterpreterRecipe(
        name=recipe["name"],
        target=Target(recipe["target"]),
        implementation=_text(recipe["implementation"]),
        version=_text(recipe["version"]),
        source=_text(recipe["source"]),
        sha256=recipe["sha256"],
        url=_text(origins[recipe["sha256"]]["url"]) if recipe["sha256"] else None,
    )


def _layer(recipe: Any, origins: Any) -> Recipe:
    return LayerRecipe(
        name=recipe["name"],
        kind=Kind(recipe["kind"]),
        target=Target(recipe["target"]),
        python=_text(recipe["python"]),
        interpreter=StorePath.parse(recipe["interpreter"]),
        wheels=tuple(_wheel(row, origins[row[2]]) for row in recipe["wheels"]),
        dependencies=tuple(map(StorePath.parse, recipe["lowers"])),
        sources=tuple(map(StorePath.parse, recipe["sources"])),
        launch_module=recipe["launch_module"] and _text(recipe["launch_module"]),
        dynlib_exclude=tuple(map(_text, recipe.get("dynlib_exclude", ()))),
    )


def _wheel(row: Any, origin: Any) -> PinnedWheel:
    name, version, sha256 = map(_text, row)
    return PinnedWheel(
        name=name,
        version=version,
        sha256=sha256,
        location=_text(origin["url"] if "url" in origin else origin["path"]),
        filename=_text(origin["filename"]),
        index=origin.get("index"),
    )


def _stack(recipe: Any, origins: Any) -> Recipe:
    layers = tuple(
        StackLayer(name=_text(name), kind=Kind(kind), path=StorePath.parse(path))
        for name, kind, path in recipe["layers"]
    )
    return StackRecipe.of(_text(recipe["profile"]), Target(recipe["target"]), layers)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


_READERS = {
    Kind.INTERPRETER: _interpreter,
    Kind.RUNTIME: _layer,
    Kind.FRAMEWORK: _layer,
    Kind.APPLICATION: _layer,
    Kind.STACK: _stack,
}
