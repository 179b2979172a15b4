"""The values of a migration: what a source says, and the spec that is proposed for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vstore.credentials import redact
from vstore.objects import Kind
from vstore.values import frozen


@frozen
class Choice:
    """The optional parts of a project to take over: extras and dependency groups, by name."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@frozen
class Pin:
    """A version that a source fixes. `name` is normalised; it applies where `marker` is true.

    `wheels` are the file names of its wheels, `size_bytes` the size of its largest one or of its files on disk, as far
    as the source has them. `requires` are the names of the packages that it depends on.
    """

    name: str
    version: str
    marker: str | None = None
    wheels: tuple[str, ...] = ()
    size_bytes: int | None = None
    requires: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


@frozen
class LeftOut:
    """A part of a source that the spec does not have, and the reason with what to do. Logins in both are hidden.

    `option` is the option of `vstore init` that takes the part over, if there is one.
    """

    subject: str
    reason: str
    option: str = ""

    def __post_init__(self) -> None:
        for name in ("subject", "reason"):
            object.__setattr__(self, name, redact(getattr(self, name)))


@frozen
class ProjectCommand:
    """A command of a project: the function `function` of the module `module`."""

    name: str
    module: str
    function: str


@frozen
class OwnCode:
    """The code of the project itself: a script, its commands, and the folders or files of its import packages."""

    script: Path | None = None
    commands: tuple[ProjectCommand, ...] = ()
    packages: tuple[Path, ...] = ()


@frozen
class SourceProject:
    """The dependencies of a project of another tool.

    `requirements` are the direct ones (PEP 508). `python` is a version specifier (PEP 440), `python_version` the full
    or feature version that the project is used with. `settings` are uv's, without logins. `resolved` is a resolution of
    today, of which only the sizes count.
    """

    name: str
    format: str
    requirements: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    resolved: tuple[Pin, ...] = ()
    python: str = ""
    python_version: str | None = None
    settings: Mapping[str, object] = {}
    code: OwnCode = OwnCode()
    left_out: tuple[LeftOut, ...] = ()


@frozen
class ProposedLayer:
    """A layer of a proposal. `size_bytes` is that of its packages, None if the source does not say it.

    `modules` are the launch module and the support modules of an application, relative to the spec.
    """

    kind: Kind
    name: str
    requirements: tuple[str, ...] = ()
    size_bytes: int | None = None
    frameworks: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


@frozen
class Proposal:
    """A spec for a project of another tool. `files` are new files beside the spec, by name.

    `constraints` are the pins as requirements.
    """

    source: Path
    format: str
    python: str
    linux_target: str | None
    layers: tuple[ProposedLayer, ...]
    constraints: tuple[str, ...]
    settings: Mapping[str, object]
    files: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    text: str
