"""Marker environments of targets (PEP 508), and the tags of the wheels they can use."""

from __future__ import annotations

from typing import Any

from vstore.spec import Layer, Target

_SYSTEMS = {
    "linux": ("posix", "Linux", "linux"),
    "macosx": ("posix", "Darwin", "darwin"),
    "win": ("nt", "Windows", "win32"),
}
DEFAULT_GLIBC = (2, 28)
DEFAULT_MACOS = (13, 0)


def marker_environment(target: Target, python: str) -> dict[str, str]:
    """What markers see on a target, for CPython `python` (``3.11.7``)."""
    os_name, system, sys_platform = _SYSTEMS[target.system]
    machine = target.machine.upper() if target.system == "win" else target.machine
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": sys_platform,
    }


def holds(marker: str | None, target: Target, python: str) -> bool:
    """Whether a marker is true on a target."""
    from packaging.markers import Marker

    environment: dict[str, Any] = marker_environment(target, python)
    return marker is None or Marker(marker).evaluate(environment)


def environment_marker(target: Target) -> str:
    """The marker that is true on this target only."""
    _, _, sys_platform = _SYSTEMS[target.system]
    machine = target.machine.upper() if target.system == "win" else target.machine
    return f"sys_platform == '{sys_platform}' and platform_machine == '{machine}'"


def supported_tags(layer: Layer, target: Target, python: str) -> list[str]:
    """The wheel tags that fit, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = map(int, python.split(".")[:2])
    platforms = list(_platforms(layer, target))
    tags = [*cpython_tags((major, minor), platforms=platforms)]
    tags += compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    return [str(tag) for tag in tags]


def _platforms(layer: Layer, target: Target) -> list[str]:
    if target.system == "win":
        return [str(target)]
    if target.system == "macosx":
        from packaging.tags import mac_platforms

        return list(mac_platforms(_version(layer.macosx_target, DEFAULT_MACOS), target.machine))
    major, minor = _version((layer.linux_target or "").partition("@")[2] or None, DEFAULT_GLIBC)
    legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    found = []
    for level in range(minor, 4, -1):
        found.append(f"manylinux_{major}_{level}_{target.machine}")
        if level in legacy:
            found.append(f"{legacy[level]}_{target.machine}")
    return [*found, f"linux_{target.machine}"]


def _version(text: str | None, default: tuple[int, int]) -> tuple[int, int]:
    if not text:
        return default
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
