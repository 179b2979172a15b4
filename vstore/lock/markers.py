"""The marker environments of targets (PEP 508), and their wheel tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from vstore.python_version import feature_version
from vstore.spec import Layer
from vstore.target import Target

if TYPE_CHECKING:
    from packaging.version import Version

_SYSTEMS = {
    "linux": ("posix", "Linux", "linux"),
    "macosx": ("posix", "Darwin", "darwin"),
    "win": ("nt", "Windows", "win32"),
}
_UV_GLIBC = (17, 28, *range(31, 41))  # the minor versions of glibc for which uv has platforms


def marker_environment(target: Target, python: str) -> dict[str, str]:
    """Return the values of markers on a target, for CPython `python` (``3.11.7``)."""
    os_name, system, sys_platform = _SYSTEMS[_system(target)]
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": os_name,
        "platform_machine": _machine(target),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": python,
        "python_version": feature_version(python),
        "sys_platform": sys_platform,
    }


def _system(target: Target) -> str:
    return target.value.partition("_")[0]


def _machine(target: Target) -> str:
    machine = target.value.partition("_")[2]
    return machine.upper() if _system(target) == "win" else machine


@cache
def holds(marker: str | None, target: Target, python: str) -> bool:
    """Return whether a marker is true on a target. The release and version of its system are empty texts."""
    from packaging.markers import Marker

    return marker is None or Marker(marker).evaluate({**marker_environment(target, python)})


def environment_marker(target: Target) -> str:
    """Return the marker that is true on this target only."""
    return f"sys_platform == '{_SYSTEMS[_system(target)][2]}' and platform_machine == '{_machine(target)}'"


def targets_marker(targets: Iterable[Target]) -> str:
    """Return the marker that is true on these targets only."""
    return " or ".join(map(environment_marker, targets))


def exact_marker(target: Target, python: str) -> str:
    """Return all values of CPython `python` on a target as one marker. With fewer, uv also resolves for others."""
    known = {key: value for key, value in marker_environment(target, python).items() if value}
    return " and ".join(f"{key} == '{value}'" for key, value in known.items())


def uv_platform(target: Target, glibc: tuple[int, int]) -> str:
    """Return uv's name for a target, with the newest glibc that is not newer than this (``x86_64-manylinux_2_28``)."""
    machine = target.value.partition("_")[2]
    if target.is_linux:
        level = max((one for one in _UV_GLIBC if (2, one) <= glibc), default=_UV_GLIBC[0])
        return f"{machine}-manylinux_2_{level}"
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine)
    return f"{machine}-{'apple-darwin' if target.is_macosx else 'pc-windows-msvc'}"


def wheel_tags(layer: Layer, target: Target, python: str) -> Mapping[str, int]:
    """Return the wheel tags that a layer may use on a target, with their ranks; 0 is the best."""
    major, minor = map(int, feature_version(python).split("."))
    return _ranked(target, layer.glibc, layer.macos, (major, minor))


@cache
def _ranked(
    target: Target, glibc: tuple[int, int], macos: tuple[int, int], version: tuple[int, int]
) -> Mapping[str, int]:
    from packaging.tags import compatible_tags, cpython_tags

    platforms = list(_platforms(target, glibc, macos))
    abi = f"cp{version[0]}{version[1]}"  # not that of the running interpreter, such as a debug build
    tags = [*cpython_tags(version, abis=[abi], platforms=platforms), *compatible_tags(version, abi, platforms)]
    return {str(tag): number for number, tag in enumerate(tags)}


def _platforms(target: Target, glibc: tuple[int, int], macos: tuple[int, int]) -> list[str]:
    if _system(target) == "win":
        return [str(target)]
    if _system(target) == "macosx":
        from packaging.tags import mac_platforms

        return [*mac_platforms(macos, _machine(target)), str(target)]
    major, minor = glibc
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    found = []
    for level in range(minor, 4, -1):
        found.append(f"manylinux_{major}_{level}_{_machine(target)}")
        if level in legacy:
            found.append(f"{legacy[level]}_{_machine(target)}")
    return [*found, f"linux_{_machine(target)}"]


def version_key(version: str) -> Version:
    """Return a version for comparison (PEP 440)."""
    from packaging.version import Version

    return Version(version)
