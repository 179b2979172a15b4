"""Reading a spec: TOML in, values out, and all its mistakes told together."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vstore.digest import Digest, hash_bytes
from vstore.errors import SpecError
from vstore.objects import Kind
from vstore.spec.checks import check_layers, check_requirement_texts
from vstore.spec.fields import Mistakes, read_layer
from vstore.spec.model import Layer, Spec

_ARRAYS = {"runtimes": Kind.RUNTIME, "frameworks": Kind.FRAMEWORK, "applications": Kind.APPLICATION}
_STEMS_WITHOUT_MEANING = {"spec", "vstore", "venvstacks"}


def load(path: Path, *, check_requirements: bool = True) -> Spec:
    """Load a spec. Raises SpecError with every mistake found, each with its key path.

    `check_requirements=False` leaves out the parsing of requirements, which costs an import of `packaging`.
    """
    data = _read(path)
    document = _parse(path, data)
    mistakes = Mistakes()
    for key in document:
        if key not in (*_ARRAYS, "tool"):
            mistakes.add(key, "unknown key", f"expected {', '.join(_ARRAYS)} or tool{_nearest(key)}")
    layers, warnings, keys = _layers(document, mistakes)
    uv = _uv_table(path, document, mistakes)
    checked, order = check_layers(layers, keys, path.absolute().parent, uv, mistakes)
    if check_requirements:
        check_requirement_texts(layers, keys, mistakes)
    profile = _profile(path, document, mistakes)
    if mistakes.lines:
        raise _error(path, mistakes)
    return Spec(
        path=path.absolute(),
        digest=_digest(path, data),
        layers=checked,
        profile=profile,
        order=order,
        uv=uv,
        warnings=tuple(warnings),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SpecError(f"no such spec: {path}", hint="`vstore init` writes one") from None
    except OSError as error:
        raise SpecError(f"cannot read the spec {path}: {error.strerror}") from error


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path.name} is not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path.name} is not UTF-8 text: byte {error.start}") from error


def _digest(path: Path, data: bytes) -> Digest:
    beside = path.parent / "venvstacks.uv.toml"
    return hash_bytes("spec 1", data + (b"\0" + beside.read_bytes() if beside.is_file() else b""))


def _error(path: Path, mistakes: Mistakes) -> SpecError:
    if len(mistakes.lines) == 1:
        return SpecError(f"{path.name}: {mistakes.lines[0]}")
    return SpecError(f"{path.name}: {len(mistakes.lines)} mistakes", details=mistakes.lines)


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, [*_ARRAYS, "tool"], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _layers(document: Mapping[str, Any], mistakes: Mistakes) -> tuple[list[Layer], list[str], list[str]]:
    layers: list[Layer] = []
    warnings: list[str] = []
    keys: list[str] = []
    for array, kind in _ARRAYS.items():
        tables = document.get(array, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            mistakes.add(array, "must be an array of tables", f"write [[{array}]]")
            continue
        for number, table in enumerate(tables):
            key = f"{array}[{number}]"
            layer = read_layer(kind, table, key, mistakes, warnings)
            if layer is not None:
                layers.append(layer)
                keys.append(key)
    return layers, warnings, keys


def _uv_table(path: Path, document: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    """The common uv configuration: inline, else the file beside the spec (compat.md 2.5)."""
    tool = document.get("tool", {})
    inline = tool.get("uv") if isinstance(tool, dict) else None
    if inline is None:
        beside = path.parent / "venvstacks.uv.toml"
        inline = _parse(beside, beside.read_bytes()) if beside.is_file() else {}
    if not isinstance(inline, dict):
        mistakes.add("tool.uv", "must be a table")
        return {}
    names = {index.get("name") for index in inline.get("index", []) if isinstance(index, dict)}
    for package, source in inline.get("sources", {}).items():
        if not isinstance(source, dict) or set(source) != {"index"}:
            mistakes.add(f"tool.uv.sources.{package}", "must be an index config", 'write { index = "name" }')
        elif source["index"] not in names:
            mistakes.add(f"tool.uv.sources.{package}", f'references an unknown package index "{source["index"]}"')
    return inline


def _profile(path: Path, document: Mapping[str, Any], mistakes: Mistakes) -> str:
    tool = document.get("tool", {})
    own = tool.get("vstore", {}) if isinstance(tool, dict) else {}
    chosen = own.get("profile") if isinstance(own, dict) else None
    if chosen is None:
        absolute = path.absolute()
        chosen = absolute.parent.name if path.stem in _STEMS_WITHOUT_MEANING else path.stem
        chosen = re.sub(r"[^A-Za-z0-9@+._-]+", "-", chosen).lstrip(".-") or "stack"
    elif not isinstance(chosen, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9@+._-]*", chosen):
        mistakes.add("tool.vstore.profile", f"not a profile name: {chosen!r}")
        chosen = "stack"
    return str(chosen)
