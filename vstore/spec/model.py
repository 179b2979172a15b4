"""A spec as values: layers, and what each sits on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vstore.digest import Digest
from vstore.objects import Kind
from vstore.target import Target
from vstore.values import frozen

DEFAULT_LINUX = "glibc@2.28"
DEFAULT_MACOS = "13.0"
DEFAULT_GLIBC = (2, 28)
PREFIXES = {Kind.RUNTIME: "", Kind.FRAMEWORK: "framework-", Kind.APPLICATION: "app-"}


@frozen
class Layer:
    """One layer as declared, checked, and completed by what it inherits from the layers below.

    `targets` and `package_indexes` (distribution names normalised) include what is inherited, and `runtime`
    is the runtime at the bottom whether it was named or comes with the frameworks; None in a runtime.
    `frameworks` are the declared ones, `linearised` all of them, nearest first. `platforms_named`: the layer, or one
    below it, names its platforms. `glibc` and `macos` are the newest systems that wheels may need, inherited like the
    platforms; `linux_target` and `macosx_target` are the layer's own, as venvstacks reads (and hashes) them.
    """

    kind: Kind
    name: str
    requirements: tuple[str, ...] = ()
    versioned: bool = False
    targets: tuple[Target, ...] = tuple(Target)
    platforms_named: bool = True
    linux_target: str | None = None
    macosx_target: str | None = None
    glibc: tuple[int, int] = DEFAULT_GLIBC
    macos: tuple[int, int] = (13, 0)
    dynlib_exclude: tuple[str, ...] = ()
    package_indexes: Mapping[str, str]
    index_overrides: Mapping[str, str]
    priority_indexes: tuple[str, ...] = ()
    python_implementation: str | None = None
    runtime: str | None = None
    frameworks: tuple[str, ...] = ()
    linearised: tuple[str, ...] = ()
    launch_module: PurePosixPath | None = None
    support_modules: tuple[PurePosixPath, ...] = ()

    @property
    def env_name(self) -> str:
        """The layer's name with its kind's prefix: unique in the spec, and the object's label."""
        return PREFIXES[self.kind] + self.name

    @property
    def dependency_names(self) -> tuple[str, ...]:
        """The env names of all layers below, in import order."""
        if self.runtime is None:
            return ()
        return (*(PREFIXES[Kind.FRAMEWORK] + name for name in self.linearised), self.runtime)

    @property
    def modules(self) -> tuple[PurePosixPath, ...]:
        """What is copied into an application's site-packages; relative to the spec's folder, may start with ``..``."""
        return (*(() if self.launch_module is None else (self.launch_module,)), *self.support_modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A loaded spec. `path` is absolute; `layers` are runtimes, frameworks, applications, each in file order.

    A layer refers only to layers before it, so this order is also one in which they can be locked and built.
    `digest` is of the file's bytes (and of ``venvstacks.uv.toml`` where that is used); `uv` is the uv table.
    Modules lie in the spec's checkout or folder, or in one of `allow_outside`.
    """

    path: Path
    digest: Digest
    layers: tuple[Layer, ...]
    uv: Mapping[str, object]
    profile: str
    allow_outside: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    _by_name: dict[str, Layer] = field(init=False, repr=False, compare=False, default_factory=dict)
    _named_above: dict[str, set[Target]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update((layer.env_name, layer) for layer in self.layers)

    def layer(self, env_name: str) -> Layer:
        """The layer of that name; KeyError if there is none."""
        return self._by_name[env_name]

    def dependencies(self, layer: Layer) -> tuple[Layer, ...]:
        """All layers below, in import order: frameworks nearest first (C3), the runtime last."""
        return tuple(self._by_name[name] for name in layer.dependency_names)

    def required(self, layer: Layer) -> tuple[Target, ...]:
        """The targets that the spec names for a layer, itself or in a layer below or above it; empty if it names none.

        A lock must cover these. The layer's other targets are covered as far as there are wheels.
        """
        if layer.platforms_named:
            return layer.targets
        if not self._named_above:
            for one in self.layers:
                if one.platforms_named:
                    for name in one.dependency_names:
                        self._named_above.setdefault(name, set()).update(one.targets)
        above = self._named_above.get(layer.env_name, set())
        return tuple(target for target in layer.targets if target in above)
