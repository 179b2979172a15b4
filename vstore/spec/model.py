"""The values of a spec: layers, and the layers that each is built on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from vstore.digest import Digest
from vstore.objects import Kind
from vstore.python_version import PythonRequirement
from vstore.spec.files.module_roots import ModuleRoots
from vstore.target import Target
from vstore.values import frozen

DEFAULT_LINUX = "glibc@2.28"
DEFAULT_MACOS = "13.0"
DEFAULT_GLIBC = (2, 28)
PREFIXES = {Kind.RUNTIME: "", Kind.FRAMEWORK: "framework-", Kind.APPLICATION: "app-"}


@frozen
class Layer:
    """One layer of a spec, with the values that it inherits from the layers below.

    `dependencies` are all layers below in import order: frameworks, nearest first (C3), then the runtime.
    `targets`, `package_indexes` (distribution names normalised), `glibc` and `macos` (the newest systems that wheels
    may need) are inherited where the layer does not set them; `linux_target` and `macosx_target` are as declared,
    which is what venvstacks hashes. `platforms_named` is True if the layer, or one below it, names its platforms.
    `frameworks` are the declared ones.
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
    frameworks: tuple[str, ...] = ()
    dependencies: tuple[Layer, ...] = ()
    launch_module: PurePosixPath | None = None
    support_modules: tuple[PurePosixPath, ...] = ()

    def __repr__(self) -> str:
        return f"Layer({self.env_name!r})"

    @property
    def env_name(self) -> str:
        """The layer's name with the prefix of its kind: unique in the spec, and the name of the layer's object."""
        return PREFIXES[self.kind] + self.name

    @property
    def dependency_names(self) -> tuple[str, ...]:
        """The env names of `dependencies`."""
        return tuple(layer.env_name for layer in self.dependencies)

    @property
    def runtime(self) -> Layer:
        """The runtime that the layer is built on; a runtime itself."""
        return self.dependencies[-1] if self.dependencies else self

    @property
    def python(self) -> PythonRequirement:
        """The interpreter that the runtime asks for."""
        return PythonRequirement.parse(self.runtime.python_implementation or "")

    @property
    def modules(self) -> tuple[PurePosixPath, ...]:
        """The launch and support modules, as paths relative to the spec's folder; they may start with ``..``."""
        return (*(() if self.launch_module is None else (self.launch_module,)), *self.support_modules)


@frozen(slots=False)
class Spec:
    """A spec. `path` is absolute; `layers` are runtimes, frameworks, applications, each in file order.

    A layer is built on layers before it only, so they can be locked and built in this order. `digest` is that of the
    file, and of ``venvstacks.uv.toml`` where that is used; `uv` is the table of uv's settings.
    """

    path: Path
    digest: Digest
    layers: tuple[Layer, ...]
    uv: Mapping[str, object]
    profile: str
    module_roots: ModuleRoots
    warnings: tuple[str, ...] = ()

    def layer(self, env_name: str) -> Layer:
        """Return the layer of this name. Raises KeyError if there is none."""
        return self._by_name[env_name]

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.env_name: layer for layer in self.layers}

    def required_targets(self, layer: Layer) -> tuple[Target, ...]:
        """Return the targets that a lock of the layer must cover: those that the spec names for it, or above or below.

        Its other targets are covered as far as there are wheels. None are required if the spec names no platforms.
        """
        if layer.platforms_named:
            return layer.targets
        above = self._targets_above.get(layer.env_name, set())
        return tuple(target for target in layer.targets if target in above)

    @cached_property
    def _targets_above(self) -> dict[str, set[Target]]:
        """The targets that the layers above name, by env name."""
        found: dict[str, set[Target]] = {}
        for layer in self.layers:
            if layer.platforms_named:
                for name in layer.dependency_names:
                    found.setdefault(name, set()).update(layer.targets)
        return found
