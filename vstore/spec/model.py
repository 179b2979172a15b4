"""A spec, as values: layers of three kinds and how they sit on each other."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Self

from vstore.digest import Digest
from vstore.errors import UsageError
from vstore.objects import Kind

PREFIXES = {Kind.RUNTIME: "", Kind.FRAMEWORK: "framework-", Kind.APPLICATION: "app-"}


class Target(StrEnum):
    """A platform that layers are made for, named as venvstacks does."""

    LINUX_X86_64 = "linux_x86_64"
    LINUX_AARCH64 = "linux_aarch64"
    MACOSX_ARM64 = "macosx_arm64"
    MACOSX_X86_64 = "macosx_x86_64"
    WIN_AMD64 = "win_amd64"
    WIN_ARM64 = "win_arm64"

    @classmethod
    def host(cls) -> Self:
        """The target that runs on this machine. UsageError where there is none."""
        system = {"linux": "linux", "darwin": "macosx", "win32": "win"}.get(sys.platform, sys.platform)
        machine = platform.machine().lower()
        if system == "win":
            machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        else:
            machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
        try:
            return cls(f"{system}_{machine}")
        except ValueError:
            raise UsageError(f"this machine is none of the targets: {system}_{machine}") from None

    @property
    def system(self) -> str:
        return self.value.partition("_")[0]

    @property
    def machine(self) -> str:
        return self.value.partition("_")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a spec; `targets` comes from the layers below where the spec gives none."""

    kind: Kind
    name: str
    requirements: tuple[str, ...]
    targets: tuple[Target, ...]
    targets_given: bool = True
    versioned: bool = False
    linux_target: str | None = None
    macosx_target: str | None = None
    dynlib_exclude: tuple[str, ...] = ()
    package_indexes: Mapping[str, str] = field(default_factory=dict)
    index_overrides: Mapping[str, str] = field(default_factory=dict)
    priority_indexes: tuple[str, ...] = ()
    python_implementation: str | None = None
    runtime: str | None = None
    frameworks: tuple[str, ...] = ()
    launch_module: PurePosixPath | None = None
    support_modules: tuple[PurePosixPath, ...] = ()

    @property
    def env_name(self) -> str:
        """The name that folders, locks and patterns use: runtimes bare, others with a prefix."""
        return PREFIXES[self.kind] + self.name

    @property
    def modules(self) -> tuple[PurePosixPath, ...]:
        """What is copied beside the packages: the launch module and the support modules."""
        return (*((self.launch_module,) if self.launch_module else ()), *self.support_modules)


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A loaded spec; layers in file order, runtimes before frameworks before applications."""

    path: Path
    digest: Digest
    layers: tuple[Layer, ...]
    profile: str
    order: Mapping[str, tuple[str, ...]]
    uv: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        return {layer.env_name: layer for layer in self.layers}

    def lower(self, layer: Layer) -> tuple[Layer, ...]:
        """The layers below, nearest first: frameworks in C3 order, then the runtime."""
        return tuple(self.by_name[name] for name in self.order[layer.env_name])

    def runtime(self, layer: Layer) -> Layer:
        """The runtime that a layer is or sits on."""
        return self.lower(layer)[-1] if layer.kind != Kind.RUNTIME else layer

    @property
    def folder(self) -> Path:
        return self.path.parent

    def place(self, module: PurePosixPath) -> Path:
        """Where a launch or support module is on disk, links unresolved."""
        return Path(os.path.normpath(self.folder / module))
