"""The Pythons for which every pinned package has a wheel, as the interpreter of the proposed runtime."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from vstore.lock.markers import holds, wheel_tags
from vstore.lock.model import LockedPackage, LockedWheel
from vstore.lock.wheels import best_wheel
from vstore.migration.model import LeftOut, Pin, SourceProject
from vstore.migration.requirement import wheel_to_build
from vstore.objects import Kind
from vstore.spec import Layer
from vstore.spec.model import DEFAULT_GLIBC
from vstore.target import Target
from vstore.values import frozen

_MINORS = range(9, 14)  # those that layers are tested with


@frozen
class PythonChoice:
    """The interpreter of a runtime, and the newest glibc that wheels may need if the default is too old for them."""

    implementation: str
    linux_target: str | None = None
    left_out: tuple[LeftOut, ...] = ()


def choose_python(project: SourceProject, target: Target) -> PythonChoice:
    """Return the interpreter for a project: the series that it is used with, else all with wheels of each pin.

    The patch version is left to the lock, as patch versions run the same wheels.
    """
    pins = project.pins if any(pin.wheels for pin in project.pins) else ()  # those of a lock that lists wheels
    minors = allowed_minors(project)
    missing: dict[int, list[Pin]] = {}
    for glibc in dict.fromkeys((DEFAULT_GLIBC, _host_glibc())):
        missing = {minor: _without_wheel(pins, f"3.{minor}", target, glibc) for minor in minors}
        if not all(missing.values()):
            break
    fewest = min(map(len, missing.values()))
    usable = [minor for minor in minors if len(missing[minor]) == fewest]
    return PythonChoice(
        implementation=f"cpython@3.{minors[0]}" if _series(project) else _range(usable, project.python),
        linux_target=f"glibc@{glibc[0]}.{glibc[1]}" if glibc != DEFAULT_GLIBC and not fewest else None,
        left_out=tuple(
            LeftOut(
                subject=f"wheel of {pin.name}=={pin.version}",
                reason=f"there is none for {target}: {wheel_to_build(f'{pin.name}=={pin.version}')}",
            )
            for pin in missing[usable[-1]]
        ),
    )


def _series(project: SourceProject) -> int | None:
    """Return the minor version of Python 3 that a project is used with, if it says one."""
    found = re.match(r"3\.(\d+)(?![\w.-]*-)", project.python_version or "")
    return int(found[1]) if found else None


def allowed_minors(project: SourceProject) -> list[int]:
    """Return the minor versions of Python 3 that a project may use, the older first."""
    series, specifier = _series(project), project.python
    if series is not None:
        return [series]
    try:
        allowed = SpecifierSet(specifier)
    except InvalidSpecifier:
        specifier, allowed = "", SpecifierSet()
    found = [minor for minor in range(9, 30) if any(f"3.{minor}.{micro}" in allowed for micro in range(40))]
    tested = [minor for minor in found if minor in _MINORS and (specifier or minor > 10)]
    return tested or found[:1] or [*_MINORS]


def _range(minors: Sequence[int], specifier: str) -> str:
    """Return the range of the newest of these minor versions, and the patch versions that a specifier speaks of."""
    low = high = max(minors)
    while low - 1 in minors:
        low -= 1
    clauses = [f">=3.{low}", f"<3.{high + 1}"]
    for clause in re.split(r"\s*,\s*", specifier):
        if re.fullmatch(r"(>=|>|!=|<|<=)3\.\d+\.\d+", clause):
            clauses.append(clause)
    return f"cpython@{','.join(clauses)}"


def _without_wheel(pins: Sequence[Pin], python: str, target: Target, glibc: tuple[int, int]) -> list[Pin]:
    layer = Layer(kind=Kind.RUNTIME, name="python", glibc=glibc, package_indexes={}, index_overrides={})
    rank = wheel_tags(layer, target, python)
    return [pin for pin in pins if holds(pin.marker, target, f"{python}.9") and best_wheel(_package(pin), rank) is None]


def _package(pin: Pin) -> LockedPackage:
    wheels = tuple(LockedWheel(location=name, hashes={}) for name in pin.wheels)
    return LockedPackage(name=pin.name, version=pin.version, wheels=wheels)


def _host_glibc() -> tuple[int, int]:
    name, version = platform.libc_ver()
    numbers = version.split(".")
    return (int(numbers[0]), int(numbers[1])) if name == "glibc" and len(numbers) > 1 else DEFAULT_GLIBC
