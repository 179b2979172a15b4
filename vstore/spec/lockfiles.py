"""The files of a lock, beside the spec, with the names that venvstacks gives them."""

from __future__ import annotations

from pathlib import Path

from vstore.errors import LockError
from vstore.fs.reading import read_regular
from vstore.objects import Kind
from vstore.spec.model import Layer, Spec

_MAX_BYTES = 16 << 20  # a lock of 1,000 packages with all their wheels has 2 MiB


def lock_folder(spec: Spec, layer: Layer) -> Path:
    """Return the folder of a layer's lock."""
    return spec.path.parent / "requirements" / layer.env_name


def lock_path(spec: Spec, layer: Layer) -> Path:
    """Return ``requirements/<env>/pylock.<env>.toml``. Dots in the name become underscores (PEP 751)."""
    return lock_folder(spec, layer) / f"pylock.{_stem(layer)}.toml"


def record_path(spec: Spec, layer: Layer) -> Path:
    """Return the path of venvstacks' metadata of the lock."""
    return lock_folder(spec, layer) / f"pylock.{_stem(layer)}.meta.json"


def declared_path(spec: Spec, layer: Layer) -> Path:
    """Return the path of the list of declared requirements."""
    return lock_folder(spec, layer) / f"requirements-{_stem(layer)}.in"


def summary_path(spec: Spec, layer: Layer) -> Path:
    """Return the path of the list of packages. It is the only name that keeps the dots."""
    return lock_folder(spec, layer) / f"packages-{layer.env_name}.txt"


def interpreter_path(spec: Spec, layer: Layer) -> Path:
    """Return the path of a runtime's interpreter pin, for a lock that venvstacks wrote, which cannot hold one."""
    return lock_folder(spec, layer) / f"interpreter-{_stem(layer)}.toml"


def lock_files(spec: Spec) -> list[Path]:
    """Return the paths of all files that hold pins, existing or not."""
    layers = [layer for layer in spec.layers if layer.targets]
    runtimes = [layer for layer in layers if layer.kind == Kind.RUNTIME]
    return [lock_path(spec, layer) for layer in layers] + [interpreter_path(spec, layer) for layer in runtimes]


def read_lock_file(path: Path) -> bytes | None:
    """Read a file of a lock. Return None if there is none. Raises LockError if it cannot be read."""
    try:
        return read_regular(path, limit=_MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(f"lock file cannot be read: {path}: {error.strerror}") from error


def _stem(layer: Layer) -> str:
    return layer.env_name.replace(".", "_")
