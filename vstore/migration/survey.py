"""Asking the package index for what a source does not say: the newest Python with wheels, and the sizes of packages.

Sources without lists of wheels, such as ``requirements.txt``, do not say either.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import tomli_w
from packaging.pylock import Pylock, PylockValidationError
from packaging.utils import canonicalize_name

from vstore.lock.markers import uv_platform
from vstore.lock.resolution.uv_project import PROJECT_ONLY, SETTINGS
from vstore.migration.indexes import with_more
from vstore.migration.model import LeftOut, Pin, SourceProject
from vstore.migration.pythons import allowed_minors
from vstore.migration.requirement import name_of, wheel_to_build
from vstore.reporter import Reporter
from vstore.spec.model import DEFAULT_GLIBC
from vstore.target import Target
from vstore.toml import TomlError, parse_toml
from vstore.uv import Uv, UvError
from vstore.values import replace

_LINE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+).*?# via (?P<via>.*)")
_NO_WHEELS = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*?)(?:(?P<version>==[\w.+!-]+)|[<>]\S+)? (?:has|have) no usable wheels"
)
_TIMEOUT_SECONDS = 120.0


def survey(project: SourceProject, target: Target, uv: Uv, reporter: Reporter) -> SourceProject:
    """Return a project with the Pythons for which its requirements have wheels, and the packages of that resolution.

    A project whose lock lists wheels or sizes is returned as it is. Without a solution, or if the index cannot be
    reached, a note is added.
    """
    if not project.requirements or any(pin.wheels or pin.size_bytes is not None for pin in project.pins):
        return project
    index = _Index(project, target, uv)
    without_wheels: dict[str, str] = {}  # the requirements by name
    try:
        for minor in reversed(allowed_minors(project)):
            reporter.progress(project.name, f"asking the package index for wheels of CPython 3.{minor}")
            while (resolved := index.resolve(minor, tuple(without_wheels))) is None:
                missing = index.missing
                if not missing or name_of(missing) in without_wheels or not index.lacks_wheels(missing):
                    break
                without_wheels[name_of(missing)] = missing
            if resolved is not None:
                limits = ",".join(filter(None, (project.python, f"<3.{minor + 1}")))
                return _with_notes(replace(project, python=limits, resolved=resolved), without_wheels.values())
    except UvError:
        return _noted(project, "sizes and Pythons with wheels", "the package index was not reached")
    project = _with_notes(project, without_wheels.values())
    return _noted(project, "wheels of all requirements", "no Python has them: `vstore lock` says what is missing")


def _noted(project: SourceProject, subject: str, reason: str) -> SourceProject:
    return replace(project, left_out=(*project.left_out, LeftOut(subject=subject, reason=reason)))


def _with_notes(project: SourceProject, without_wheels: Iterable[str]) -> SourceProject:
    for wanted in without_wheels:
        project = _noted(project, f"wheel of {wanted}", f"the package index has none: {wheel_to_build(wanted)}")
    return project


class _Index:
    """Resolves the requirements of a project with wheels only. Raises UvError if the index cannot be reached.

    `missing` is the requirement that the last resolution found no wheel of; empty if it failed for another reason.
    """

    def __init__(self, project: SourceProject, target: Target, uv: Uv) -> None:
        self.missing = ""
        self._project = project
        self._target = target
        self._uv = uv

    def resolve(self, minor: int, excluded: tuple[str, ...]) -> tuple[Pin, ...] | None:
        """Return the packages for a minor version of Python, with their sizes; None if there is no solution."""
        wanted = [text for text in self._project.requirements if name_of(text) not in excluded]
        lines = self._compile(minor, wanted, excluded, "--annotation-style", "line")
        if lines is None:
            return None
        sizes = _sizes(self._compile(minor, wanted, excluded, "--format", "pylock.toml") or "")
        return tuple(_packages(lines.splitlines(), sizes))

    def lacks_wheels(self, requirement: str) -> bool:
        """Return whether a requirement has no wheel for any Python that the project may use."""
        minors = allowed_minors(self._project)
        return all(self._compile(minor, [requirement], (), "--no-deps") is None for minor in minors)

    def _compile(self, minor: int, wanted: Sequence[str], excluded: tuple[str, ...], *options: str) -> str | None:
        settings = with_more(self._project.settings, "constraint-dependencies", map(str, self._project.pins))
        settings = with_more(settings, "exclude-dependencies", excluded)
        project = {"name": "vstore-survey", "version": "0", "dependencies": list(wanted)}
        plain = {key: value for key, value in settings.items() if key not in PROJECT_ONLY}
        with tempfile.TemporaryDirectory(prefix="vstore-survey-") as scratch:
            file, configuration = Path(scratch, "pyproject.toml"), Path(scratch, SETTINGS)
            file.write_text(tomli_w.dumps({"project": project, "tool": {"uv": settings}}), "utf-8")
            configuration.write_text(tomli_w.dumps({**self._uv.settings, **plain}), "utf-8")
            command: list[str | Path] = ["pip", "compile", file, "--config-file", configuration, *options]
            command += ["--python-version", f"3.{minor}", "--python-platform", uv_platform(self._target, DEFAULT_GLIBC)]
            command += ["--only-binary", ":all:", "--no-python-downloads", "--no-header", "--quiet"]
            try:
                return self._uv.run(command, cwd=file.parent, timeout_seconds=_TIMEOUT_SECONDS, doing="resolving")
            except UvError as error:
                if error.unreachable or self._uv.offline:
                    raise
                found = _NO_WHEELS.search(" ".join(error.output.split()))
                self.missing = canonicalize_name(found["name"]) + (found["version"] or "") if found else ""
                return None


def _packages(lines: Sequence[str], sizes: Mapping[str, int]) -> Iterator[Pin]:
    """Return the packages of uv's lines ``name==1.0  # via parent, parent``."""
    versions: dict[str, str] = {}
    requires: dict[str, list[str]] = {}
    for line in lines:
        if found := _LINE.fullmatch(line.strip()):
            package = canonicalize_name(found["name"])
            versions[package] = found["version"]
            for parent in found["via"].split(", "):
                requires.setdefault(canonicalize_name(parent.partition(" ")[0]), []).append(package)
    for name, version in versions.items():
        yield Pin(name=name, version=version, size_bytes=sizes.get(name), requires=tuple(requires.get(name, ())))


def _sizes(text: str) -> dict[str, int]:
    """Return the sizes of the wheels in a lock, by package; none if the index does not state them."""
    try:
        lock = Pylock.from_dict(parse_toml(text.encode()))
    except (PylockValidationError, TomlError):
        return {}
    return {
        package.name: max(wheel.size for wheel in package.wheels if wheel.size)
        for package in lock.packages
        if package.wheels and any(wheel.size for wheel in package.wheels)
    }
