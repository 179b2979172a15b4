"""Launch and support modules: which files belong to them, and their digest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

from vstore.digest import Digest, hash_fields
from vstore.spec.model import Spec


def source_files(spec: Spec, module: PurePosixPath) -> list[tuple[PurePosixPath, Path]]:
    """The module's files as (path below site-packages, place), sorted; links are followed.

    Inside a git checkout what git ignores is left out, elsewhere only ``__pycache__``.
    """
    place = spec.place(module)
    if place.is_file():
        return [(PurePosixPath(place.name), place)]
    allowed = _known_to_git(place)
    found = []
    for top, folders, files in os.walk(place, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith(".git"))
        for name in sorted(files):
            file = Path(top, name)
            if not name.startswith(".git") and (allowed is None or str(file.relative_to(place)) in allowed):
                found.append((PurePosixPath(place.name, *file.relative_to(place).parts), file))
    return sorted(found)


def source_digest(spec: Spec, module: PurePosixPath) -> Digest:
    """The digest of names, executable bits and contents."""
    fields: list[bytes] = []
    for relative, file in source_files(spec, module):
        executable = b"x" if file.stat().st_mode & 0o100 else b"-"
        fields += (str(relative).encode(), executable, file.read_bytes())
    return hash_fields("source 1", *fields)


def _known_to_git(place: Path) -> set[str] | None:
    """The files below that git tracks or does not ignore; None outside a checkout or without git."""
    if not any((parent / ".git").exists() for parent in (place, *place.parents)):
        return None
    command = ["git", "-C", str(place), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
