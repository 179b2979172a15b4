"""venvstacks' metadata of a lock, hashed as venvstacks does, so that each tool accepts the other's locks.

Its hashes join strings without a separator, so two different inputs may hash alike. vstore judges its own locks by the
digests in ``[tool.vstore]`` instead; the numbers of versioned layers always come from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from vstore.digest import parse_json
from vstore.documents import Fields
from vstore.errors import LockError
from vstore.fs.reading import read_regular
from vstore.lock.model import FROM_LOWER, LockedLayer, LockedPackage, LockRecord
from vstore.objects import Kind
from vstore.python_version import feature_version
from vstore.spec import DEFAULT_LINUX, DEFAULT_MACOS, Layer, Spec, source_files
from vstore.spec.files.sources import read_source

_MAX_RECORD_BYTES = 1 << 20


def deployed_name(layer: Layer, locked: LockedLayer) -> str:
    """Return the name under which a layer is deployed: its env name, for a versioned layer with its number (``env@3``).

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
    """Read ``pylock.<env>.meta.json``. Return None when there is none, or it is malformed."""
    try:
        found = Fields(parse_json(read_regular(path, limit=_MAX_RECORD_BYTES)))
        locked_at = datetime.fromisoformat(found.text("locked_at"))
        return LockRecord(
            lock_input_hash=found.text("lock_input_hash"),
            requirements_hash=found.text("requirements_hash"),
            other_inputs_hash=found.text("other_inputs_hash"),
            version_inputs_hash=found.text("version_inputs_hash"),
            lock_version=found.integer("lock_version"),
            locked_at=locked_at if locked_at.tzinfo else locked_at.replace(tzinfo=UTC),
        )
    except (OSError, ValueError, RecursionError):
        return None


def record_text(record: LockRecord) -> bytes:
    """Return the record as JSON, in the form that venvstacks writes."""
    values = {**asdict(record), "locked_at": record.locked_at.astimezone(UTC).isoformat()}
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()


def renewed_record(
    spec: Spec, layer: Layer, locked: LockedLayer, *, now: datetime, newest: datetime | None
) -> LockRecord:
    """Return the record of a lock: its present one while the hashes are the same, else the next number and a new time.

    A time of locking is never later than `newest`, the time of ``exclude-newer``.
    """
    earlier = locked.record
    python = locked.inputs.python if locked.inputs else feature_version(layer.python.version)
    lock_input, other = lock_input_hash(layer), other_inputs_hash(layer, python)
    content, version = requirements_hash(locked.packages), version_inputs_hash(spec, layer)
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
    """Return the time of `UV_EXCLUDE_NEWER` or ``exclude-newer``; None if unset, or relative such as ``3 days``."""
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
    """Return venvstacks' hash of the declared requirements."""
    return _joined(_declared(layer.requirements))


def requirements_hash(packages: Iterable[LockedPackage]) -> str:
    """Return venvstacks' hash of the locked packages and their wheels."""
    return _joined(sorted(line for package in packages for line in _package_lines(package)))


def other_inputs_hash(layer: Layer, python: str) -> str:
    """Return venvstacks' hash of Python's feature version, the oldest systems, and the layers below."""
    lines = [f"py_version={python}"]
    if any(target.is_linux for target in layer.targets):
        lines.append(f"linux_target={layer.linux_target or DEFAULT_LINUX}")
    if any(target.is_macosx for target in layer.targets):
        lines.append(f"macosx_target={layer.macosx_target or DEFAULT_MACOS}")
    if layer.dependencies:
        lines += [layer.runtime.env_name, *(framework.name for framework in layer.dependencies[:-1])]
    return _joined(lines)


def version_inputs_hash(spec: Spec, layer: Layer) -> str:
    """Return venvstacks' hash of the names and modules: a change raises the number of a versioned layer."""
    lines = [f"env_name={layer.env_name}", f"is_versioned_layer={layer.versioned}"]
    if layer.kind == Kind.APPLICATION:
        lines += [module_hash(spec, module) for module in layer.modules]
    return _joined(lines)


def _declared(requirements: Iterable[str]) -> list[str]:
    """The requirement lines as venvstacks reads them back. It takes anything after a ``#`` for a comment."""
    from packaging.requirements import Requirement

    lines = (str(Requirement(line)) for line in requirements)
    return sorted(text for line in lines if (text := line.partition("#")[0].strip()))


def package_text(package: LockedPackage) -> str:
    """Return ``name==version ; marker``, without the marker of a shared package."""
    from packaging.markers import Marker

    marker = str(Marker(package.marker)).replace('"', "'") if package.marker else ""
    if marker == FROM_LOWER:
        marker = ""
    elif marker.endswith(f" and {FROM_LOWER}"):
        marker = marker.removesuffix(f" and {FROM_LOWER}").removeprefix("(").removesuffix(")")
    return f"{package.name}=={package.version}" + (f" ; {marker}" if marker else "")


def _package_lines(package: LockedPackage) -> Iterator[str]:
    yield f"{package_text(package)} from {package.index or 'unspecified index'}"
    for wheel in package.wheels:
        for algorithm, value in wheel.hashes.items():
            yield f"{unquote(wheel.filename)}:{algorithm}:{value}"


def module_hash(spec: Spec, module: PurePosixPath) -> str:
    """Return venvstacks' hash of a module: of names and contents, of a folder its files, folder by folder.

    Raises SpecError as `source_files` does.
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
