"""venvstacks' lock metadata, hashed as it does, so that either tool accepts what the other wrote.

Its scheme feeds strings one after another, without a separator, and so is not injective: of a lock that it wrote
itself, vstore decides by the digests in ``[tool.vstore]``. The numbers of versioned layers come from here in any case.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from vstore.digest import parse_json
from vstore.errors import LockError
from vstore.fs.reading import read_regular
from vstore.lock.model import FROM_LOWER, LockedLayer, LockRecord
from vstore.objects import Kind
from vstore.spec import DEFAULT_LINUX, DEFAULT_MACOS, Layer, Spec, source_files
from vstore.spec.files.sources import read_source

_MAX_RECORD_BYTES = 1 << 20


def deployed_name(layer: Layer, locked: LockedLayer) -> str:
    """The layer's name where it is deployed: the env name, of a versioned layer with the lock's number, ``env@3``.

    Raises LockError for a versioned layer whose lock has no number.
    """
    if not layer.versioned:
        return layer.env_name
    if locked.record is None:
        raise LockError(
            f"layer {layer.env_name} is versioned, and its lock has no number: {locked.path.name}",
            hint="run `vstore lock` on the spec",
        )
    return f"{layer.env_name}@{locked.record.lock_version}"


def read_record(path: Path) -> LockRecord | None:
    """What ``pylock.<env>.meta.json`` says; None when it is not there or not whole."""
    try:
        found = parse_json(read_regular(path, limit=_MAX_RECORD_BYTES))
        locked_at = datetime.fromisoformat(found["locked_at"])
        return LockRecord(
            lock_input_hash=str(found["lock_input_hash"]),
            requirements_hash=str(found["requirements_hash"]),
            other_inputs_hash=str(found["other_inputs_hash"]),
            version_inputs_hash=str(found["version_inputs_hash"]),
            lock_version=int(found["lock_version"]),
            locked_at=locked_at if locked_at.tzinfo else locked_at.replace(tzinfo=UTC),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def record_text(record: LockRecord) -> bytes:
    """The record as JSON, as venvstacks writes it."""
    values = {**asdict(record), "locked_at": record.locked_at.astimezone(UTC).isoformat()}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def renewed(
    spec: Spec,
    layer: Layer,
    document: Mapping[str, Any],
    earlier: LockRecord | None,
    *,
    now: datetime,
    newest: datetime | None,
) -> LockRecord:
    """The record of a lock: the earlier one while all that counts is the same, else the next number and a new time.

    `newest` is the time of ``exclude-newer``, later than which nothing counts as locked.
    """
    lock_input, other = lock_input_hash(layer), other_inputs_hash(spec, layer)
    content, version = requirements_hash(document), version_inputs_hash(spec, layer)
    if (
        earlier is not None
        and (earlier.lock_input_hash, earlier.other_inputs_hash, earlier.requirements_hash)
        == (lock_input, other, content)
        and (not layer.versioned or earlier.version_inputs_hash == version)
        and (newest is None or earlier.locked_at <= newest)
    ):
        return earlier
    return LockRecord(
        lock_input_hash=lock_input,
        requirements_hash=content,
        other_inputs_hash=other,
        version_inputs_hash=version,
        lock_version=earlier.lock_version + 1 if layer.versioned and earlier is not None else 1,
        locked_at=min(now.replace(microsecond=0), newest or now),
    )


def newest_allowed(spec: Spec, environment: Mapping[str, str]) -> datetime | None:
    """The time of ``exclude-newer``, or of `UV_EXCLUDE_NEWER`; None for none, or for one such as ``3 days``."""
    value = environment.get("UV_EXCLUDE_NEWER") or spec.uv.get("exclude-newer")
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    if ":" not in str(value):  # that whole day
        found += timedelta(days=1)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def lock_input_hash(layer: Layer) -> str:
    """Of the declared requirements."""
    return _joined(_declared(layer.requirements))


def requirements_hash(document: Mapping[str, Any]) -> str:
    """Of the locked packages and their wheels."""
    return _joined(sorted(line for table in document.get("packages", []) for line in _package_lines(table)))


def other_inputs_hash(spec: Spec, layer: Layer) -> str:
    """Of Python X.Y, the lowest systems, and the layers below."""
    dependencies = spec.dependencies(layer)
    runtime = dependencies[-1] if dependencies else layer
    version = (runtime.python_implementation or "").partition("@")[2]
    lines = [f"py_version={'.'.join(version.split('.')[:2])}"]
    if any(target.is_linux for target in layer.targets):
        lines.append(f"linux_target={layer.linux_target or DEFAULT_LINUX}")
    if any(target.is_macosx for target in layer.targets):
        lines.append(f"macosx_target={layer.macosx_target or DEFAULT_MACOS}")
    if dependencies:
        lines += [runtime.env_name, *(low.name for low in dependencies[:-1])]
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


def package_text(table: Mapping[str, Any]) -> str:
    """``name==version ; marker``, without the mark of a shared package."""
    from packaging.markers import Marker

    marker = str(Marker(table["marker"])).replace('"', "'") if table.get("marker") else ""
    if marker == FROM_LOWER:
        marker = ""
    elif marker.endswith(f" and {FROM_LOWER}"):
        marker = marker.removesuffix(f" and {FROM_LOWER}").removeprefix("(").removesuffix(")")
    return f"{table['name']}=={table['version']}" + (f" ; {marker}" if marker else "")


def _package_lines(table: Mapping[str, Any]) -> Iterator[str]:
    from urllib.parse import unquote, urlparse

    yield f"{package_text(table)} from {table.get('index', 'unspecified index')}"
    for wheel in table.get("wheels", []):
        name = wheel.get("name") or PurePosixPath(wheel.get("path") or urlparse(wheel["url"]).path).name
        for algorithm, value in wheel["hashes"].items():
            yield f"{unquote(name)}:{algorithm}:{value}"


def module_hash(spec: Spec, module: PurePosixPath) -> str:
    """A file by name and content; a folder by the names and contents of its files, folder by folder.

    Raises SpecError as `source_files`.
    """
    files = source_files(spec, module)
    if (spec.path.parent / module).is_file():
        [(relative, place)] = files
        return _joined([relative.name, _file_hash(spec, relative, place)])
    folders: dict[tuple[str, ...], list[tuple[PurePosixPath, Path]]] = {}
    for relative, place in files:
        parts = relative.parts
        for depth in range(1, len(parts)):
            folders.setdefault(parts[:depth], [])
        folders[parts[:-1]].append((relative, place))
    lines = []
    for folder, content in sorted(folders.items()):
        lines.append(folder[-1])
        for relative, place in sorted(content):
            lines += (relative.name, _file_hash(spec, relative, place))
    return _joined(lines).replace(":", "/", 1)


def _file_hash(spec: Spec, relative: PurePosixPath, place: Path) -> str:
    return _sha256(read_source(spec, relative, place))


def _joined(lines: Iterable[str]) -> str:
    return _sha256(line.encode("utf-8", "surrogateescape") for line in lines)


def _sha256(pieces: Iterable[bytes]) -> str:
    import hashlib  # with OpenSSL behind it, which a no-op does without

    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return "sha256:" + hasher.hexdigest()
