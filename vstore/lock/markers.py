"""Marker environments of targets (PEP 508), and the tags of the wheels they can use."""

from __future__ import annotations

from typing import Any

from vstore.spec import Layer, Target

_SYSTEMS = {
    "linux": ("posix", "Linux", "linux"),
    "macosx": ("posix", "Darwin", "darwin"),
    "win": ("nt", "Windows", "win32"),
}
DEFAULT_MACOS = (13, 0)


def marker_environment(target: Target, python: str) -> dict[str, str]:
    """What markers see on a target, for CPython `python` (``3.11.7``)."""
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
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": sys_platform,
    }


def _system(target: Target) -> str:
    return target.value.partition("_")[0]


def _machine(target: Target) -> str:
    machine = target.value.partition("_")[2]
    return machine.upper() if _system(target) == "win" else machine


def holds(marker: str | None, target: Target, python: str) -> bool:
    """Whether a marker is true on a target."""
    from packaging.markers import Marker

    environment: dict[str, Any] = marker_environment(target, python)
    return marker is None or Marker(marker).evaluate(environment)


def environment_marker(target: Target) -> str:
    """The marker that is true on this target only."""
    return f"sys_platform == '{_SYSTEMS[_system(target)][2]}' and platform_machine == '{_machine(target)}'"


def supported_tags(layer: Layer, target: Target, python: str) -> list[str]:
    """The wheel tags that fit, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = map(int, python.split(".")[:2])
    platforms = list(_platforms(layer, target))
    abi = f"cp{major}{minor}"  # else `packaging` takes the running interpreter's: debug, free-threaded
    tags = [*cpython_tags((major, minor), abis=[abi], platforms=platforms)]
    tags += compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    return [str(tag) for tag in tags]


def _platforms(layer: Layer, target: Target) -> list[str]:
    if _system(target) == "win":
        return [str(target)]
    if _system(target) == "macosx":
        from packaging.tags import mac_platforms

        return list(mac_platforms(_version(layer.macosx_target, DEFAULT_MACOS), _machine(target)))
    major, minor = layer.glibc
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    found = []
    for level in range(minor, 4, -1):
        found.append(f"manylinux_{major}_{level}_{_machine(target)}")
        if level in legacy:
            found.append(f"{legacy[level]}_{_machine(target)}")
    return [*found, f"linux_{_machine(target)}"]


def _version(text: str | None, default: tuple[int, int]) -> tuple[int, int]:
    if not text:
        return default
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
