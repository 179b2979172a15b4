"""Proposing a spec for a project of another tool. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vstore.migration.applications import propose_applications
from vstore.migration.indexes import with_folders, with_more
from vstore.migration.layers import propose_frameworks, sizes_of
from vstore.migration.model import Pin, Proposal, ProposedLayer, SourceProject
from vstore.migration.pythons import choose_python
from vstore.migration.requirement import pin_of, without_version
from vstore.migration.spec_text import spec_text
from vstore.objects import Kind
from vstore.target import Target
from vstore.values import replace


def propose(project: SourceProject, source: Path, folder: Path, target: Target) -> Proposal:
    """Return a spec in `folder` for a project: a runtime, a chain of frameworks, and applications.

    If there are frameworks, or the pins are those of a lock, each pin is a constraint of all layers: a layer below
    cannot have another version. A requirement that is a pin itself is then written without its version.
    """
    measured = project.resolved or project.pins
    frameworks, others = propose_frameworks(project.requirements, measured)
    below = (frameworks[-1].name,) if frameworks else ()
    applications = propose_applications(project.code, project.name, others, below, folder)
    runtime = ProposedLayer(kind=Kind.RUNTIME, name="python")
    shared = [applications.shared] if applications.shared else []
    layers = [runtime, *frameworks, *shared, *applications.layers]
    sizes = sizes_of(layers, measured)
    layers = [replace(one, size_bytes=size) for one, size in zip(layers, sizes, strict=True)]
    constraints = _constraints(layers, project.pins)
    if constraints:
        layers = [replace(one, requirements=tuple(_unpinned(one.requirements, project.pins))) for one in layers]
    python = choose_python(project, target)
    settings = with_folders(project.settings, lambda one: _from_spec(Path(one), source, folder))
    if constraints:
        settings = with_more(settings, "constraint-dependencies", constraints)
    left_out = (*project.left_out, *applications.left_out, *python.left_out)
    title = f"A stack of layers, proposed from {project.format} of {project.name}."
    return Proposal(
        source=source,
        format=project.format,
        python=python.implementation,
        linux_target=python.linux_target,
        layers=tuple(layers),
        constraints=constraints,
        settings=settings,
        files=applications.files,
        left_out=left_out,
        text=spec_text(title, python, target, layers, settings, left_out),
    )


def _from_spec(place: Path, source: Path, folder: Path) -> str:
    """Return a folder in a project relative to the spec, which is in `folder`; another one as it is."""
    project = (source if source.is_dir() else source.parent).absolute()
    spec = folder.absolute()
    inside = place.is_relative_to(os.path.normpath(project)) and place.anchor == spec.anchor
    return Path(os.path.relpath(place, spec)).as_posix() if inside else str(place)


def _constraints(layers: Sequence[ProposedLayer], pins: Sequence[Pin]) -> tuple[str, ...]:
    """Return the pins as constraints; none if one layer has all requirements, with their versions."""
    filled = [layer for layer in layers if layer.requirements]
    stated = {str(pin) for layer in filled for text in layer.requirements if (pin := pin_of(text))}
    if len(filled) == 1 and stated >= set(map(str, pins)):
        return ()
    return tuple(sorted(map(str, pins)))


def _unpinned(requirements: Sequence[str], pins: Sequence[Pin]) -> list[str]:
    known = set(map(str, pins))
    found = [without_version(one) if str(pin_of(one)) in known else one for one in requirements]
    return list(dict.fromkeys(found))
