"""The warnings of uv: those about packages belong to the layers that have the packages, the others to nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vstore.credentials import redact
from vstore.errors import printable
from vstore.lock.resolution.uv_answers import Solution
from vstore.lock.resolution.uv_errors import plain
from vstore.spec import Layer

_PACKAGE = re.compile(r"`([A-Za-z0-9][\w.-]*)(?:==([^`\s]+))?(?:\[[^`]*\])?(?: \(from [^`]*\))?`")
_EXTRA = re.compile(r" does not have an extra named `([^`]+)`")
_ABOUT_OWN_WORK = ("VIRTUAL_ENV", "hardlink", "requires-python")


def package_warnings(layers: Sequence[Layer], layer: Layer, solution: Solution) -> Iterator[str]:
    """Return the warnings of uv about packages of one of the layers that were resolved together, sorted.

    A missing extra concerns the layers that require the extra themselves, if any do, else those with its package.
    """
    for warning in sorted({_line(one) for one in solution.warnings if _subject(one, solution)}):
        if layer.env_name in _concerned(layers, warning, solution):
            yield warning


def general_warnings(solution: Solution) -> Iterator[str]:
    """Return the warnings of uv about no package of the solution, without those about its own work."""
    for warning in dict.fromkeys(solution.warnings):
        if not _subject(warning, solution) and not any(sign in warning for sign in _ABOUT_OWN_WORK):
            yield plain(_line(warning))


def _line(warning: str) -> str:
    """Return a warning without the places of wheels: they may be of this machine, or have a login."""
    return printable(redact(re.sub(r" \(from [^`]*\)`", "`", warning)))


def _subject(warning: str, solution: Solution) -> tuple[str, str] | None:
    """Return name and version (or ``""``) of the first package that a warning names; None if it is of no layer."""
    known = {package.name for packages in solution.packages.values() for package in packages}
    return next((found for found in _PACKAGE.findall(warning) if found[0] in known), None)


def _concerned(layers: Sequence[Layer], warning: str, solution: Solution) -> list[str]:
    """Return the env names of the layers that a warning about a package concerns."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    subject, extra = _subject(warning, solution), _EXTRA.search(warning)
    assert subject is not None
    name, version = subject
    if extra is not None:
        wanted = (name, canonicalize_name(extra[1]))
        required = [(layer.env_name, Requirement(text)) for layer in layers for text in layer.requirements]
        asked = {
            env_name
            for env_name, one in required
            if any((canonicalize_name(one.name), canonicalize_name(own)) == wanted for own in one.extras)
        }
        if asked:
            return list(asked)
    return [
        layer.env_name
        for layer in layers
        if any(one.name == name and version in ("", one.version) for one in solution.packages[layer.env_name])
    ]
