"""Recipes: everything that decides the bytes of an object, and nothing else. Nix calls them derivations.

A recipe names wheels by sha256, without their places; the objects below and the source objects of modules by store
path; the target; and the version of this builder. Its digest is of the canonical JSON text.

A node is a recipe in which the keys of nodes stand for objects below that are not known yet. A key is the digest of the
text of a node, with its name and the suffix ``.node``. The same request gives the same key everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from vstore.build import BUILDER
from vstore.build.layout import LayerLayout
from vstore.digest import Digest, hash_fields, hash_json
from vstore.lock import Download, InterpreterPin, PinnedWheel
from vstore.objects import Kind, StorePath
from vstore.python_version import PythonVersion
from vstore.target import Target

_NODE = ".node"


def is_node_key(path: StorePath) -> bool:
    """Whether a path stands for an object that is not known yet."""
    return path.name.endswith(_NODE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The base of all kinds of recipe. `name` is the name of the object."""

    domain: ClassVar[str]
    name: str
    kind: Kind
    target: str

    def as_json(self) -> dict[str, object]:
        """Return the document that is hashed."""
        return {"builder": BUILDER, "name": self.name, "kind": str(self.kind), "target": self.target}

    @property
    def digest(self) -> Digest:
        """The key of realisations. The digest of a node has no meaning."""
        return hash_json(self.domain, self.as_json())

    @property
    def key(self) -> StorePath:
        """The node key."""
        return StorePath.make(hash_json("node 1", self.as_json()), f"{self.name}{_NODE}")

    @property
    def all_dependencies(self) -> tuple[StorePath, ...]:
        """The objects below, or the keys of their nodes."""
        return ()

    def over(self, objects: Mapping[StorePath, StorePath]) -> Self:
        """Return the recipe with objects instead of the keys of nodes. Raises KeyError for a key without an object."""
        return self


@dataclass(frozen=True, kw_only=True)
class InterpreterRecipe(Recipe):
    """The recipe of an interpreter: the pin of a lock for one target. `url`, where it is, is not hashed."""

    domain = "interpreter 1"
    implementation: str
    version: str
    source: str
    sha256: str | None = None
    kind: Kind = Kind.INTERPRETER
    url: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, pin: InterpreterPin, target: str) -> Self:
        """Return the recipe of a pinned interpreter."""
        download = pin.downloads.get(target)
        return cls(
            name=f"{pin.implementation}-{pin.version}",
            target=target,
            implementation=pin.implementation,
            version=pin.version,
            source="managed" if pin.is_managed(target) else pin.source,
            sha256=download.sha256 if download else None,
            url=download.url if download else None,
        )

    @property
    def pin(self) -> InterpreterPin:
        """The pin for this target alone."""
        downloads = {self.target: Download(url=self.url, sha256=self.sha256)} if self.url else {}
        return InterpreterPin(
            implementation=self.implementation, version=self.version, source=self.source, downloads=downloads
        )

    def as_json(self) -> dict[str, object]:
        """Return the document that is hashed."""
        return {
            **super().as_json(),
            "implementation": self.implementation,
            "version": self.version,
            "source": self.source,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, kw_only=True)
class LayerRecipe(Recipe):
    """The recipe of a layer. It is whole: a build needs only a store that has these objects, and uv.

    `dependencies` are the layers below, nearest first; `sources` the launch and support modules; `python` is the full
    version of `interpreter`.
    """

    domain = "recipe 1"
    python: str
    interpreter: StorePath
    wheels: tuple[PinnedWheel, ...] = ()
    dependencies: tuple[StorePath, ...] = ()
    sources: tuple[StorePath, ...] = ()
    launch_module: str | None = None
    dynlib_exclude: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the document that is hashed."""
        return {
            **super().as_json(),
            "python": self.python,
            "interpreter": str(self.interpreter),
            "wheels": sorted([wheel.name, wheel.version, wheel.sha256] for wheel in self.wheels),
            "lowers": [str(path) for path in self.dependencies],
            "sources": sorted(str(path) for path in self.sources),
            "launch_module": self.launch_module,
            **({"dynlib_exclude": list(self.dynlib_exclude)} if self.dynlib_exclude else {}),
        }

    @property
    def all_dependencies(self) -> tuple[StorePath, ...]:
        """The interpreter and the layers below, or the keys of their nodes."""
        return (self.interpreter, *self.dependencies)

    @property
    def layout(self) -> LayerLayout:
        """The layout of the layer. Raises ValueError for a version of Python that is not a full one."""
        return LayerLayout(target=Target(self.target), python=PythonVersion.parse(self.python))

    def over(self, objects: Mapping[StorePath, StorePath]) -> Self:
        """Return the recipe with objects instead of the keys of nodes. Raises KeyError for a key without an object."""
        dependencies = tuple(objects[path] for path in self.dependencies)
        return replace(self, interpreter=objects[self.interpreter], dependencies=dependencies)

    def wheel_key(self, wheel: PinnedWheel) -> bytes:
        """Return the key of the files of a wheel with bytecode of this interpreter.

        Objects with the same key have the same bytecode, which can be reused.
        """
        return hash_fields("part 1", wheel.sha256.encode(), str(self.interpreter).encode()).raw
