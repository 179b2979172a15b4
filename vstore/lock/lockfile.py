"""Lock files on disk: one PEP 751 file per layer, read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vstore.digest import hash_json
from vstore.errors import LockError
from vstore.lock.metadata import read_record, requirements_hash
from vstore.lock.model import (
    FROM_LOWER,
    Download,
    Findings,
    HeldBack,
    InterpreterPin,
    LockedLayer,
    LockedPackage,
    LockedWheel,
)
from vstore.lock.paths import INTERPRETER_HEAD, remove, write_changed
from vstore.objects import Kind
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import interpreter_path, lock_path, read_lock_file, record_path
from vstore.spec.select import matches
from vstore.toml import TomlError, parse_toml

_HEADER = (
    "# Locked by vstore with uv: one layer of {spec}.\n"
    "# Packages marked `from_lower_layer` come from the layers below and are not installed.\n"
    "# Change the spec and run `vstore lock`, not this file.\n"
)


def read_locks(spec: Spec, *, without: Sequence[str] = ()) -> tuple[LockedLayer, ...]:
    """The lock files that are there, but for layers that match `without`. LockError for one that is malformed."""
    layers = [layer for layer in spec.layers if layer.targets and not matches(layer, without)]
    return tuple(found for layer in layers if (found := read_lock(spec, layer)) is not None)


def read_lock(spec: Spec, layer: Layer) -> LockedLayer | None:
    """One layer's lock; None when there is no file."""
    document = read_document(spec, layer)
    if document is None:
        return None
    with _reading(spec, layer, lock_path(spec, layer)):
        return _locked(spec, layer, document)


def read_document(spec: Spec, layer: Layer) -> dict[str, Any] | None:
    """The TOML document of one layer's lock; None when there is no file."""
    path = lock_path(spec, layer)
    with _reading(spec, layer, path):
        data = read_lock_file(path)
        return None if data is None else parse_toml(data)


@contextmanager
def _reading(spec: Spec, layer: Layer, path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        what = "not valid TOML" if isinstance(error, TomlError) else "malformed"
        raise LockError(
            f"lock file of layer {layer.env_name} is {what}: {path.name}",
            details=[repr(error) if isinstance(error, KeyError) else str(error)],
            hint=f"run `vstore lock --reset {layer.env_name} {spec.path.name}`",
        ) from error


def _locked(spec: Spec, layer: Layer, document: Mapping[str, Any]) -> LockedLayer:
    own = document.get("tool", {}).get("vstore", {})
    ours = own.get("inputs") is not None
    if ours and not isinstance(own["inputs"], dict):
        raise TypeError("`inputs` is not a table")
    return LockedLayer(
        env_name=layer.env_name,
        path=lock_path(spec, layer),
        packages=tuple(parse_package(table) for table in document.get("packages", [])),
        packages_digest=packages_digest(document),
        inputs=own.get("inputs"),
        edited=ours and own.get("packages") != packages_digest(document),
        interpreter=_pin(own.get("interpreter")) if ours else _read_interpreter(spec, layer),
        joint=own.get("joint") is True,
        findings=_findings(own),
        record=read_record(record_path(spec, layer)),
        content_hash=None if ours else requirements_hash(document),
    )


def packages_digest(document: Mapping[str, Any]) -> str:
    """The digest of a lock's packages: recorded in the file, so that an edit by hand is noticed, and in locks above."""
    text = json.dumps(document.get("packages", []), sort_keys=True, default=str)
    return str(hash_json("packages 1", json.loads(text)))


def parse_package(table: Mapping[str, Any]) -> LockedPackage:
    marker = _text_or_none(table.get("marker"))
    return LockedPackage(
        name=_text(table["name"]),
        version=str(table.get("version", "")),
        marker=marker,
        shared=marker is not None and FROM_LOWER in marker,
        wheels=tuple(_wheel(wheel) for wheel in table.get("wheels", [])),
        index=_text_or_none(table.get("index")),
    )


def _wheel(table: Mapping[str, Any]) -> LockedWheel:
    location = _text(table.get("path") or table["url"])
    place = str(table.get("path") or re.split("[?#]", location, maxsplit=1)[0])
    name = _text(table.get("name") or place.rpartition("/")[2])
    size = table.get("size")
    if size is not None and (type(size) is not int or size < 0):
        raise TypeError(f"`size` is {size!r}")
    return LockedWheel(
        filename=name.replace("%2B", "+"),
        location=location,
        sha256=_text(table["hashes"]["sha256"]),
        size_bytes=size,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r}")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _findings(own: Mapping[str, Any]) -> Findings:
    held = (
        HeldBack(
            name=str(one["name"]),
            version=str(one["version"]),
            without=str(one["without"]),
            by=tuple(map(str, one["by"])),
            ways=tuple(map(str, one["ways"])),
        )
        for one in own.get("held_back", ())
    )
    left_out = {str(target): str(why) for target, why in own.get("left_out", {}).items()}
    return Findings(left_out=left_out, held_back=tuple(held), conflicts=tuple(map(str, own.get("conflicts", ()))))


def _pin(table: Mapping[str, Any] | None) -> InterpreterPin | None:
    if table is None:
        return None
    downloads = {
        target: Download(url=_text(one["url"]), sha256=_text_or_none(one.get("sha256")))
        for target, one in table.get("downloads", {}).items()
    }
    return InterpreterPin(
        implementation=_text(table["implementation"]),
        version=_text(table["version"]),
        source=_text(table["source"]),
        downloads=downloads,
    )


def _pin_table(pin: InterpreterPin) -> dict[str, Any]:
    table: dict[str, Any] = {
        "implementation": pin.implementation,
        "version": pin.version,
        "source": pin.source,
    }
    if pin.downloads:
        table["downloads"] = {
            target: {"url": one.url, **({"sha256": one.sha256} if one.sha256 else {})}
            for target, one in pin.downloads.items()
        }
    return table


def write_lock(
    spec: Spec,
    layer: Layer,
    document: dict[str, Any],
    inputs: dict[str, Any],
    pin: InterpreterPin | None,
    *,
    findings: Findings,
    joint: bool = False,
) -> None:
    """Write the lock, unless the same content is there already. A pin goes into it, and so not beside it any more."""
    import tomli_w

    own: dict[str, Any] = {"inputs": inputs, "packages": packages_digest(document)}
    if joint:
        own["joint"] = True
    own |= {key: value for key, value in asdict(findings).items() if value}
    if pin is not None:
        own["interpreter"] = _pin_table(pin)
    document = {**document, "created-by": "vstore", "tool": {"vstore": own}}
    text = _HEADER.format(spec=spec.path.name) + tomli_w.dumps(document)
    write_changed(lock_path(spec, layer), text.encode())
    if layer.kind == Kind.RUNTIME:
        remove(interpreter_path(spec, layer))


def write_interpreter(spec: Spec, layer: Layer, pin: InterpreterPin) -> None:
    """Record the interpreter of a runtime whose lock venvstacks wrote, beside that lock."""
    import tomli_w

    header = f"{INTERPRETER_HEAD}{layer.env_name}; the lock beside it is venvstacks' own.\n"
    write_changed(interpreter_path(spec, layer), (header + tomli_w.dumps(_pin_table(pin))).encode())


def _read_interpreter(spec: Spec, layer: Layer) -> InterpreterPin | None:
    if layer.kind != Kind.RUNTIME:
        return None
    path = interpreter_path(spec, layer)
    with _reading(spec, layer, path):
        data = read_lock_file(path)
        return None if data is None else _pin(parse_toml(data))
