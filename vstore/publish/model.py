"""What is published and exported, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from vstore.objects import Kind, StorePath
from vstore.values import frozen

Record = dict[str, object]  # one layer in the metadata files; its keys are in docs/publish.md
LAYER_KINDS = {Kind.RUNTIME: "runtimes", Kind.FRAMEWORK: "frameworks", Kind.APPLICATION: "applications"}
OTHER_KINDS = {Kind.INTERPRETER: "interpreters", Kind.STACK: "stacks"}


class PlacedObject(NamedTuple):
    """A layer, an interpreter or a stack and its object; `path` is None only where nothing was built yet."""

    name: str
    kind: Kind
    path: StorePath | None


@frozen
class Member:
    """An object with what is said of it. `deployed` is its name with ``@N`` if it is versioned.

    `dependencies` are the names of the layers below, nearest first, the runtime last; `facts` are the fields of a
    record that do not depend on where the layer is put.
    """

    name: str
    kind: Kind
    path: StorePath | None
    deployed: str
    dependencies: tuple[str, ...] = ()
    facts: Mapping[str, object] = {}

    @property
    def is_layer(self) -> bool:
        return self.kind in LAYER_KINDS


def placed_record(member: Member, folders: Mapping[str, str | None]) -> Record:
    """The fields that a published and an exported layer share; `folders` says where each layer is put."""
    record: Record = {**member.facts, "layer_name": member.name}
    if member.kind == Kind.RUNTIME:
        record["runtime_layer"] = folders[member.name]
    elif member.dependencies:
        record["runtime_layer"] = folders.get(member.dependencies[-1])
        record["required_layers"] = [folders.get(name) for name in member.dependencies[:-1]]
    return record


def own(record: Record) -> dict[str, Any]:
    """What vstore adds to a record."""
    found = record.get("vstore")
    return found if isinstance(found, dict) else {}
