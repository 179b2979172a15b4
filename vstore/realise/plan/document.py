"""Recipes and nodes as JSON documents: printed by a plan, kept in manifests, and read to build one node elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vstore.build import BUILDER
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.documents import Fields
from vstore.errors import UsageError
from vstore.lock import PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.stack import StackRecipe
from vstore.target import Target
from vstore.values import frozen

_HINT = "`vstore plan SPEC --json` prints nodes"


@frozen(slots=False)
class Node:
    """A node to build: its recipe, and the known objects of its dependencies by key."""

    recipe: Recipe
    objects: Mapping[StorePath, StorePath]


def node_document(node: Recipe, objects: Mapping[StorePath, StorePath]) -> dict[str, object]:
    """Return a node as JSON: the recipe that is hashed, the URLs of its files, and known objects of dependencies."""
    known = {str(key): str(path) for key, path in objects.items()}
    return {"key": str(node.key), "recipe": node.as_json(), "origins": _origins(node), "objects": known}


def _origins(recipe: Recipe) -> dict[str, dict[str, str]]:
    if isinstance(recipe, LayerRecipe):
        return {wheel.sha256: _origin(wheel) for wheel in recipe.wheels}
    if isinstance(recipe, InterpreterRecipe) and recipe.url and recipe.sha256:
        return {recipe.sha256: {"url": recipe.url}}
    return {}


def _origin(wheel: PinnedWheel) -> dict[str, str]:
    location = {"url" if "://" in wheel.location else "path": wheel.location}
    return {"filename": wheel.filename, **location, **({"index": wheel.index} if wheel.index else {})}


def recipe_metadata(recipe: Recipe) -> dict[str, object]:
    """Return the entries of an object's manifest about its recipe: its JSON, and the URLs of its files."""
    origins = {sha256: origin for sha256, origin in _origins(recipe).items() if "url" in origin}
    return {"recipe_text": recipe.as_json(), "origins": origins}


def recorded_recipe(metadata: Mapping[str, object]) -> Recipe:
    """Read the recipe that `recipe_metadata` wrote. Raises UsageError if it, or the URL of a wheel, is missing."""
    return _read_recipe(metadata.get("recipe_text"), metadata.get("origins"))


def read_node(document: object, objects: Mapping[StorePath, StorePath]) -> Node:
    """Read a node. `objects` are further known objects of its dependencies.

    Raises UsageError if it is malformed, of another release, or does not have the key that it states.
    """
    try:
        fields = Fields(document)
        if "recipe" not in fields:
            raise fields.error("recipe", "a table")
        recipe = _read_recipe(fields.values.get("recipe"), fields.values.get("origins"))
        known = fields.texts_by_key("objects")
        own = {StorePath.parse(key): StorePath.parse(path) for key, path in known.items()}
        key = fields.text("key")
    except ValueError as error:
        raise UsageError(f"not a node of a plan: {error}", hint=_HINT) from error
    if str(recipe.key) != key:
        raise UsageError(f"not a node of a plan: its key is {recipe.key}, and it states {key}", hint=_HINT)
    return Node(recipe=recipe, objects={**own, **objects})


def _read_recipe(value: object, origins: object) -> Recipe:
    """Read a recipe. It must be equal to the output of `as_json`."""
    try:
        fields = Fields(value)
        builder = fields.values.get("builder")
        if builder != BUILDER:
            raise UsageError(
                f"the recipe is for builder {builder}, and this vstore has builder {BUILDER}",
                hint="use one release of vstore to make the plan and to build it",
            )
        recipe = _READERS[Kind(fields.text("kind"))](fields, Fields(origins))
    except (ValueError, KeyError) as error:
        raise UsageError(f"not a recipe: {error}", hint=_HINT) from error
    if recipe.as_json() != value:
        raise UsageError("not a recipe: it is not in canonical form", hint=_HINT)
    return recipe


def _interpreter(recipe: Fields, origins: Fields) -> Recipe:
    sha256 = recipe.optional_text("sha256")
    return InterpreterRecipe(
        name=recipe.text("name"),
        target=Target(recipe.text("target")),
        implementation=recipe.text("implementation"),
        version=recipe.text("version"),
        source=recipe.text("source"),
        sha256=sha256,
        url=origins.table(sha256).text("url") if sha256 else None,
    )


def _layer(recipe: Fields, origins: Fields) -> Recipe:
    return LayerRecipe(
        name=recipe.text("name"),
        kind=Kind(recipe.text("kind")),
        target=Target(recipe.text("target")),
        python=recipe.text("python"),
        interpreter=StorePath.parse(recipe.text("interpreter")),
        wheels=tuple(_wheel(row, origins) for row in recipe.rows("wheels", 3)),
        dependencies=tuple(map(StorePath.parse, recipe.texts("lowers"))),
        sources=tuple(map(StorePath.parse, recipe.texts("sources"))),
        launch_module=recipe.optional_text("launch_module"),
        dynlib_exclude=recipe.texts("dynlib_exclude"),
    )


def _wheel(row: tuple[str, ...], origins: Fields) -> PinnedWheel:
    name, version, sha256 = row
    origin = origins.table(sha256)
    place = next((key for key in ("url", "path") if key in origin), None)
    if place is None:
        raise UsageError(f"the recipe does not say where the wheel of {name} {version} is: it was a file elsewhere")
    return PinnedWheel(
        name=name,
        version=version,
        sha256=sha256,
        location=origin.text(place),
        filename=origin.text("filename"),
        index=origin.optional_text("index"),
    )


def _stack(recipe: Fields, origins: Fields) -> Recipe:
    layers = tuple(
        StackLayer(name=name, kind=Kind(kind), path=StorePath.parse(path))
        for name, kind, path in recipe.rows("layers", 3)
    )
    return StackRecipe.of(recipe.text("profile"), Target(recipe.text("target")), layers)


_READERS: dict[Kind, Callable[[Fields, Fields], Recipe]] = {
    Kind.INTERPRETER: _interpreter,
    Kind.RUNTIME: _layer,
    Kind.FRAMEWORK: _layer,
    Kind.APPLICATION: _layer,
    Kind.STACK: _stack,
}
