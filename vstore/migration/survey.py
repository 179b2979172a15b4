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
from vstore.migration.model import LeftOut, Pin, SourceProject
from vstore.migration.pythons import allowed_minors
from vstore.migration.requirement import SPEC, name_of
from vstore.spec.model import DEFAULT_GLIBC
from vstore.target import Target
from vstore.toml import TomlError, parse_toml
from vstore.uv import Uv, UvError
from vstore.values import replace

_LINE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+).*?# via (?P<via>.*)")
_NO_WHEELS = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*?)(?:==\S+|[<>]\S+)? (?:has|have) no usable wheels")
_TIMEOUT_SECONDS = 120.0


def survey(project: SourceProject, target: Target, uv: Uv) -> SourceProject:
    """Return a project with the Pythons for which its requirements have wheels, and the packages of that resolution.

    A project whose lock lists wheels or sizes is returned as it is. Without a solution, or if the index cannot be
    reached, a note is added.
    """
    if not project.requirements or any(pin.wheels or pin.size_bytes is not None for pin in project.pins):
        return project
    without_wheels: dict[str, None] = {}
    for minor in reversed(allowed_minors(project)):
        while True:
            try:
                resolved = _resolve(project, minor, target, uv, tuple(without_wheels))
            except UvError as error:
                if error.unreachable or uv.offline:
                    return _noted(project, "sizes and Pythons with wheels", "the package index was not reached")
                found = _NO_WHEELS.search(" ".join(error.output.split()))
                name = canonicalize_name(found["name"]) if found else ""
                if not name or name in without_wheels:
                    break
                without_wheels[name] = None
            else:
                limits = ",".join(filter(None, (project.python, f"<3.{minor + 1}")))
                return _with_notes(replace(project, python=limits, resolved=resolved), without_wheels)
    return _noted(project, "wheels of all requirements", "no Python has them: `vstore lock` says what is missing")


def _noted(project: SourceProject, subject: str, reason: str) -> SourceProject:
    return replace(project, left_out=(*project.left_out, LeftOut(subject=subject, reason=reason)))


def _with_notes(project: SourceProject, without_wheels: Iterable[str]) -> SourceProject:
    versions = {pin.name: f"=={pin.version}" for pin in project.pins}
    for name in without_wheels:
        wanted = f"{name}{versions.get(name, '')}"
        way = f"build one by `pip wheel --no-deps -w wheels '{wanted}'`"
        run = f"run `vstore lock --local-wheels wheels {SPEC}`"
        project = _noted(project, f"wheel of {wanted}", f"the package index has none: {way}, and {run}")
    return project


def _resolve(project: SourceProject, minor: int, target: Target, uv: Uv, excluded: tuple[str, ...]) -> tuple[Pin, ...]:
    """Return the packages of a resolution with wheels only, with their sizes. Raises UvError."""
    settings = dict(project.settings)
    for key, more in {"constraint-dependencies": map(str, project.pins), "exclude-dependencies": excluded}.items():
        known = settings.get(key)
        settings[key] = [*(known if isinstance(known, list) else []), *more]
    dependencies = [text for text in project.requirements if name_of(text) not in excluded]
    document = {
        "project": {"name": "vstore-survey", "version": "0", "dependencies": dependencies},
        "tool": {"uv": settings},
    }
    with tempfile.TemporaryDirectory(prefix="vstore-survey-") as scratch:
        folder = Path(scratch)
        (folder / "pyproject.toml").write_text(tomli_w.dumps(document), "utf-8")
        plain = {key: value for key, value in settings.items() if key not in PROJECT_ONLY}
        (folder / SETTINGS).write_text(tomli_w.dumps({**uv.settings, **plain}), "utf-8")
        command: list[str | Path] = ["pip", "compile", folder / "pyproject.toml", "--config-file", folder / SETTINGS]
        command += ["--python-version", f"3.{minor}", "--python-platform", uv_platform(target, DEFAULT_GLIBC)]
        command += ["--only-binary", ":all:", "--no-python-downloads", "--no-header", "--quiet"]
        text = _run(uv, [*command, "--annotation-style", "line"], folder)
        sizes = _sizes(_run(uv, [*command, "--format", "pylock.toml"], folder))
    return tuple(_packages(text.splitlines(), sizes))


def _run(uv: Uv, command: Sequence[str | Path], folder: Path) -> str:
    return uv.run(command, cwd=folder, timeout_seconds=_TIMEOUT_SECONDS, doing="resolving the requirements")


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
