"""Lock files on disk: one PEP 751 file per layer, with companions, in venvstacks' places and names."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vstore.digest import hash_json
from vstore.errors import LockError
from vstore.fs.atomic import write_file
from vstore.lock.metadata import lock_metadata
from vstore.lock.model import Download, InterpreterPin, LockedLayer, LockedPackage, LockedWheel
from vstore.spec import Layer, Spec

FROM_LOWER = "sys_platform == 'from_lower_layer'"
_HEADER = (
    "# Locked by vstore with uv: one layer of {spec}.\n"
    "# Packages marked `from_lower_layer` come from the layers below and are not installed.\n"
    "# Change the spec and run `vstore lock`, not this file.\n"
)


def lock_folder(spec: Spec, layer: Layer) -> Path:
    return spec.path.parent / "requirements" / layer.env_name


def lock_path(spec: Spec, layer: Layer) -> Path:
    """``requirements/<env>/pylock.<env>.toml`` beside the spec; dots of the name become underscores (PEP 751)."""
    return lock_folder(spec, layer) / f"pylock.{layer.env_name.replace('.', '_')}.toml"


def lock_files(spec: Spec) -> list[Path]:
    """All lock files that the spec's layers have or would have."""
    return [lock_path(spec, layer) for layer in spec.layers if layer.targets]


def matches(layer: Layer, patterns: Sequence[str]) -> bool:
    """Whether a layer's env name matches one of the shell-style patterns."""
    return any(fnmatchcase(layer.env_name, pattern) for pattern in patterns)


def read_locks(spec: Spec, *, without: Sequence[str] = ()) -> tuple[LockedLayer, ...]:
    """The lock files that are there, but for layers that match `without`. LockError for one that is malformed."""
    layers = [layer for layer in spec.layers if layer.targets and not matches(layer, without)]
    return tuple(found for layer in layers if (found := read_lock(spec, layer)) is not None)


def read_lock(spec: Spec, layer: Layer) -> LockedLayer | None:
    """One layer's lock; None when there is no file."""
    path = lock_path(spec, layer)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LockError(
            f"lock file of layer {layer.env_name} is not valid TOML: {path.name}",
            details=[str(error)],
            hint=f"run `vstore lock --reset {layer.env_name} {spec.path.name}`",
        ) from error
    try:
        own = document.get("tool", {}).get("vstore", {})
        return LockedLayer(
            env_name=layer.env_name,
            path=path,
            packages=tuple(parse_package(table) for table in document.get("packages", [])),
            packages_digest=packages_digest(document),
            inputs=own.get("inputs"),
            edited=own.get("packages") != packages_digest(document),
            interpreter=_pin(own.get("interpreter")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise LockError(
            f"lock file of layer {layer.env_name} is malformed: {path.name}", details=[repr(error)]
        ) from error


def packages_digest(document: Mapping[str, Any]) -> str:
    """The digest of a lock's packages: recorded in the file, so that an edit by hand is noticed, and in locks above."""
    text = json.dumps(document.get("packages", []), sort_keys=True, default=str)
    return str(hash_json("packages 1", json.loads(text)))


def parse_package(table: Mapping[str, Any]) -> LockedPackage:
    marker = table.get("marker")
    return LockedPackage(
        name=table["name"],
        version=str(table.get("version", "")),
        marker=marker,
        shared=marker is not None and FROM_LOWER in marker,
        wheels=tuple(_wheel(wheel) for wheel in table.get("wheels", [])),
        index=table.get("index"),
    )


def _wheel(table: Mapping[str, Any]) -> LockedWheel:
    location = table.get("path") or table["url"]
    name = table.get("name") or str(location).rpartition("/")[2].partition("#")[0]
    return LockedWheel(
        filename=name.replace("%2B", "+"),
        location=location,
        sha256=table["hashes"]["sha256"],
        size_bytes=table.get("size"),
    )


def _pin(table: Mapping[str, Any] | None) -> InterpreterPin | None:
    if table is None:
        return None
    downloads = {
        target: Download(url=one["url"], sha256=one.get("sha256")) for target, one in table.get("downloads", {}).items()
    }
    return InterpreterPin(
        implementation=table["implementation"],
        version=table["version"],
        source=table["source"],
        downloads=downloads,
    )


def pin_table(pin: InterpreterPin) -> dict[str, Any]:
    """The pin as it stands in ``[tool.vstore.interpreter]``."""
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
    now: datetime,
) -> bool:
    """Write the lock and its companions, unless the same content is there already; returns whether it wrote."""
    import tomli_w

    own: dict[str, Any] = {"inputs": inputs, "packages": packages_digest(document)}
    if pin is not None:
        own["interpreter"] = pin_table(pin)
    document = {**document, "created-by": "vstore", "tool": {"vstore": own}}
    text = _HEADER.format(spec=spec.path.name) + tomli_w.dumps(document)
    path = lock_path(spec, layer)
    if path.is_file() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    name = layer.env_name.replace(".", "_")
    declared = "".join(f"{line}\n" for line in layer.requirements)
    write_file(path.parent / f"requirements-{name}.in", f"# declared in {spec.path.name}\n{declared}".encode())
    write_file(path.parent / f"packages-{layer.env_name}.txt", "".join(_summary(document)).encode())
    metadata = path.with_suffix(".meta.json")
    write_file(metadata, lock_metadata(spec, layer, document, _earlier(metadata), now))
    write_file(path, text.encode())
    return True


def _summary(document: Mapping[str, Any]) -> Iterator[str]:
    packages = [parse_package(table) for table in document.get("packages", [])]
    for package in packages:
        if not package.shared:
            yield f"{package.name}=={package.version}" + (f" ; {package.marker}" if package.marker else "") + "\n"
    shared = [package for package in packages if package.shared]
    if shared:
        yield "# from lower layers\n"
        yield from (f"{package.name}=={package.version}\n" for package in shared)


def _earlier(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
