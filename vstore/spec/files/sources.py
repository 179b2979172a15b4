"""Launch and support modules: their files, their manifest, and their copy.

A module is named relative to the spec's folder; with links resolved its files lie in one of the spec's `ModuleRoots`.
Of a folder, ``__pycache__`` is omitted, and inside a git checkout also ignored files and names that start with
``.git``. A file that the spec names itself is never omitted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from blake3 import blake3

from vstore.errors import SpecError
from vstore.fs.paths import typed
from vstore.fs.reading import read_pieces
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest, shown
from vstore.objects import SOURCE_FOLDER
from vstore.spec.files.listing import list_files
from vstore.spec.files.module_roots import ModuleRoots
from vstore.spec.model import Spec


def source_files(spec: Spec, module: PurePosixPath) -> tuple[tuple[PurePosixPath, Path], ...]:
    """Return the files of a module: path in site-packages and real path, in the order of the paths' bytes.

    Raises SpecError for a file that is missing, unreadable, special, or outside of the module roots.
    """
    with _explained(spec, f"module {module}"):
        roots = spec.module_roots
        top = roots.real_path(module)
        if not top.is_dir():
            return ((PurePosixPath(module.name), top),)
        names = sorted(list_files(top, roots.owners))
        return tuple((PurePosixPath(module.name, os.fsdecode(name)), _regular_file(roots, top, name)) for name in names)
    raise AssertionError("unreachable")


def source_manifest(spec: Spec, module: PurePosixPath) -> Manifest:
    """Return the manifest of a module's source object, from its present files.

    Raises SpecError as `source_files`, and for a file that cannot be read.
    """
    entries: dict[bytes, Entry] = {}
    for relative, file in source_files(spec, module):
        place = SOURCE_FOLDER / relative
        for folder in place.parents[:-1]:
            path = os.fsencode(folder)
            entries[path] = Entry(path, EntryKind.DIRECTORY)
        hasher, size = blake3(), 0
        for piece in read_source(spec, relative, file):
            hasher.update(piece)
            size += len(piece)
        path = os.fsencode(place)
        entries[path] = Entry(path, EntryKind.FILE, _is_executable(spec, relative, file), size, hasher.digest())
    return Manifest(tuple(sorted(entries.values())))


def copy_source(spec: Spec, module: PurePosixPath, folder: Path) -> None:
    """Copy a module into an empty folder, with its executable bits. Raises SpecError as `source_manifest` does."""
    for relative, file in source_files(spec, module):
        target = folder / SOURCE_FOLDER / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as copy:
            copy.writelines(read_source(spec, relative, file))
        target.chmod(0o755 if _is_executable(spec, relative, file) else 0o644)


def read_source(spec: Spec, relative: PurePosixPath, file: Path) -> Iterator[bytes]:
    """Read one of `source_files` in pieces. Raises SpecError."""
    with _explained(spec, str(relative)):
        yield from read_pieces(file, follow=False)


def _is_executable(spec: Spec, relative: PurePosixPath, file: Path) -> bool:
    with _explained(spec, str(relative)):
        return bool(file.stat().st_mode & 0o100)


def _regular_file(roots: ModuleRoots, top: Path, name: bytes) -> Path:
    path = top / os.fsdecode(name)
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        roots.check_inside(target, name)
        if not target.is_file():
            raise ValueError(
                f"{shown(name)} is a link to {'a folder' if target.is_dir() else 'nothing'}, expected a file"
            )
        return target
    if not stat.S_ISREG(mode):
        raise ValueError(f"{shown(name)} is neither a file nor a folder")
    return path


@contextmanager
def _explained(spec: Spec, subject: str) -> Iterator[None]:
    """Turn errors into a SpecError that names the spec and the subject."""
    try:
        yield
    except ValueError as error:
        raise SpecError(f"{typed(spec.path)}: {shown(os.fsencode(subject))}: {error}") from error
    except OSError as error:
        raise SpecError(
            f"{typed(spec.path)}: {shown(os.fsencode(subject))} cannot be read: {error.strerror}"
        ) from error
