"""The text of a proposed spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import tomli_w

from vstore.errors import printable
from vstore.migration.model import LeftOut, ProposedLayer
from vstore.migration.pythons import PythonChoice
from vstore.objects import Kind
from vstore.target import Target

_ARRAYS = {Kind.RUNTIME: "runtimes", Kind.FRAMEWORK: "frameworks", Kind.APPLICATION: "applications"}


def spec_text(
    title: str,
    python: PythonChoice,
    target: Target,
    layers: Sequence[ProposedLayer],
    settings: Mapping[str, object],
    left_out: Sequence[LeftOut],
) -> str:
    """Return the TOML text of a spec for one target, with what was left out as comments."""
    parts = ["".join(_head(title, left_out))]
    for layer in layers:
        parts.append(f"[[{_ARRAYS[layer.kind]}]]\n{tomli_w.dumps(_table(layer, python, target))}")
    if settings:
        parts.append(tomli_w.dumps({"tool": {"uv": settings}}))
    return "\n".join(parts)


def _head(title: str, left_out: Sequence[LeftOut]) -> Iterator[str]:
    yield f"# {printable(title)}\n# `vstore realise` locks it, builds it and switches the profile to it.\n"
    if left_out:
        yield "#\n# Not taken over, or still to do:\n"
    for one in left_out:
        yield f"# - {printable(f'{one.subject}: {one.reason}')}\n"


def _table(layer: ProposedLayer, python: PythonChoice, target: Target) -> dict[str, object]:
    table: dict[str, object] = {"name": layer.name}
    if layer.kind == Kind.RUNTIME:
        table |= {"python_implementation": python.implementation, "platforms": [str(target)]}
        if python.linux_target and target.is_linux:
            table["linux_target"] = python.linux_target
    elif layer.frameworks:
        table["frameworks"] = list(layer.frameworks)
    else:
        table["runtime"] = "python"
    table["requirements"] = list(layer.requirements)
    if layer.modules:
        table["launch_module"] = layer.modules[0]
    if layer.modules[1:]:
        table["support_modules"] = list(layer.modules[1:])
    return table
