"""The values of a lock: packages, wheels, interpreters, and findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from vstore.python_version import PythonRequirement, PythonVersion
from vstore.target import Target
from vstore.values import frozen

FROM_LOWER = "sys_platform == 'from_lower_layer'"  # venvstacks' marker of a package that a layer below provides


@frozen
class Download:
    """A managed build of an interpreter for one target."""

    url: str
    sha256: str | None


@frozen
class InterpreterPin:
    """The interpreter of a runtime.

    `source` is ``managed`` or ``adopted``, as on the machine that locked. `downloads` are the managed builds of this
    version, by target; a pin of an adopted interpreter may have some for other targets.
    """

    implementation: str
    version: str
    source: str
    downloads: Mapping[str, Download] = {}

    def satisfies(self, requirement: PythonRequirement) -> bool:
        """Return whether the requirement allows the pinned interpreter."""
        same = requirement.implementation == self.implementation
        return same and requirement.allows(PythonVersion.parse(self.version))

    def is_managed(self, target: str) -> bool:
        """Return whether a managed build is used on this target."""
        return self.source == "managed" or target in self.downloads


@frozen
class LockedWheel:
    """A wheel in a lock.

    `location` is a URL, or a path relative to the lock file. `name` is set if the location does not contain it.

    `hashes` are in hexadecimal digits, by algorithm; there is always one of ``sha256``.
    """

    location: str
    hashes: Mapping[str, str]
    name: str | None = None
    size_bytes: int | None = None

    @property
    def filename(self) -> str:
        """The file name of the wheel."""
        path = self.location.partition("?")[0].partition("#")[0] if "://" in self.location else self.location
        return (self.name or path.rpartition("/")[2]).replace("%2B", "+")

    @property
    def sha256(self) -> str:
        """The SHA-256 digest of the wheel, in hexadecimal digits."""
        return self.hashes["sha256"]


@frozen
class LockedPackage:
    """A package at one version, on the targets for which its `marker` is true."""

    name: str
    version: str
    marker: str | None = None
    wheels: tuple[LockedWheel, ...] = ()
    index: str | None = None

    @property
    def shared(self) -> bool:
        """Whether a layer below provides the package, so that this layer does not install it."""
        return self.marker is not None and FROM_LOWER in self.marker


@frozen
class LockRecord:
    """venvstacks' ``pylock.<env>.meta.json``: the hashes of a lock's inputs, its number, and the time of locking."""

    lock_input_hash: str
    requirements_hash: str
    other_inputs_hash: str
    version_inputs_hash: str
    lock_version: int
    locked_at: datetime


@frozen
class LockInputs:
    """Everything that a lock is made from. A lock is stale when it differs from the spec's.

    `python` is ``3.11``, the feature version of the pinned interpreter; `settings` the digest of uv's settings and the
    package indexes; `dependencies` the digests of the locks below, by env name, in import order.
    """

    requirements: tuple[str, ...]
    python: str
    targets: tuple[str, ...]
    settings: str
    dependencies: Mapping[str, str]


@frozen
class HeldBack:
    """A package that is locked at an older `version` than `without` the pins or the setting in `by`.

    `ways` are the changes that would lift it.
    """

    name: str
    version: str
    without: str
    by: tuple[str, ...]
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.without} without {', '.join(self.by)}): {', or '.join(self.ways)}"


@frozen
class Findings:
    """Findings of locking that a person should know. The lock file records them.

    `left_out` are the optional targets that the lock does not cover, with the reasons; `conflicts` the packages of the
    finished stack that do not get a version that they accept; `warnings` are about the layer's packages.
    """

    left_out: Mapping[str, str] = {}
    held_back: tuple[HeldBack, ...] = ()
    conflicts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@frozen
class LockedLayer:
    """The lock of one layer, read from the file at `path`.

    `inputs` is None in a lock that venvstacks wrote; `content_hash` is then the hash of its packages, as venvstacks
    computes it. `edited` is True when the packages are not those that vstore wrote. `joint` is True when the layer was
    resolved together with the layers that share a stack with it. `interpreter` is that of a runtime, if it is pinned.
    """

    env_name: str
    path: Path
    packages: tuple[LockedPackage, ...]
    packages_digest: str
    inputs: LockInputs | None
    edited: bool = False
    interpreter: InterpreterPin | None = None
    joint: bool = False
    findings: Findings = Findings()
    record: LockRecord | None = None
    content_hash: str | None = None

    @property
    def digest(self) -> str:
        """The digest of the inputs for the layers above: the packages, and a runtime's exact Python."""
        return f"{self.packages_digest} {self.interpreter.version}" if self.interpreter else self.packages_digest


@frozen
class LockOptions:
    """The options of locking. With `joint` None layers are locked together if they were the last time.

    The lock must cover `target`, the machine's own if None, also where the spec names no platforms. `check` is called
    with each lock before it is written; it raises LockError for one that must not be.
    """

    joint: bool | None = None
    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()
    local_wheels: tuple[Path, ...] = ()
    index: bool = True
    offline: bool = False
    target: Target | None = None
    check: Callable[[LockedLayer], None] | None = None


@frozen
class PinnedWheel:
    """The wheel of a package for one target. `location` is a URL or an absolute path.

    With its `index` given, uv takes a wheel from its cache without asking the network.
    """

    name: str
    version: str
    sha256: str
    location: str
    filename: str
    index: str | None = None


@frozen
class PythonForLocking:
    """The interpreter of a runtime on this machine, for uv to inspect, and its pin."""

    path: Path
    pin: InterpreterPin
