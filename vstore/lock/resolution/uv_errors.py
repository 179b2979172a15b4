"""Explaining uv's errors: the layer, the requirement, and the pins of the layers below that are involved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlparse

from vstore.errors import LockError
from vstore.fs.paths import quoted, typed
from vstore.lock.resolution.missing_wheels import BUILD_WHEELS
from vstore.lock.resolution.uv_project import (
    PROJECT,
    SETTINGS,
    ResolveRequest,
    dependency_pins,
    mentions,
    required_name,
    requirements_excluding,
)
from vstore.spec import Layer
from vstore.spec.requirement_hints import wheel_by_name, wheel_hint
from vstore.spec.requirements import LOGIN_HINT
from vstore.target import Target
from vstore.uv import UvError

_NO_SOURCE = ("no usable wheels", "building from source is disabled", "Wheels are required")
_NO_FIT = ("no wheels with a matching", "-compatible wheels")
_NO_SOLUTION = "No solution found"
_NO_LOGIN = re.compile(r"\b(?:401 Unauthorized|407 Proxy Authentication Required)")
_NOT_FOUND = re.compile(r"([\w.-]+) was not found in the (?:package registry|provided package locations)")
_FORBIDDEN = "403 Forbidden"  # some indexes answer this for a package that they do not have
_WITHOUT_WHEEL = (
    r"Wheels are (?:required|available) for `([^`]+)`",
    r"only found wheels for `([^`]+)`",
    r"([\w.-]+?)(?:[<>=!~][^\s]*)? (?:has|have) no (?:usable )?wheels",
)


_MAX_DEPENDENTS = 3  # in one line


class ResolutionConflictError(LockError):
    """The requirements contradict each other, or the pins of the layers below."""


class PinConflictError(ResolutionConflictError):
    """The requirements of a layer contradict the pins below it. A joint resolution may find other pins."""


def check_requirements(layers: Iterable[Layer], spec: str) -> None:
    """Refuse a URL that is not that of a wheel, and a relative path, which uv would not find. Raises LockError.

    `spec` is the name of the file, for commands in hints.
    """
    from packaging.requirements import Requirement

    for layer in layers:
        for text in layer.requirements:
            url = Requirement(text).url
            if url is None:
                continue
            required = re.sub(r"\s*@\s*\S+", "", text)
            if not (urlparse(url).path or url).endswith(".whl"):
                raise LockError(
                    f"layer {layer.env_name}: only wheels are used, and this is not the URL of a wheel: {text}",
                    hint=wheel_hint(url, spec, required),
                )
            if re.match(r"(?:file:)?(?![\w+.-]+:|/|~)", url):
                raise LockError(
                    f"layer {layer.env_name}: a relative path is not a URL: {text}",
                    hint=wheel_by_name(url, required, spec),
                )


def is_about_wheels(error: UvError) -> bool:
    """Return whether uv found a package, but no usable wheel of it."""
    return any(sign in _text(error) for sign in (*_NO_FIT, *_NO_SOURCE))


def _text(error: UvError) -> str:
    """Return uv's output in one line. uv breaks lines at the width of a terminal, or at COLUMNS."""
    return " ".join(error.output.split())


def is_outage(error: UvError) -> bool:
    """Return whether uv failed because of the network or the disk, and not because there is no resolution."""
    return error.unreachable or "offline" in (error.hint or "") or "no space left" in error.message


def short_reason(error: UvError) -> str:
    """Return in a few words why there is no resolution for an optional target."""
    found = _without_wheel(error)
    return f"no wheel of {', '.join(found)}" if found else "its requirements cannot be met there"


def _without_wheel(error: UvError) -> list[str]:
    found = dict.fromkeys(name for sign in _WITHOUT_WHEEL for name in re.findall(sign, _text(error)))
    return [name for name in found if name not in ("of", "all")]


def lock_error(
    request: ResolveRequest,
    error: UvError,
    target: Target | None = None,
    instead: Mapping[str, str] = MappingProxyType({}),
) -> LockError:
    """Return the error to raise for uv's error; a ResolutionConflictError where other pins or requirements could help.

    `instead` are the differing versions of a resolution without the pins below, if there is one.
    """
    title = request.title
    details = [plain(line) for line in error.details]
    if target is not None and len(request.required) > 1:
        details = [f"resolved for {target}:", *details]
    if is_outage(error):
        return LockError(f"{title} cannot be locked: {error.message}", details=details, hint=error.hint)
    if SETTINGS in error.output:
        return LockError(
            f"{typed(request.spec.path)}: uv does not accept the settings in [tool.uv]",
            details=details,
            hint="correct the line that uv names; all settings: https://docs.astral.sh/uv/reference/settings/",
        )
    requirements = list(_requirements(request.layers, error.output))
    if any(sign in _text(error) for sign in _NO_SOURCE) and not instead:
        found = _without_wheel(error)
        missing = f": no wheel of {', '.join(found)}" if found else ""
        subject = _layers_requiring(request.layers, found) or title
        return LockError(
            f"{subject} cannot be locked{missing}",
            details=[*requirements, *details],
            hint=f"only wheels are used: {BUILD_WHEELS}",
        )
    pins = list(_pins(request, error.output, instead))
    if len(request.layers) > 1:
        return ResolutionConflictError(
            f"{title} cannot be locked together",
            details=[*requirements, *pins, *details],
            hint="change one of these requirements, or lock with --no-joint",
        )
    if not pins:
        return ResolutionConflictError(f"{title} cannot be locked", details=details, hint=_hint(error))
    return PinConflictError(
        f"{title} cannot be locked: it conflicts with the versions pinned below it",
        details=[*pins, *details],
        hint=f"run `vstore lock --joint {quoted(request.spec.path)}`, which chooses versions that satisfy all layers;"
        " or change the requirements",
    )


def _hint(error: UvError) -> str:
    """Return a hint for a failure without pins: a server may have refused, or uv its own settings."""
    text = _text(error)
    if _NO_LOGIN.search(text):
        return LOGIN_HINT
    if _NO_SOLUTION not in text:
        return "check the settings in [tool.uv], and the environment variables that begin with UV_"
    change = "change the requirements of this layer"
    if found := _NOT_FOUND.search(text):
        change = (
            f"check the spelling of {found[1]}; --local-wheels DIR uses wheels of your own, and [tool.uv] names indexes"
        )
    return f"{LOGIN_HINT}; or {change}" if _FORBIDDEN in text else change


def plain(line: str) -> str:
    """Remove the name of the temporary project from a line of uv's output."""
    line = re.sub(rf"\b{PROJECT}(?::layer-\d+)?\b", "your project", line)
    line = line.replace("your project's requirements", "the requirements").replace("your project", "the spec")
    return line.replace("`--find-links <uri>`", "`--local-wheels DIR`")


def _layers_requiring(layers: Iterable[Layer], packages: Iterable[str]) -> str:
    """Return in words the layers that require one of these packages themselves; ``""`` if none does."""
    wanted = set(packages)
    found = [layer.env_name for layer in layers if any(required_name(text) in wanted for text in layer.requirements)]
    return f"layer {' and '.join(found)}" if found else ""


def _requirements(layers: Iterable[Layer], output: str) -> Iterator[str]:
    """Return the requirements of layers for the packages that uv mentions."""
    for layer in layers:
        for text in layer.requirements:
            if mentions(output, required_name(text)):
                yield f"layer {layer.env_name} requires {text}"


def _pins(request: ResolveRequest, output: str, instead: Mapping[str, str]) -> Iterator[str]:
    """Return a line for each pin below that is involved: its layer, and the packages that need another version.

    These are the pins that a resolution without them does not meet; if there is none, those that uv mentions.
    """
    text = " ".join(output.split())
    for pin, owner in dependency_pins(request.dependencies):
        package, _, version = pin.partition(" ;")[0].partition("==")
        if not version or not (package in instead if instead else mentions(output, package)):
            continue
        wanted = list(dict.fromkeys([*_declared(request, package, version), *_wanted(request, text, package, version)]))
        free = f", and without it {instead[package]} is chosen" if package in instead else ""
        because = f", but {' and '.join(wanted[:_MAX_DEPENDENTS])}" if wanted else free
        yield f"{package}=={version} is pinned by layer {owner}{because}"


def _declared(request: ResolveRequest, package: str, version: str) -> Iterator[str]:
    """Return the requirements of the layers that a pin of a package does not meet."""
    for layer in request.layers:
        for text in requirements_excluding(layer, package, version):
            yield f"layer {layer.env_name} requires {text}"


def _wanted(request: ResolveRequest, text: str, package: str, pinned: str) -> Iterator[str]:
    """Return the packages that, as uv reports, depend on another version of a package than the pinned one."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    subject = r"([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)(?:\{[^}]*\})?([=<>!~][^\s]*)?"
    wanted = rf"({re.escape(package)}(?:\{{[^}}]*\}})?(?:[=<>!~][^\s]*)?)(?=[\s,.]|$)"
    for who, version, what in re.findall(rf"{subject} depends? on {wanted}", text):
        what = re.sub(r"\{[^}]*\}", "", what).rstrip(",.")
        try:
            met = SpecifierSet(what.removeprefix(package)).contains(pinned, True)
        except InvalidSpecifier:
            met = False
        if who not in (PROJECT, "project") and not met:
            yield f"{who}{version} in {request.title} depends on {what}"
