"""Launch and support modules: which files they are, and their digest.

A module is named relative to the spec's folder, and its files must lie there in truth: no symlink may lead out.
One that is named with leading ``..`` is held to the folder that these lead to. Inside a git checkout, ignored files
and what starts with ``.git`` are left out of a folder; ``__pycache__`` always is. What the spec names itself counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.digest import Digest, hash_bytes, hash_fields
from vstore.errors import SpecError
from vstore.spec.model import Spec

_GIT_TIMEOUT_SECONDS = 60


def source_files(spec: Spec, module: PurePosixPath) -> tuple[tuple[PurePosixPath, Path], ...]:
    """What is copied for a module: path in site-packages and real file, in the order of the paths' bytes.

    Raises SpecError for a file that is missing, unreadable, special, or reached by a link that leads out.
    """
    try:
        folder = spec.path.parent
        top = real_path(folder, module)
        if not top.is_dir():
            return ((PurePosixPath(module.name), top),)
        anchor = _anchor(folder, module)
        files = {os.fsencode(name): _regular_file(top, name, anchor) for name in _listing(top)}
    except ValueError as error:
        raise SpecError(f"{spec.path.name}: module {module}: {error}") from error
    except OSError as error:
        raise SpecError(f"{spec.path.name}: module {module} cannot be read: {error.strerror}") from error
    return tuple((PurePosixPath(module.name, os.fsdecode(name)), files[name]) for name in sorted(files))


def source_digest(spec: Spec, module: PurePosixPath) -> Digest:
    """The digest of a module: names, executable bits and content of its files. Raises SpecError as `source_files`."""
    fields: list[bytes] = []
    for relative, file in source_files(spec, module):
        try:
            executable = file.stat().st_mode & 0o100
            content = hash_bytes("source file 1", file.read_bytes())
        except OSError as error:
            raise SpecError(f"{spec.path.name}: {relative} cannot be read: {error.strerror}") from error
        fields += (os.fsencode(relative), b"x" if executable else b"-", content.raw)
    return hash_fields("source 1", *fields)


def real_path(folder: Path, module: PurePosixPath) -> Path:
    """Where the module is, links resolved; ValueError says why it is not there or may not be used."""
    if "\0" in str(module):
        raise ValueError("does not exist")
    try:
        real = Path(os.path.realpath(folder / module, strict=True))
    except OSError as error:
        raise ValueError("does not exist" if not os.path.lexists(folder / module) else "is a broken link") from error
    if not real.is_relative_to(_anchor(folder, module)):
        raise ValueError(f"leads out of the spec's folder through a link, to {real}")
    if not real.is_dir() and not real.is_file():
        raise ValueError("is neither a file nor a folder")
    return real


def _anchor(folder: Path, module: PurePosixPath) -> Path:
    """The folder that a module may not leave: the spec's, or the one that the leading ``..`` lead to."""
    anchor = Path(os.path.realpath(folder))
    for part in module.parts:
        if part != "..":
            break
        anchor = anchor.parent
    return anchor


def _regular_file(top: Path, name: str, anchor: Path) -> Path:
    path = top / name
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(anchor):
            raise ValueError(f"{name} leads out of the spec's folder through a link, to {target}")
        if not target.is_file():
            raise ValueError(f"{name} is a link to {'a folder' if target.is_dir() else 'nothing'}, expected a file")
        return target
    if not stat.S_ISREG(mode):
        raise ValueError(f"{name} is neither a file nor a folder")
    return path


def _listing(top: Path) -> list[str]:
    """The files below a folder that belong to it, as relative paths, unsorted."""
    checkout = _checkout(top)
    if checkout is None:
        return list(_walk(top))
    # nothing listed: no git here, or the folder as a whole is ignored and yet the spec names it
    names = _git_files(top, checkout) or set(_walk(top))
    listing: list[str] = []
    for name in names:
        path = top / name
        if path.is_dir() and not path.is_symlink():  # a submodule or another checkout inside this one
            inner = _listing(path) if _checkout(path) == path else _walk(path)
            listing += (os.path.normpath(os.path.join(name, below)) for below in inner)
        elif os.path.lexists(path):
            listing.append(name)
    return [name for name in listing if not any(_is_left_out(part) for part in PurePosixPath(name).parts)]


def _is_left_out(part: str) -> bool:
    return part == "__pycache__" or part.startswith(".git")


def _walk(top: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(top, onerror=fail):
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*files, *links):
            yield os.path.relpath(os.path.join(folder, name), top)


def _checkout(top: Path) -> Path | None:
    """The git checkout that the folder is in: its own ``.git`` (a file in worktrees and submodules) or a parent's."""
    for folder in (top, *top.parents):
        dot_git = folder / ".git"
        if dot_git.is_file() or (dot_git / "HEAD").is_file():
            return folder
    return None


def _git_files(top: Path, checkout: Path) -> set[str] | None:
    """What git tracks or would not ignore; None where git is not installed.

    The checkout's own configuration is not to be trusted: ``core.fsmonitor`` would run a program of its choice.
    """
    import shutil  # what finds nothing to do has no sources to list
    import subprocess

    git = shutil.which("git")
    if git is None:
        return None
    command = [git, f"--git-dir={checkout / '.git'}", f"--work-tree={checkout}", "-c", "core.fsmonitor=false"]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    try:
        done = subprocess.run(command, cwd=top, capture_output=True, timeout=_GIT_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"git did not answer within {_GIT_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise ValueError(f"git cannot list it: {os.fsdecode(done.stderr).strip() or done.returncode}")
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
