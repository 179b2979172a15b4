"""What a stack says of itself: `stack.json`, which may have come from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vstore.digest import parse_json
from vstore.errors import StoreError
from vstore.fs.reading import read_regular
from vstore.objects import Kind, StorePath

__all__ = ["Stack", "StackLayer", "read_stack"]

_MOST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLayer:
    """One layer of a stack: its name there, its kind, and its object."""

    name: str
    kind: Kind
    path: StorePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The layers, the lowest first, and the platform that they are for."""

    target: str
    layers: tuple[StackLayer, ...]


def read_stack(folder: Path) -> Stack:
    """What the stack in this folder of the store holds. StoreError if there is none."""
    try:
        document = parse_json(read_regular(folder / "stack.json", limit=_MOST_BYTES))
        layers = tuple(
            StackLayer(name=_text(one["name"]), kind=Kind(one["kind"]), path=StorePath.parse(_text(one["path"])))
            for one in document["layers"]
        )
        return Stack(target=_text(document["target"]), layers=layers)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"not a stack: {folder.name}", hint="`vstore history PROFILE` shows stacks") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
