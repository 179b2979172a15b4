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


def node_document(node: Recipe, objects: Mapping[StorePath, StorePath]) -> dict[str, object]:
    """Return a node as JSON: the recipe that is hashed, where the bytes may be had, known objects of what it needs."""
    origins: dict[str, dict[str, str]] = {}
    if isinstance(node, LayerRecipe):
        origins = {wheel.sha256: _origin(wheel) for wheel in node.wheels}
    elif isinstance(node, InterpreterRecipe) and node.url and node.sha256:
        origins = {node.sha256: {"url": node.url}}
    known = {str(key): str(path) for key, path in objects.items()}
    return {"key": str(node.key), "recipe": node.as_json(), "origins": origins, "objects": known}


def read_node(document: Any) -> tuple[Recipe, dict[StorePath, StorePath]]:
    """Read a node, and the objects that its document knows.

    Raises UsageError for what is no node, is of another release, or has another key than it says.
    """
    try:
        recipe = document["recipe"]
        if recipe["builder"] != BUILDER:
            raise UsageError(
                f"the node is for builder {recipe['builder']}, and this vstore has builder {BUILDER}",
                hint="make the plan and build it with one release of vstore",
            )
        node = _READERS[Kind(recipe["kind"])](recipe, document["origins"])
        objects = {StorePath.parse(key): StorePath.parse(path) for key, path in document["objects"].items()}
        same = node.as_json() == recipe and str(node.key) == document["key"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"not a node of a plan: {error}", hint="`vstore plan SPEC --json` prints nodes") from error
    if not same:
        raise UsageError(f"not a node of a plan: its text does not give its key {document['key']}")
    return node, objects


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
        lowers=tuple(map(StorePath.parse, recipe["lowers"])),
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
