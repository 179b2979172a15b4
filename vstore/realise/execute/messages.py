"""Messages between processes that realise nodes: a node to realise, and its outcome, as canonical JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from vstore.build.layer_metadata import read_clash
from vstore.digest import canonical_json, parse_json
from vstore.documents import Fields
from vstore.errors import BuildError, UsageError, VstoreError, error_class
from vstore.objects import Kind, StorePath
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.plan.document import Node, node_document, read_node
from vstore.values import frozen


@frozen
class NodeTask:
    """A node to realise in another process.

    `compiler` is the object of the interpreter that compiles modules for another platform; None if the node is for this
    one. `lock` names the lock of a layer, for the statement of its build.
    """

    node: Node
    compiler: StorePath | None = None
    lock: str | None = None

    def encode(self) -> str:
        """Return the text."""
        document = {
            "node": node_document(self.node.recipe, self.node.objects),
            "compiler": str(self.compiler) if self.compiler else None,
            "lock": self.lock,
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str, objects: Mapping[StorePath, StorePath] | None = None) -> Self:
        """Parse the text. `objects` are further known objects of the node's dependencies.

        Raises UsageError if it is malformed or of another release.
        """
        try:
            fields = Fields(parse_json(text.encode()))
            compiler = fields.optional_text("compiler")
            return cls(
                node=read_node(fields.values.get("node"), objects or {}),
                compiler=StorePath.parse(compiler) if compiler else None,
                lock=fields.optional_text("lock"),
            )
        except ValueError as error:
            raise UsageError(f"not a task of vstore: {error}") from error


@frozen
class NodeOutcome:
    """The outcome of a node: its object, or the error.

    One of `layer` and `failure` is None. `size_bytes` is the size of the object, None if it is not known.
    """

    key: StorePath
    layer: RealisedLayer | None = None
    size_bytes: int | None = None
    failure: VstoreError | None = None

    def __post_init__(self) -> None:
        if (self.layer is None) == (self.failure is None):
            raise ValueError("an outcome is an object or an error")

    def result(self) -> RealisedLayer:
        """Return the object. Raises the error."""
        if self.layer is None:
            assert self.failure is not None
            raise self.failure
        return self.layer

    def encode(self) -> str:
        """Return the text."""
        document = {
            "key": str(self.key),
            "size_bytes": self.size_bytes,
            **({"layer": _layer_document(self.layer)} if self.layer else {}),
            **({"failure": _error_document(self.failure)} if self.failure else {}),
        }
        return canonical_json(document).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text. Raises BuildError if it is malformed."""
        try:
            fields = Fields(parse_json(text.encode()))
            return cls(
                key=StorePath.parse(fields.text("key")),
                size_bytes=fields.optional_size("size_bytes"),
                layer=_read_layer(fields.table("layer")) if "layer" in fields else None,
                failure=_read_error(fields.table("failure")) if "failure" in fields else None,
            )
        except ValueError as error:
            raise BuildError(f"not an outcome of vstore: {error}") from error


def _layer_document(layer: RealisedLayer) -> dict[str, object]:
    return {
        "name": layer.name,
        "kind": str(layer.kind),
        "path": str(layer.path) if layer.path else None,
        "origin": str(layer.origin),
        "seconds": layer.seconds,
        "clashes": [clash.as_json() for clash in layer.clashes],
    }


def _read_layer(fields: Fields) -> RealisedLayer:
    path = fields.optional_text("path")
    return RealisedLayer(
        name=fields.text("name"),
        kind=Kind(fields.text("kind")),
        path=StorePath.parse(path) if path else None,
        origin=Origin(fields.text("origin")),
        seconds=fields.number("seconds"),
        clashes=tuple(read_clash(one.values) for one in fields.tables("clashes")),
    )


def _error_document(error: VstoreError) -> dict[str, object]:
    return {
        "exit_code": error.exit_code,
        "message": _encodable(error.message),
        "details": list(map(_encodable, error.details)),
        "hint": _encodable(error.hint) if error.hint else None,
    }


def _encodable(text: str) -> str:
    """Return the text with the bytes of a path that is not in UTF-8 escaped."""
    return text.encode(errors="backslashreplace").decode()


def _read_error(fields: Fields) -> VstoreError:
    kind = error_class(fields.integer("exit_code"))
    return kind(fields.text("message"), details=fields.texts("details"), hint=fields.optional_text("hint"))
