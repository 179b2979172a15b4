"""uv's answers: the versions for one target, and the lock documents that list their wheels."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vstore.lock.markers import targets_marker, uv_platform
from vstore.lock.resolution.postprocess import NoWheel
from vstore.lock.resolution.uv_project import PROJECT, SETTINGS, ResolveRequest, group, write_project
from vstore.target import Target
from vstore.uv import Uv, UvFailed
from vstore.uv.environment import refuse_changed_dependencies
from vstore.values import frozen

_AT_A_TIME = 4
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?P<rest>(?:==| @ ).*?)(?:\s+# via (?P<via>.*))?")


@frozen
class Versions:
    """The resolution for one target: by name, the exact requirement, and which packages depend on it."""

    pins: Mapping[str, str]
    parents: Mapping[str, frozenset[str]]

    def version(self, name: str) -> str | None:
        """The version of a package; None if it is not part of the resolution, or named by a URL."""
        _, exact, version = self.pins.get(name, "").partition("==")
        return version if exact else None


@frozen
class Alone:
    """The resolution of one stack without the layers of others; `others` are these, by the packages they share."""

    versions: Versions
    others: Mapping[str, tuple[str, ...]]


@frozen
class Solution:
    """The raw `documents` by env name, and the versions by target.

    Others are kept where they differ: `free` are those without the pins from below, `apart` those without a preference
    for the versions of the first target, `newest` those with wheels for any glibc or macOS; `too_new` are the packages
    of the last that their layer does not allow. `left_out` are the optional targets without a solution, with the
    reasons. `agreed` are the pins that all stacks over a runtime were given so that they agree; `free` is then without
    these. `alone` are the resolutions for the first target of the layer's stacks, where several were resolved together.
    """

    documents: Mapping[str, dict[str, Any]]
    versions: Mapping[Target, Versions]
    free: Mapping[Target, Versions] = {}
    apart: Mapping[Target, Versions] = {}
    newest: Mapping[Target, Versions] = {}
    left_out: Mapping[Target, str] = {}
    too_new: Sequence[NoWheel] = ()
    agreed: Mapping[str, str] = {}
    alone: Sequence[Alone] = ()


def resolve_versions(
    request: ResolveRequest,
    target: Target,
    uv: Uv,
    *,
    constraints: Sequence[str],
    prefer: Mapping[str, str],
) -> Versions:
    """Ask uv as one would on the target: ``uv pip compile``, wheels only, with its tags and its exact Python.

    Raises UvFailed, UsageError.
    """
    refuse_changed_dependencies(uv.environment)
    if not request.spec.uv and not any(target in layer.targets and layer.requirements for layer in request.layers):
        return Versions(pins={}, parents={})
    with _project(request, uv, target=target, targets=(), pins=constraints) as project:
        output = project / "versions.txt"
        output.write_text("".join(f"{name}=={version}\n" for name, version in sorted(prefer.items())), "utf-8")
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


def documents(request: ResolveRequest, versions: Mapping[Target, Versions], uv: Uv) -> dict[str, dict[str, Any]]:
    """By env name, the PEP 751 document of each layer's closure at these versions, for these targets.

    uv has seen all that it needs by now, so it is asked offline first. Raises UvFailed.
    """
    pins = list(_pins(versions))
    if not pins:
        return {layer.env_name: {"lock-version": "1.0", "packages": []} for layer in request.layers}
    try:
        return _export(request, tuple(versions), pins, replace(uv, offline=True))
    except UvFailed:
        return _export(request, tuple(versions), pins, uv)


def _pins(versions: Mapping[Target, Versions]) -> Iterator[str]:
    """One exact requirement per package, and per group of targets that differ in its version."""
    chosen: dict[str, dict[str, list[Target]]] = {}
    for target, found in versions.items():
        for name, pin in found.pins.items():
            chosen.setdefault(name, {}).setdefault(pin, []).append(target)
    for pins in chosen.values():
        for pin, targets in pins.items():
            yield pin if len(pins) == 1 else f"{pin} ; {targets_marker(targets)}"


def any_machine(request: ResolveRequest, uv: Uv) -> dict[str, dict[str, Any]]:
    """The documents when wheels need not fit any target: only for saying what does not fit. Raises UvFailed."""
    return _export(request, (), request.constraints(), uv)


def _export(
    request: ResolveRequest, targets: Sequence[Target], pins: Sequence[str], uv: Uv
) -> dict[str, dict[str, Any]]:
    with _project(request, uv, target=None, targets=targets, pins=pins) as project:
        common: list[str | Path] = ["--config-file", project / SETTINGS, "--project", project]
        common += ["--python", request.python.path, "--no-python-downloads"]
        doing = f"listing the wheels of {request.title}"
        uv.run(["lock", *common], cwd=project, doing=doing)
        export = ["export", *common, "--frozen", "--format", "pylock.toml", "--no-header", "--only-group"]

        def closure(number: int) -> dict[str, Any]:
            return _with_wheels(tomllib.loads(uv.run([*export, group(number)], cwd=project, doing=doing)))

        with ThreadPoolExecutor(_AT_A_TIME) as pool, uv.cancel.set_after(errors=False):
            found = pool.map(closure, range(len(request.layers)))
            return {layer.env_name: document for layer, document in zip(request.layers, found, strict=True)}


def _with_wheels(document: dict[str, Any]) -> dict[str, Any]:
    """The document with each wheel once; one that a requirement names by its URL is a wheel, not an archive."""
    for table in document.get("packages", []):
        archive = table.pop("archive", None)
        if archive is not None:
            table.setdefault("wheels", [archive])
        if "wheels" in table:  # a folder that is given twice offers each of its wheels twice
            table["wheels"] = [one for n, one in enumerate(table["wheels"]) if one not in table["wheels"][:n]]
    return {"packages": [], **document}


@contextmanager
def _project(
    request: ResolveRequest, uv: Uv, *, target: Target | None, targets: Sequence[Target], pins: Sequence[str]
) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vstore-lock-") as folder:
        write_project(Path(folder), request, uv.settings, target=target, targets=targets, pins=pins)
        yield Path(folder)
