"""The objects of a store, as values: store paths, kinds, and the index's records of an object and its archives."""

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


LAYER_FILE = PurePosixPath("share/vstore/layer.json")  # in each layer: its metadata
STACK_FILE = PurePosixPath("stack.json")  # in each stack: its layers
SOURCE_FOLDER = PurePosixPath("source")  # in each source object: its content


class Kind(StrEnum):
    """The kind of an object. The store treats all kinds alike."""

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
        """Return the store path of a digest and a name. Raises ValueError for a name that is not valid."""
        return cls(digest.short, name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``<digest>-<name>``. Raises ValueError."""
        if text[SHORT_LENGTH : SHORT_LENGTH + 1] != "-":
            raise ValueError(f"not a store path: {text}")
        return cls(text[:SHORT_LENGTH], text[SHORT_LENGTH + 1 :])

    def __str__(self) -> str:
        return f"{self.short}-{self.name}"


def is_object_name(text: str) -> bool:
    """Return whether an object can have this name: one part of a path on any system, not hidden and not an option."""
    return _NAME.fullmatch(text) is not None


def is_store_path(text: str) -> bool:
    """Return whether `StorePath.parse` accepts a text, in a tenth of its time."""
    return _PATH.fullmatch(text) is not None


@frozen
class ObjectInfo:
    """The record of an object in the index. `inputs` are the source objects that it was built from."""

    path: StorePath
    digest: Digest
    kind: Kind
    size_bytes: int
    files: int
    references: tuple[StorePath, ...]
    recipe: Digest | None
    registered_at: datetime
    inputs: tuple[StorePath, ...] = ()


@frozen
class ArchiveInfo:
    """An archive of an object, as it was written. XZ and GZ have no `index_digest`.

    `sha256` is of the whole file and `diff_id` of the tar stream in it, both in hexadecimal. An image of the Open
    Container Initiative names a layer by the first and its content by the second.
    """

    size_bytes: int
    sha256: str
    diff_id: str
    index_digest: Digest | None
    content_bytes: int  # of the files, uncompressed
