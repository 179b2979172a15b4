"""The description of a stack, `stack.json`. It may come from another machine, so it is checked."""

from __future__ import annotations

from pathlib import Path

from vstore.digest import canonical_json, parse_json
from vstore.errors import StoreError
from vstore.fs.reading import read_regular
from vstore.objects import STACK_FILE, Kind, StorePath, is_object_name
from vstore.values import frozen

__all__ = ["Stack", "StackLayer", "read_stack"]

_FORMAT = 1
_MAX_BYTES = 1 << 26


@frozen
class StackLayer:
    """One layer of a stack: its name in the stack, its kind and its object."""

    name: str
    kind: Kind
    path: StorePath


@frozen
class Stack:
    """A stack: its layers, dependencies first, and their platform. `name` is the profile that it was made for."""

    name: str
    target: str
    layers: tuple[StackLayer, ...]

    def encode(self) -> bytes:
        """Return the content of `stack.json`. There is one for each stack."""
        layers = [{"name": one.name, "kind": str(one.kind), "path": str(one.path)} for one in self.layers]
        document = {"format": _FORMAT, "name": self.name, "target": self.target, "layers": layers}
        return canonical_json(document) + b"\n"


def read_stack(folder: Path) -> Stack:
    """Return the stack in a folder of the store. Raises StoreError unless its `stack.json` is as `encode` writes it."""
    try:
        data = read_regular(folder / STACK_FILE, limit=_MAX_BYTES)
        document = parse_json(data)
        layers = tuple(
            StackLayer(name=_name(one["name"]), kind=Kind(one["kind"]), path=StorePath.parse(_text(one["path"])))
            for one in document["layers"]
        )
        stack = Stack(name=_name(document["name"]), target=_text(document["target"]), layers=layers)
        if stack.encode() != data:
            raise ValueError("not as vstore writes it")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"not a stack: {folder.name}", hint="`vstore history PROFILE` shows stacks") from error
    return stack


def _name(value: object) -> str:
    """Return a valid object name. Layers are linked, published and exported under their names."""
    text = _text(value)
    if not is_object_name(text):
        raise ValueError(f"not a name: {text!r}")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
