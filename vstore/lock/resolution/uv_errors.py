"""uv's failures as ours: which layer, which requirement, and which pins of lower layers took part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlparse

from vstore.errors import LockError
from vstore.lock.resolution.postprocess import NEED_WHEELS
from vstore.lock.resolution.uv_project import PROJECT, SETTINGS, ResolveRequest, dependency_pins, excluding, names
from vstore.spec import Layer
from vstore.spec.requirement_hints import wheel_by_name, wheel_hint
from vstore.spec.requirements import LOGIN_HINT
from vstore.target import Target
from vstore.uv import UvFailed

_NO_SOURCE = ("no usable wheels", "building from source is disabled", "Wheels are required")
_NO_FIT = ("no wheels with a matching", "-compatible wheels")
_NO_SOLUTION = "No solution found"
_NO_LOGIN = re.compile(r"\b(?:401 Unauthorized|407 Proxy Authentication Required)")
_FORBIDDEN = "403 Forbidden"  # which some indexes say of a package that they lack
_WITHOUT_WHEEL = (
    r"Wheels are (?:required|available) for `([^`]+)`",
    r"only found wheels for `([^`]+)`",
    r"([\w.-]+?)(?:[<>=!~][^\s]*)? (?:has|have) no (?:usable )?wheels",
)


_MOST = 3  # dependents that one line names


class ResolutionConflict(LockError):
    """What is asked for contradicts itself, or the pins below."""


class PinConflict(ResolutionConflict):
    """A layer contradicts the pins below it; other pins might suit both."""


def check_requirements(layers: Iterable[Layer], spec: str) -> None:
    """Refuse a URL that leads to no wheel, which could only be built, and a path, which uv would not find.

    `spec` is the file's name, for commands.
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
                    f"layer {layer.env_name}: only wheels are used, and this URL leads to none: {text}",
                    hint=wheel_hint(url, spec, required),
                )
            if re.match(r"(?:file:)?(?![\w+.-]+:|/|~)", url):
                raise LockError(
                    f"layer {layer.env_name}: a relative path is no URL: {text}",
                    hint=wheel_by_name(url, required, spec),
                )


def is_about_wheels(error: UvFailed) -> bool:
    """Whether uv found a package, but no wheel of it that could be used."""
    return any(sign in _text(error) for sign in (*_NO_FIT, *_NO_SOURCE))


def _text(error: UvFailed) -> str:
    """uv's text in one line: it is broken at the width of a terminal, or at COLUMNS."""
    return " ".join(error.output.split())


def is_outage(error: UvFailed) -> bool:
    """Whether uv failed for want of network or space, and not of a resolution."""
    return error.unreachable or "offline" in (error.hint or "") or "no space left" in error.message


def short_reason(error: UvFailed) -> str:
    """A few words on why there is no resolution for a target that nobody asked for."""
    found = _without_wheel(error)
    return f"no wheel of {', '.join(found)}" if found else "its requirements cannot be met there"


def _without_wheel(error: UvFailed) -> list[str]:
    found = dict.fromkeys(name for sign in _WITHOUT_WHEEL for name in re.findall(sign, _text(error)))
    return [name for name in found if name not in ("of", "all")]


def explained(
    request: ResolveRequest,
    error: UvFailed,
    target: Target | None = None,
    instead: Mapping[str, str] = MappingProxyType({}),
) -> LockError:
    """The LockError to raise instead; ResolutionConflict where other pins or other requirements could help.

    `instead` are the versions that a resolution without the pins below takes, where it found one and they differ.
    """
    title = request.title
    details = [_plain(line) for line in error.details]
    if target is not None and len(request.required) > 1:
        details = [f"resolved for {target}:", *details]
    if is_outage(error):
        return LockError(f"{title} cannot be locked: {error.message}", details=details, hint=error.hint)
    if SETTINGS in error.output:
        return LockError(
            f"{request.spec.path.name}: uv does not accept what [tool.uv] says",
            details=details,
            hint="its fields are uv's own, see https://docs.astral.sh/uv/reference/settings/",
        )
    asking = list(_requirements(request.layers, error.output))
    if any(sign in _text(error) for sign in _NO_SOURCE) and not instead:
        found = _without_wheel(error)
        what = f": no wheel of {', '.join(found)}" if found else ""
        who = _askers(request.layers, found) or title
        return LockError(
            f"{who} cannot be locked{what}", details=[*asking, *details], hint=f"only wheels are used: {NEED_WHEELS}"
        )
    pins = list(_pins(request, error.output, instead))
    if len(request.layers) > 1:
        return ResolutionConflict(
            f"{title} cannot be locked together",
            details=[*asking, *pins, *details],
            hint="change one of these requirements, or lock with --no-joint",
        )
    if not pins:
        return ResolutionConflict(f"{title} cannot be locked", details=details, hint=_hint(error))
    return PinConflict(
        f"{title} cannot be locked: it conflicts with what is pinned below it",
        details=[*pins, *details],
        hint=f"run `vstore lock --joint {request.spec.path.name}`, which pins the layers below so that those above"
        " can be met; or change the requirements",
    )


def _hint(error: UvFailed) -> str:
    """The ways out where no pin takes part: a server may have refused, and uv its own settings."""
    text = _text(error)
    if _NO_LOGIN.search(text):
        return LOGIN_HINT
    if _NO_SOLUTION not in text:
        return "this is not about versions: see [tool.uv], and the variables whose names begin with UV_"
    change = "change the requirements of this layer"
    return f"{LOGIN_HINT}; or {change}" if _FORBIDDEN in text else change


def _plain(line: str) -> str:
    """A line of uv's without the names of the throw-away project."""
    line = re.sub(rf"\b{PROJECT}(?::layer-\d+)?\b", "your project", line)
    return line.replace("your project's requirements", "the requirements").replace("your project", "the spec")


def _askers(layers: Iterable[Layer], packages: Iterable[str]) -> str:
    """The layers that require one of these packages themselves, in words; empty if none does."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wanted = set(packages)
    found = [
        layer.env_name
        for layer in layers
        if any(canonicalize_name(Requirement(text).name) in wanted for text in layer.requirements)
    ]
    return f"layer {' and '.join(found)}" if found else ""


def _requirements(layers: Iterable[Layer], output: str) -> Iterator[str]:
    """What layers require of the packages that uv speaks of."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for layer in layers:
        for text in layer.requirements:
            if names(output, canonicalize_name(Requirement(text).name)):
                yield f"layer {layer.env_name} requires {text}"


def _pins(request: ResolveRequest, output: str, instead: Mapping[str, str]) -> Iterator[str]:
    """Per pin from below that takes part: which layer pins it, and who in this layer wants something else.

    These are the pins that a resolution without them does not meet; where there is none, those that uv speaks of.
    """
    text = " ".join(output.split())
    for pin, owner in dependency_pins(request.dependencies):
        package, _, version = pin.partition(" ;")[0].partition("==")
        if not version or not (package in instead if instead else names(output, package)):
            continue
        wanted = list(dict.fromkeys([*_declared(request, package, version), *_wanted(request, text, package, version)]))
        free = f", and {instead[package]} is taken without it" if package in instead else ""
        because = f", but {' and '.join(wanted[:_MOST])}" if wanted else free
        yield f"{package}=={version} is pinned by layer {owner}{because}"


def _declared(request: ResolveRequest, package: str, version: str) -> Iterator[str]:
    """The layers' own requirements of a package that its pin does not meet."""
    for layer in request.layers:
        for text in excluding(layer, package, version):
            yield f"layer {layer.env_name} requires {text}"


def _wanted(request: ResolveRequest, text: str, package: str, pinned: str) -> Iterator[str]:
    """Who depends on another version of a package than the pinned one, in uv's words made ours."""
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
