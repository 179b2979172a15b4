"""What a lock pins, as values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from vstore.target import Target
from vstore.values import frozen

FROM_LOWER = "sys_platform == 'from_lower_layer'"  # venvstacks' marker of a package that a layer below provides


@frozen
class Download:
    """A managed interpreter for one target."""

    url: str
    sha256: str | None


@frozen
class InterpreterPin:
    """The interpreter of a runtime: `source`, ``managed`` or ``adopted``, is what the machine that locked had.

    `downloads` are the managed builds of that version, by target; an adopted one may have some for other targets.
    """

    implementation: str
    version: str
    source: str
    downloads: Mapping[str, Download] = {}

    def satisfies(self, requirement: str) -> bool:
        """Whether it is what ``cpython@3.11`` or ``cpython@3.11.7`` asks for."""
        implementation, _, version = requirement.partition("@")
        return implementation == self.implementation and f"{self.version}.".startswith(f"{version}.")

    def is_managed(self, target: str) -> bool:
        """Whether it comes from a managed build on this target."""
        return self.source == "managed" or target in self.downloads

    @property
    def minor(self) -> str:
        """``3.11`` of ``3.11.7``."""
        return self.version.rpartition(".")[0]


@frozen
class LockedWheel:
    """A wheel that a lock offers: where it is (a URL, or a path relative to the lock file) and what it must hash to."""

    filename: str
    location: str
    sha256: str
    size_bytes: int | None = None


@frozen
class LockedPackage:
    """A package at one version; `shared` ones are provided by a layer below and not installed."""

    name: str
    version: str
    marker: str | None
    shared: bool
    wheels: tuple[LockedWheel, ...]
    index: str | None = None


@frozen
class LockRecord:
    """venvstacks' ``pylock.<env>.meta.json``: what a lock was made from, which number it has and since when."""

    lock_input_hash: str
    requirements_hash: str
    other_inputs_hash: str
    version_inputs_hash: str
    lock_version: int
    locked_at: datetime


@frozen
class HeldBack:
    """A package that is locked at an older `version` than `without` the pins (or the setting) in `by`; ways out."""

    name: str
    version: str
    without: str
    by: tuple[str, ...]
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.without} without {', '.join(self.by)}): {', or '.join(self.ways)}"


@frozen
class Findings:
    """The results of locking that a person should know; recorded in the lock.

    `left_out` are the targets that nobody asked for and that the lock does not cover, each with the reason;
    `conflicts` the packages in the finished stack that do not get the version that they need.
    """

    left_out: Mapping[str, str] = {}
    held_back: tuple[HeldBack, ...] = ()
    conflicts: tuple[str, ...] = ()


@frozen
class LockedLayer:
    """One lock file; `inputs` is what it was made from, as the file itself records it (None: venvstacks wrote it).

    `content_hash` is of its packages as venvstacks computes it, to be compared with the `record` beside it; it is
    known where venvstacks wrote the lock. A runtime's `interpreter` is None where nothing pins it yet. `joint`: it was
    resolved together with the layers that it shares a stack with.
    """

    env_name: str
    path: Path
    packages: tuple[LockedPackage, ...]
    packages_digest: str
    inputs: Mapping[str, Any] | None
    edited: bool
    interpreter: InterpreterPin | None
    joint: bool = False
    findings: Findings = Findings()
    record: LockRecord | None = None
    content_hash: str | None = None

    @property
    def digest(self) -> str:
        """The digest of all that the layers above are resolved over: the packages, and a runtime's exact Python."""
        return f"{self.packages_digest} {self.interpreter.version}" if self.interpreter else self.packages_digest


@frozen
class LockOptions:
    """How to lock: whether old pins are kept, whether jointly (None: as before), and where packages come from.

    `target` must be covered where a spec names no platforms; the machine's own if None.
    """

    joint: bool | None = None
    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    local_wheels: tuple[Path, ...] = ()
    index: bool = True
    target: Target | None = None


@frozen
class PinnedWheel:
    """The one wheel of a package for one target; `location` is a URL or an absolute path.

    With its `index` given, uv takes a wheel that it has cached without asking the network.
    """

    name: str
    version: str
    sha256: str
    location: str
    filename: str
    index: str | None = None


@frozen
class PythonForLocking:
    """An interpreter of a runtime's version that uv can ask, and its pin."""

    path: Path
    pin: InterpreterPin
