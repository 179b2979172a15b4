"""Writing the files of a lock. A file is replaced only if it is of the same kind."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from vstore.fs.place import PlaceTaken, check_parents, put_bytes, recognise
from vstore.fs.reading import open_regular
from vstore.spec import Layer, Spec
from vstore.spec.lockfiles import declared_path, interpreter_path, lock_path, record_path, summary_path

INTERPRETER_HEAD = "# The interpreter that vstore chose for "
_HEADS = {".in": b"# DO NOT EDIT", ".txt": b"# Package summary for "}  # venvstacks writes the same
_HEAD_BYTES = 1 << 20


def check_places(spec: Spec, layers: Iterable[Layer]) -> None:
    """Raise UsageError, before any work, if a path of these layers' locks is taken by something else."""
    for layer in layers:
        paths = [one(spec, layer) for one in (lock_path, record_path, declared_path, summary_path, interpreter_path)]
        check_parents(paths[0].parent)
        for path in paths:
            recognise(path, _is_ours)


def write_changed(path: Path, data: bytes) -> None:
    """Write a file of a lock, unless it has this content. Raises UsageError if something else has its path.

    If another process locks the same spec, the later file stays.
    """
    while (place := recognise(path, _is_ours)).old is None or _head(path, len(data) + 1) != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(PlaceTaken):
            put_bytes(data, place)
            return


def remove(path: Path) -> None:
    """Remove a file of a lock, if it exists. Raises UsageError if something else has its path."""
    if recognise(path, _is_ours).old is not None:
        path.unlink(missing_ok=True)


def _is_ours(path: Path, status: os.stat_result) -> bool:
    """Return whether a file is of the kind that its name states. A lock may be damaged, as `--reset` replaces it."""
    if not stat.S_ISREG(status.st_mode):
        return False
    if path.suffix == ".json":
        return _is_record(path)
    head = _HEADS.get(path.suffix, INTERPRETER_HEAD.encode() if path.name.startswith("interpreter-") else b"")
    return _head(path, len(head)) == head


def _is_record(path: Path) -> bool:
    try:
        document = json.loads(_head(path, _HEAD_BYTES))
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "requirements_hash" in document


def _head(path: Path, count: int) -> bytes:
    with open_regular(path, follow=False) as file:
        return file.read(count)
