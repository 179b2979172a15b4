"""Running uv to resolve: the versions for one target, and the packages with their wheels."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vstore.documents import Fields
from vstore.errors import LockError
from vstore.lock.lockfile import read_packages, read_wheel
from vstore.lock.markers import targets_marker, uv_platform
from vstore.lock.model import LockedPackage
from vstore.lock.resolution.missing_wheels import NoWheel
from vstore.lock.resolution.uv_project import PROJECT, SETTINGS, ResolveRequest, group, write_project
from vstore.target import Target
from vstore.toml import parse_toml
from vstore.uv import Uv, UvError
from vstore.uv.environment import refuse_changed_dependencies
from vstore.values import frozen

_THREADS = 4
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?P<rest>(?:==| @ ).*?)(?:\s+# via (?P<via>.*))?")


@frozen
class Versions:
    """A resolution for one target: by package, the exact requirement, and the packages that depend on it."""

    pins: Mapping[str, str]
    parents: Mapping[str, frozenset[str]]

    def version(self, name: str) -> str | None:
        """Return the version of a package; None if it is not in the resolution, or has a URL."""
        _, exact, version = self.pins.get(name, "").partition("==")
        return version if exact else None


@frozen
class StackAlone:
    """The resolution of one stack without the layers of others; `others` are these, by the packages that they share."""

    versions: Versions
    others: Mapping[str, tuple[str, ...]]


@frozen
class Solution:
    """The packages by env name, the versions by target, and other resolutions where they differ.

    `unpinned` are those without the pins of the layers below, `separate` those without a preference for the versions
    of the first target, `any_system` those with wheels for any glibc or macOS; `too_new` are the packages of the last
    that their layer does not allow. `left_out` are the optional targets without a solution, with the reasons.
    `agreed` are pins by package that all stacks on a runtime share, so that they agree; `unpinned` is then without
    these. `stacks_alone` are resolutions for the first target, where several stacks were resolved together. `warnings`
    are those of uv.
    """

    packages: Mapping[str, tuple[LockedPackage, ...]]
    versions: Mapping[Target, Versions]
    unpinned: Mapping[Target, Versions] = {}
    separate: Mapping[Target, Versions] = {}
    any_system: Mapping[Target, Versions] = {}
    left_out: Mapping[Target, str] = {}
    too_new: Sequence[NoWheel] = ()
    agreed: Mapping[str, str] = {}
    stacks_alone: Sequence[StackAlone] = ()
    warnings: Sequence[str] = ()


@frozen
class Listing:
    """The packages by env name, and the warnings of uv, one line each."""

    packages: Mapping[str, tuple[LockedPackage, ...]]
    warnings: tuple[str, ...] = ()


def resolve_versions(
    request: ResolveRequest,
    target: Target,
    uv: Uv,
    *,
    constraints: Sequence[str],
    preferred: Mapping[str, str],
) -> Versions:
    """Run ``uv pip compile`` for a target: wheels only, with its tags and its exact Python.

    Raises UvError, UsageError.
    """
    refuse_changed_dependencies(uv.environment)
    if not request.spec.uv and not any(target in layer.targets and layer.requirements for layer in request.layers):
        return Versions(pins={}, parents={})
    with _project(request, uv, target=target, targets=(), pins=constraints) as project:
        output = project / "versions.txt"
        output.write_text("".join(f"{name}=={version}\n" for name, version in sorted(preferred.items())), "utf-8")
        arguments: list[str | Path] = ["pip", "compile", project / "pyproject.toml", "--output-file", output]
        arguments += ["--config-file", project / SETTINGS, "--python", request.python.path, "--no-python-downloads"]
        arguments += ["--python-platform", uv_platform(target, request.glibc), "--only-binary", ":all:", "--no-header"]
        arguments += ["--annotation-style", "line", "--quiet"]
        uv.run(
            arguments,
            cwd=project,
            doing=f"resolving {request.title} for {target}",
            changes={"MACOSX_DEPLOYMENT_TARGET": "{}.{}".format(*request.macos)},
        )
        return _versions(output.read_text("utf-8"))


def _versions(text: str) -> Versions:
    pins, parents = {}, {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            pins[match["name"]] = match["name"] + match["rest"]
            via = (match["via"] or "").split(", ")
            parents[match["name"]] = frozenset(one for one in via if re.fullmatch(r"[\w.-]+", one) and one != PROJECT)
    return Versions(pins=pins, parents=parents)


def list_packages(request: ResolveRequest, versions: Mapping[Target, Versions], uv: Uv) -> Listing:
    """List the packages of each layer and their dependencies, at these versions, for these targets.

    uv has its metadata cached by now, so it runs offline first. Raises UvError.
    """
    pins = list(_pins(versions))
    if not pins:
        return Listing(packages={layer.env_name: () for layer in request.layers})
    try:
        return _export(request, tuple(versions), pins, replace(uv, offline=True))
    except UvError:
        return _export(request, tuple(versions), pins, uv)


def _pins(versions: Mapping[Target, Versions]) -> Iterator[str]:
    """Return one exact requirement per package and group of targets that have the same version of it."""
    chosen: dict[str, dict[str, list[Target]]] = {}
    for target, found in versions.items():
        for name, pin in found.pins.items():
            chosen.setdefault(name, {}).setdefault(pin, []).append(target)
    for pins in chosen.values():
        for pin, targets in pins.items():
            yield pin if len(pins) == 1 else f"{pin} ; {targets_marker(targets)}"


def list_packages_of_any_machine(request: ResolveRequest, uv: Uv) -> dict[str, tuple[LockedPackage, ...]]:
    """Return the packages when their wheels need not fit any target, to find those that fit none. Raises UvError."""
    return dict(_export(request, (), request.constraints(), uv).packages)


def _export(request: ResolveRequest, targets: Sequence[Target], pins: Sequence[str], uv: Uv) -> Listing:
    with _project(request, uv, target=None, targets=targets, pins=pins) as project:
        common: list[str | Path] = ["--config-file", project / SETTINGS, "--project", project]
        common += ["--python", request.python.path, "--no-python-downloads"]
        doing = f"listing the wheels of {request.title}"
        warnings: list[str] = []
        replace(uv, on_warning=warnings.append).run(["lock", *common], cwd=project, doing=doing)
        export = ["export", *common, "--frozen", "--format", "pylock.toml", "--no-header", "--only-group"]

        def packages(number: int) -> tuple[LockedPackage, ...]:
            return _packages(uv.run([*export, group(number)], cwd=project, doing=doing))

        with ThreadPoolExecutor(_THREADS) as pool, uv.cancel.set_after(errors=False):
            found = pool.map(packages, range(len(request.layers)))
            packages_of = {layer.env_name: one for layer, one in zip(request.layers, found, strict=True)}
            return Listing(packages=packages_of, warnings=tuple(warnings))


def _packages(text: str) -> tuple[LockedPackage, ...]:
    """Read uv's PEP 751 document. A wheel that a requirement names by its URL is an archive there.

    A folder that is given twice offers each of its wheels twice.
    """
    try:
        document = Fields(parse_toml(text.encode()))
        found = []
        for package, table in zip(read_packages(document), document.tables("packages"), strict=True):
            is_archive = "archive" in table and "wheels" not in table
            wheels = [read_wheel(table.table("archive"))] if is_archive else package.wheels
            distinct = tuple(one for number, one in enumerate(wheels) if one not in wheels[:number])
            found.append(replace(package, wheels=distinct))
        return tuple(found)
    except ValueError as error:
        raise LockError(f"the answer of uv cannot be read: {error}") from error


@contextmanager
def _project(
    request: ResolveRequest, uv: Uv, *, target: Target | None, targets: Sequence[Target], pins: Sequence[str]
) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vstore-lock-") as folder:
        write_project(Path(folder), request, uv.settings, target=target, targets=targets, pins=pins)
        yield Path(folder)
