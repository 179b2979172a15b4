"""Stacks: the object of a generation has a link per layer, a link per application, and `stack.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from vstore.build.layer_metadata import read_metadata
from vstore.build.recipe import Recipe
from vstore.build.scripts.windows import link_application
from vstore.fs.links import make_link
from vstore.objects import STACK_FILE, Kind, StorePath
from vstore.profile import Stack, StackLayer, read_stack
from vstore.store import Provenance, Store
from vstore.target import Target


@dataclass(frozen=True, kw_only=True)
class StackRecipe(Recipe):
    """The recipe of a stack: interpreters, then layers in the order of the spec. `profile` is the spec's."""

    domain = "stack 1"
    profile: str
    layers: tuple[StackLayer, ...]
    kind: Kind = Kind.STACK

    @classmethod
    def of(cls, profile: str, target: str, layers: tuple[StackLayer, ...]) -> Self:
        """Return the recipe of a profile's stack."""
        return cls(name=f"{profile}-stack", target=target, profile=profile, layers=layers)

    def as_json(self) -> dict[str, object]:
        """Return the JSON value that is hashed."""
        layers = [[one.name, str(one.kind), str(one.path)] for one in self.layers]
        return {**super().as_json(), "profile": self.profile, "layers": layers}

    @property
    def all_dependencies(self) -> tuple[StorePath, ...]:
        """The objects of the layers and interpreters, or their nodes' keys."""
        return tuple(one.path for one in self.layers)

    def over(self, objects: Mapping[StorePath, StorePath]) -> Self:
        """Return the recipe with objects in place of their nodes' keys. Raises KeyError for an unknown one."""
        return replace(self, layers=tuple(replace(one, path=objects[one.path]) for one in self.layers))


def add_stack(store: Store, recipe: StackRecipe, metadata: Mapping[str, object]) -> StorePath:
    """Make a stack and add it to the store."""
    stack = Stack(name=recipe.profile, target=recipe.target, layers=recipe.layers)
    with store.staging(recipe.name) as staging:
        (staging / "layers").mkdir()
        (staging / "bin").mkdir()
        for one in recipe.layers:
            if one.kind != Kind.INTERPRETER:  # the runtime refers to it, and a layer may have its name
                make_link(staging / "layers" / one.name, f"../../{one.path}", folder=True)
            if one.kind == Kind.APPLICATION:
                folder = store.layout.object(one.path)
                link_application(staging / "bin", one.name, one.path, folder, Target(recipe.target))
        (staging / STACK_FILE).write_bytes(stack.encode())
        provenance = Provenance(recipe=recipe.digest, metadata=metadata)
        return store.add(staging, name=recipe.name, kind=Kind.STACK, provenance=provenance).path


def stack_distributions(store: Store, stack: StorePath) -> dict[str, dict[str, str]]:
    """Return the version of each distribution by layer name and distribution name. An interpreter has ``python``."""
    found: dict[str, dict[str, str]] = {}
    for layer in read_stack(store.layout.object(stack)).layers:
        if layer.kind == Kind.INTERPRETER:
            name, _, version = layer.name.partition("-")
            found[layer.name] = {name: version}
            continue
        metadata = read_metadata(store.layout.object(layer.path))
        found[layer.name] = {one.name: one.version for one in metadata.distributions}
    return found
