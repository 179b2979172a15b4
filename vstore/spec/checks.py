"""The rules between layers: names, what sits on what, targets, indexes, modules on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from vstore.objects import Kind
from vstore.spec.fields import Mistakes
from vstore.spec.graph import InconsistentOrder, linearise
from vstore.spec.model import Layer, Target


def check_layers(
    layers: Sequence[Layer], keys: Sequence[str], folder: Path, uv: Mapping[str, Any], mistakes: Mistakes
) -> tuple[tuple[Layer, ...], dict[str, tuple[str, ...]]]:
    """Settle each layer's targets and order, reporting what does not fit; returns layers and orders by env name."""
    settled: dict[str, Layer] = {}
    order: dict[str, tuple[str, ...]] = {}
    for layer, key in zip(layers, keys, strict=True):
        if layer.env_name in settled:
            mistakes.add(f"{key}.name", f'names must be distinct: "{layer.name}" is used twice')
            continue
        below = _below(layer, key, settled, order, mistakes)
        if below is None:
            continue
        order[layer.env_name] = below
        lowers = [settled[name] for name in below]
        settled[layer.env_name] = _with_targets(layer, key, lowers, mistakes)
        _check_indexes(layer, key, lowers, uv, mistakes)
        _check_modules(layer, key, folder, mistakes)
    return tuple(settled.values()), order


def _below(
    layer: Layer, key: str, known: Mapping[str, Layer], order: Mapping[str, tuple[str, ...]], mistakes: Mistakes
) -> tuple[str, ...] | None:
    """The env names below, nearest first; None after a mistake that makes them unknown."""
    if layer.kind == Kind.RUNTIME:
        return ()
    if layer.runtime is not None and layer.frameworks:
        mistakes.add(key, "must specify a runtime or framework dependencies, not both")
        return None
    if layer.runtime is not None:
        if layer.runtime not in known or known[layer.runtime].kind != Kind.RUNTIME:
            mistakes.add(f"{key}.runtime", f'unknown runtime "{layer.runtime}"')
            return None
        return (layer.runtime,)
    if not layer.frameworks:
        mistakes.add(key, "must specify a runtime or at least one framework dependency")
        return None
    bases = [f"framework-{name}" for name in layer.frameworks]
    unknown = [name for name in layer.frameworks if f"framework-{name}" not in known]
    for name in unknown:
        mistakes.add(f"{key}.frameworks", f'unknown framework "{name}"', "a framework must be defined further up")
    if unknown:
        return None
    runtimes = {order[base][-1] for base in bases}
    if len(runtimes) > 1:
        mistakes.add(f"{key}.frameworks", f"inconsistent frameworks: on different runtimes {sorted(runtimes)}")
        return None
    try:
        frameworks = linearise(bases, {name: below[:-1] for name, below in order.items() if below})
    except InconsistentOrder as error:
        mistakes.add(f"{key}.frameworks", f"dependency linearization failed: no order fits all of {error}")
        return None
    return (*frameworks, runtimes.pop())


def _with_targets(layer: Layer, key: str, lowers: Sequence[Layer], mistakes: Mistakes) -> Layer:
    common = [target for target in Target if all(target in low.targets for low in lowers)]
    if not layer.targets_given:
        return replace(layer, targets=tuple(common))
    wider = [str(target) for target in layer.targets if target not in common]
    if wider:
        mistakes.add(f"{key}.platforms", f"not supported by lower layers: {', '.join(wider)}")
    return layer


def _check_indexes(layer: Layer, key: str, lowers: Sequence[Layer], uv: Mapping[str, Any], mistakes: Mistakes) -> None:
    names = {index.get("name") for index in uv.get("index", []) if isinstance(index, dict)}
    for package, index in layer.package_indexes.items():
        if index not in names:
            mistakes.add(f"{key}.package_indexes.{package}", f'unknown package index "{index}"')
    for index in layer.priority_indexes:
        if index not in names:
            mistakes.add(
                f"{key}.priority_indexes", f'priority index list references an unknown package index "{index}"'
            )
    normal: dict[str, str] = {}
    for package, index in layer.package_indexes.items():
        name = package.lower().replace("_", "-").replace(".", "-")
        if normal.setdefault(name, index) != index:
            mistakes.add(f"{key}.package_indexes.{package}", "multiple sources after name normalization")
    for low in lowers:
        for package, index in low.package_indexes.items():
            mine = layer.package_indexes.get(package, index)
            if layer.index_overrides.get(index, index) != mine and index != mine:
                line = f'index_overrides = {{ "{index}" = "{mine}" }}'
                mistakes.add(
                    f"{key}.package_indexes.{package}", f"inconsistent package index override of {low.env_name}", line
                )


def _check_modules(layer: Layer, key: str, folder: Path, mistakes: Mistakes) -> None:
    stems: dict[str, PurePosixPath] = {}
    for module in layer.support_modules:
        if module.stem in stems:
            mistakes.add(f"{key}.support_modules", f"Conflicting support module names: {stems[module.stem]}, {module}")
        stems[module.stem] = module
    if layer.launch_module is not None and layer.launch_module.stem in stems:
        mistakes.add(f"{key}.launch_module", f"conflicts with support module {stems[layer.launch_module.stem]}")
    if layer.launch_module is not None and not layer.launch_module.stem.isidentifier():
        mistakes.add(f"{key}.launch_module", f"cannot be run by `python -m`: {layer.launch_module.stem!r}")
    for module in layer.modules:
        field = "launch_module" if module == layer.launch_module else "support_modules"
        _check_module(module, f"{key}.{field}", folder, mistakes)


def _check_module(module: PurePosixPath, key: str, folder: Path, mistakes: Mistakes) -> None:
    place = Path(os.path.normpath(folder / module))
    if module.is_absolute():
        mistakes.add(key, f"must be relative to the spec: {module}")
    elif not place.exists():
        words = "launch module" if key.endswith("launch_module") else "support modules do not exist:"
        mistakes.add(key, f"{words} {module}" + (" does not exist" if key.endswith("launch_module") else ""))
    elif not _stays(place, folder):
        mistakes.add(key, f"{module} is, or holds, a link that leads out of its folder")


def _stays(place: Path, folder: Path) -> bool:
    """Whether the module, and each link in it, stays in the spec's folder or in the module's own."""
    homes = [Path(os.path.realpath(folder)), Path(os.path.realpath(place.parent)) / place.name]
    places = [place, *(Path(top, name) for top, folders, files in os.walk(place) for name in (*folders, *files))]
    return all(any(Path(os.path.realpath(one)).is_relative_to(home) for home in homes) for one in places)


def check_requirement_texts(layers: Sequence[Layer], keys: Sequence[str], mistakes: Mistakes) -> None:
    """Parse every requirement (PEP 508)."""
    from packaging.requirements import InvalidRequirement, Requirement

    for layer, key in zip(layers, keys, strict=True):
        for number, text in enumerate(layer.requirements):
            try:
                Requirement(text)
            except InvalidRequirement as error:
                reason = str(error).splitlines()[0]
                mistakes.add(f"{key}.requirements[{number}]", f"invalid requirement syntax: {text!r}", reason)
