"""Launch and support modules: which files they are, and their digest.

A module is named relative to the spec's folder, and its files lie in the project in truth: see `vstore.spec.project`.
Inside a git checkout ignored files and names that start with ``.git`` are left out of a folder; ``__pycache__`` always
is. What the spec names itself counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vstore.digest import Digest, hash_fields, hash_pieces
from vstore.errors import SpecError
from vstore.fs.reading import read_pieces
from vstore.fs.tree import shown
from vstore.spec.listing import list_files
from vstore.spec.model import Spec
from vstore.spec.project import Project


def source_files(spec: Spec, module: PurePosixPath) -> tuple[tuple[PurePosixPath, Path], ...]:
    """What is copied for a module: path in site-packages and real file, in the order of the paths' bytes.

    Raises SpecError for a file that is missing, unreadable, special, or outside of the project.
    """
    with _explained(spec, f"module {module}"):
        project = Project.of(spec.path, spec.allow_outside)
        top = project.real_path(module)
        if not top.is_dir():
            return ((PurePosixPath(module.name), top),)
        names = sorted(list_files(top, project.owners))
        return tuple(
            (PurePosixPath(module.name, os.fsdecode(name)), _regular_file(project, top, name)) for name in names
        )
    raise AssertionError("unreachable")


def source_digest(spec: Spec, module: PurePosixPath, *, copy_to: Path | None = None) -> Digest:
    """The digest of a module: names, executable bits and content of its files.

    With `copy_to`, a folder, the files are written there, and the digest is of what was written. Raises SpecError as
    `source_files` and for a file that changes meanwhile; FileExistsError where there is something already.
    """
    fields: list[bytes] = []
    for relative, file in source_files(spec, module):
        pieces = read_source(spec, relative, file)
        with _explained(spec, str(relative)):
            executable = bool(file.stat().st_mode & 0o100)
        if copy_to is not None:
            pieces = _written(pieces, copy_to / relative, 0o755 if executable else 0o644)
        content = hash_pieces("source file 1", pieces)
        fields += (os.fsencode(relative), b"x" if executable else b"-", content.raw)
    return hash_fields("source 1", *fields)


def read_source(spec: Spec, relative: PurePosixPath, file: Path) -> Iterator[bytes]:
    """The content of one of `source_files`, in pieces. Raises SpecError."""
    with _explained(spec, str(relative)):
        yield from read_pieces(file, follow=False)


def _written(pieces: Iterator[bytes], target: Path, mode: int) -> Iterator[bytes]:
    """The pieces, each after it was written to a new file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        for piece in pieces:
            file.write(piece)
            yield piece
    target.chmod(mode)


def _regular_file(project: Project, top: Path, name: bytes) -> Path:
    path = top / os.fsdecode(name)
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        project.check_inside(target, name)
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
    """Name the spec and the subject of an error."""
    try:
        yield
    except ValueError as error:
        raise SpecError(f"{spec.path.name}: {shown(os.fsencode(subject))}: {error}") from error
    except OSError as error:
        raise SpecError(f"{spec.path.name}: {shown(os.fsencode(subject))} cannot be read: {error.strerror}") from error
