"""venvstacks' lock metadata, hashed as it does (compat.md 4.1), so that either tool can read what the other wrote.

Its scheme feeds strings one after another, without a separator, and so is not injective: vstore itself decides by
the digests in ``[tool.vstore]`` of the lock, never by these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

from vstore.objects import Kind
from vstore.spec import Layer, Spec, source_files

_SHARED = "sys_platform == 'from_lower_layer'"
_DEFAULT_LINUX = "glibc@2.28"
_DEFAULT_MACOS = "13.0"


def lock_metadata(
    spec: Spec, layer: Layer, document: Mapping[str, Any], earlier: Mapping[str, Any], now: datetime
) -> bytes:
    """The text of ``pylock.<env>.meta.json``; `earlier` is what it held before, for the number of a versioned layer."""
    values: dict[str, Any] = {
        "lock_input_hash": _joined(_declared(layer.requirements)),
        "requirements_hash": requirements_hash(document),
        "other_inputs_hash": other_inputs_hash(spec, layer),
        "version_inputs_hash": version_inputs_hash(spec, layer),
        "lock_version": 1,
        "locked_at": now.replace(microsecond=0).isoformat(),
    }
    if layer.versioned:
        before = earlier.get("lock_version", 0)
        values["lock_version"] = before + 1 if isinstance(before, int) else 1
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def requirements_hash(document: Mapping[str, Any]) -> str:
    """Of the locked packages and their wheels."""
    return _joined(sorted(line for table in document.get("packages", []) for line in _package_lines(table)))


def other_inputs_hash(spec: Spec, layer: Layer) -> str:
    """Of Python X.Y, the lowest systems, and the layers below."""
    lowers = spec.lower(layer)
    runtime = lowers[-1] if lowers else layer
    version = (runtime.python_implementation or "").partition("@")[2]
    lines = [f"py_version={'.'.join(version.split('.')[:2])}"]
    if layer.targets and any(target.startswith("linux") for target in layer.targets):
        lines.append(f"linux_target={layer.linux_target or _DEFAULT_LINUX}")
    if layer.targets and any(target.startswith("macosx") for target in layer.targets):
        lines.append(f"macosx_target={layer.macosx_target or _DEFAULT_MACOS}")
    if lowers:
        lines += [runtime.env_name, *(low.name for low in lowers[:-1])]
    return _joined(lines)


def version_inputs_hash(spec: Spec, layer: Layer) -> str:
    """Of what makes a versioned layer's number go up besides its packages."""
    lines = [f"env_name={layer.env_name}", f"is_versioned_layer={layer.versioned}"]
    if layer.kind == Kind.APPLICATION:
        lines += [module_hash(spec, module) for module in layer.modules]
    return _joined(lines)


def _declared(requirements: Iterable[str]) -> list[str]:
    """The requirement lines as venvstacks reads them back: anything after a ``#`` is a comment to it."""
    from packaging.requirements import Requirement

    lines = (str(Requirement(line)) for line in requirements)
    return sorted(text for line in lines if (text := line.partition("#")[0].strip()))


def _package_lines(table: Mapping[str, Any]) -> Iterator[str]:
    from packaging.markers import Marker

    marker = str(Marker(table["marker"])).replace('"', "'") if table.get("marker") else ""
    if marker == _SHARED:
        marker = ""
    elif marker.endswith(f" and {_SHARED}"):
        marker = marker.removesuffix(f" and {_SHARED}").removeprefix("(").removesuffix(")")
    condition = f" ; {marker}" if marker else ""
    yield f"{table['name']}=={table['version']}{condition} from {table.get('index', 'unspecified index')}"
    for wheel in table.get("wheels", []):
        name = wheel.get("name") or PurePosixPath(wheel.get("path") or urlparse(wheel["url"]).path).name
        for algorithm, value in wheel["hashes"].items():
            yield f"{unquote(name)}:{algorithm}:{value}"


def module_hash(spec: Spec, module: PurePosixPath) -> str:
    """A file by name and content; a folder by the names and contents of its files, folder by folder."""
    files = source_files(spec, module)
    if (spec.path.parent / module).is_file():
        [(relative, place)] = files
        return _joined([relative.name, _file_hash(place)])
    folders: dict[tuple[str, ...], dict[str, Path]] = {}
    for relative, place in files:
        parts = relative.parts
        for depth in range(1, len(parts)):
            folders.setdefault(parts[:depth], {})
        folders[parts[:-1]][relative.name] = place
    lines = []
    for folder, content in sorted(folders.items()):
        lines.append(folder[-1])
        for name, place in sorted(content.items()):
            lines += (name, _file_hash(place))
    return _joined(lines).replace(":", "/", 1)


def _file_hash(place: Path) -> str:
    return "sha256:" + hashlib.sha256(place.read_bytes()).hexdigest()


def _joined(lines: Iterable[str]) -> str:
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
