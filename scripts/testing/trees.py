"""Small trees and objects for the tests of the store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from vstore.digest import Digest, hash_bytes
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store import Provenance, Store

WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
SOURCE = Path(__file__).parents[2]


def recipe(name: str) -> Digest:
    return hash_bytes("test recipe", name.encode())


def info(name: str, references: Iterable[StorePath] = (), *, recipe: Digest | None = None) -> ObjectInfo:
    digest = hash_bytes("test object", name.encode())
    return ObjectInfo(
        path=StorePath.make(digest, name),
        digest=digest,
        kind=Kind.FRAMEWORK,
        size_bytes=len(name),
        files=1,
        references=tuple(sorted(references)),
        recipe=recipe,
        registered_at=WHEN,
    )


def write(folder: Path, files: Mapping[str, bytes], references: Iterable[StorePath] = ()) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for reference in references:
        (folder / f"to-{reference.name}").symlink_to(f"../{reference}/a")
    return folder


def add(
    store: Store,
    name: str,
    files: Mapping[str, bytes] | None = None,
    references: Iterable[StorePath] = (),
    *,
    recipe: Digest | None = None,
    parts: Iterable[bytes] = (),
) -> StorePath:
    with store.staging(name) as staged:
        write(staged, files if files is not None else {"a": name.encode()}, references)
        return store.add(
            staged, name=name, kind=Kind.FRAMEWORK, provenance=Provenance(recipe=recipe, wheel_keys=tuple(parts))
        ).path


def run_in_child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process of its own with the code; its standard input and output are pipes."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
