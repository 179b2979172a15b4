"""Versions of CPython, and the requests for them in specs."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

_NUMBER = r"(?:0|[1-9][0-9]{0,2})"
_STAGES = ("a", "b", "rc", "")
_FULL = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:(a|b|rc)({_NUMBER}))?")
_VERSION = rf"{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER}(?:(?:a|b|rc){_NUMBER})?)?"
_CLAUSE = rf" *(?:(?:[<>]=?|~=) *{_VERSION}|[=!]= *{_VERSION}(?:\.\*)?) *"  # of a version specifier (PEP 440)
# ``cpython``, ``cpython@3.11``, ``cpython@3.11.7``, ``cpython@3.14.0rc1`` or ``cpython@>=3.11,<3.14``; PyPy is known
# only to be refused where it is built
REQUIREMENT = rf"(?:cpython|pypy)(?:@(?:{_VERSION}|{_CLAUSE}(?:,{_CLAUSE})*))?"


def feature_version(version: str) -> str:
    """Return the first two parts of a version: ``3.11`` of ``3.11.7``. Its releases can run the same wheels."""
    return ".".join(version.split(".")[:2])


class PythonVersion(NamedTuple):
    """A full version; `stage` and `serial` are those of a prerelease. Versions compare in the order of release."""

    major: int
    minor: int
    micro: int
    stage: int = _STAGES.index("")
    serial: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3.11.7`` or ``3.14.0rc1``. Raises ValueError for anything else."""
        match = _FULL.fullmatch(text)
        if match is None:
            raise ValueError(f"not a full version of Python: {text!r}")
        major, minor, micro, stage, serial = match.groups(default="")
        return cls(int(major), int(minor), int(micro), _STAGES.index(stage), int(serial or 0))

    def __str__(self) -> str:
        return f"{self.feature}.{self.micro}{self.prerelease}"

    @property
    def feature(self) -> str:
        """The feature version, ``3.11``."""
        return f"{self.major}.{self.minor}"

    @property
    def cache_tag(self) -> str:
        """The part of the name of bytecode files, ``cpython-311`` (PEP 3147)."""
        return f"cpython-{self.major}{self.minor}"

    @property
    def safe_path_option(self) -> str:
        """The option of the interpreter that keeps the current folder out of `sys.path`."""
        return "-P" if self >= (3, 11) else "-I"

    @property
    def prerelease(self) -> str:
        """The stage and its number, such as ``rc1``; empty for a release."""
        return f"{_STAGES[self.stage]}{self.serial}" if _STAGES[self.stage] else ""


class PythonRequirement(NamedTuple):
    """The interpreter that a runtime asks for.

    `version` is a full version, a feature version such as ``3.11``, a version specifier such as ``>=3.11,<3.14``
    (PEP 440), or empty for any version. The newest version that it allows is meant.
    """

    implementation: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``cpython``, ``cpython@3.11.7``, ``cpython@3.11`` or ``cpython@>=3.11``. Raises ValueError otherwise."""
        if re.fullmatch(REQUIREMENT, text) is None:
            raise ValueError(f"not a Python implementation: {text!r}")
        implementation, _, version = text.partition("@")
        return cls(implementation, version.replace(" ", ""))

    def __str__(self) -> str:
        return f"{self.implementation}@{self.version}" if self.version else self.implementation

    @property
    def is_range(self) -> bool:
        """Whether versions of several features are allowed."""
        return not self.version[:1].isdigit()

    def allows(self, version: PythonVersion) -> bool:
        """Whether this version satisfies the request. A prerelease must be requested in full."""
        if self.is_range:
            from packaging.specifiers import SpecifierSet  # which most specs do not need

            return SpecifierSet(self.version).contains(str(version), prereleases=False)
        return str(version) == self.version or (version.feature == self.version and not version.prerelease)
