"""What a store holds, as values: store paths, kinds, and what is known of an object."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Self

from vstore.digest import ALPHABET, SHORT_LENGTH, Digest, is_short
from vstore.values import frozen

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@+._-]{0,126}")
_PATH = re.compile(rf"[{ALPHABET}]{{{SHORT_LENGTH}}}-{_NAME.pattern}")


LAYER_FILE = PurePosixPath("share/vstore/layer.json")  # of each layer: what it is and holds
STACK_FILE = PurePosixPath("stack.json")  # of each stack: its layers
SOURCE_FOLDER = PurePosixPath("source")  # of each source object: all that it holds


class Kind(StrEnum):
    """The purpose of an object. The store treats all alike."""

    SOURCE = "source"
    INTERPRETER = "interpreter"
    RUNTIME = "runtime"
    FRAMEWORK = "framework"
    APPLICATION = "application"
    STACK = "stack"


@frozen(kw_only=False, order=True)
class StorePath:
    """``<digest>-<name>``: the name of an object's folder, never an absolute path."""

    short: str
    name: str

    def __post_init__(self) -> None:
        if not is_short(self.short) or not _NAME.fullmatch(self.name):
            raise ValueError(f"not a store path: {self.short}-{self.name}")

    @classmethod
    def make(cls, digest: Digest, name: str) -> Self:
        return cls(digest.short, name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<digest>-<name>``; ValueError if it is not one."""
        if text[SHORT_LENGTH : SHORT_LENGTH + 1] != "-":
            raise ValueError(f"not a store path: {text}")
        return cls(text[:SHORT_LENGTH], text[SHORT_LENGTH + 1 :])

    def __str__(self) -> str:
        return f"{self.short}-{self.name}"


def is_object_name(text: str) -> bool:
    """Whether an object can have this name: one part of a path on any system, and never an option or hidden."""
    return _NAME.fullmatch(text) is not None


def is_store_path(text: str) -> bool:
    """Whether `StorePath.parse` would take the text: a tenth of its time, for who has many."""
    return _PATH.fullmatch(text) is not None


@frozen
class ObjectInfo:
    """The index's knowledge of an object. `inputs` are the source objects that it was built from."""

    path: StorePath
    digest: Digest
    kind: Kind
    size_bytes: int
    files: int
    references: tuple[StorePath, ...]
    recipe: Digest | None
    registered_at: datetime
    inputs: tuple[StorePath, ...] = ()
