"""Whether a lock takes the versions that uv takes for all its requirements together, or says why not."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.matrix.compare import Difference, Row
from scripts.matrix.environment import AS_IN_A_LAYER, Workshop


def plain_versions(spec: Path, python: Path, shop: Workshop) -> dict[str, str]:
    """The versions that ``uv pip compile`` takes for the requirements of all layers, in the order of the spec."""
    layers = [layer for table in tomllib.loads(spec.read_text()).values() for layer in table]
    wanted = "\n".join(text for layer in layers for text in layer.get("requirements", ()))
    compiling = ("pip", "compile", "-", "--no-header", "--no-annotate", *AS_IN_A_LAYER, "--python", python)
    lines = [line.partition("==") for line in shop.uv(*compiling, text=wanted).splitlines()]
    return {canonicalize_name(name): version.partition(" ")[0] for name, _, version in lines if version}


def behind(locks: Iterable[Mapping[str, Any]], locked: Mapping[str, str], plain: Mapping[str, str]) -> Row:
    """The packages that are `locked` at an older version than the `plain` one, without a line saying why."""
    told = {held["name"] for one in locks for held in one["held_back"]}
    return Row("versions", len(locked), tuple(_behind(locked, plain, told)))


def _behind(locked: Mapping[str, str], plain: Mapping[str, str], told: set[str]) -> Iterator[Difference]:
    for name, version in locked.items():
        if name in plain and name not in told and Version(version) < Version(plain[name]):
            yield Difference(name, f"{version}, and no line says why", plain[name])
