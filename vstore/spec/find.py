"""Finding a spec: in a folder that the user names, or in the current folder and those above it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vstore.errors import SpecError
from vstore.fs.paths import absolute
from vstore.fs.reading import read_regular
from vstore.spec.load import MAX_BYTES, PROJECT_FILE, parse
from vstore.values import frozen

NAMES = ("vstore.toml", "venvstacks.toml", "spec.toml", PROJECT_FILE)
_HINT = "`vstore init` writes a small one; or name the file"


@frozen
class _Looked:
    """What a search found in one folder: specs, and specs that belong to another user."""

    specs: tuple[Path, ...]
    foreign: tuple[Path, ...]


def find_spec(place: Path | None = None) -> Path:
    """Return the spec at a place: the file itself, or the spec in that folder. None means the one here or above.

    A spec in a folder has one of `NAMES`; ``pyproject.toml`` counts if it has ``[tool.vstore]``. The search goes up to
    the home folder, the top of the checkout or the end of the file system, and skips specs of users other than this
    one, root and the owner of the current folder, as anybody can write one into a shared folder such as ``/tmp``.
    Raises SpecError if there is none, and if there are several in one folder.
    """
    if place is not None:
        folder = Path(os.path.abspath(absolute(place)))  # as `load` reads it
        if not folder.is_dir():
            return folder
        found = specs_in(folder)
        if not found:
            raise SpecError(f"no spec in {folder}", details=[f"looked for {', '.join(NAMES)}"], hint=_HINT)
        return _only(found)
    here = Path(os.path.realpath(absolute(".")))
    foreign: list[Path] = []
    owners = _owners(here)
    for folder in _upwards(here):
        looked = _look(folder, owners)
        foreign += looked.foreign
        if looked.specs:
            return _only(looked.specs)
    raise SpecError(
        f"no spec in {here} or above",
        details=[f"looked for {', '.join(NAMES)}", *(f"belongs to another user: {one}" for one in foreign)],
        hint=_HINT,
    )


def specs_in(folder: Path) -> tuple[Path, ...]:
    """Return the specs in a folder, whoever owns them. Raises SpecError for a malformed ``pyproject.toml``."""
    return _look(folder, None).specs


def _look(folder: Path, owners: frozenset[int] | None) -> _Looked:
    there = [folder / name for name in NAMES if (folder / name).is_file()]
    foreign = tuple(one for one in there if owners is not None and not _belongs(one, owners))
    own = (one for one in there if one not in foreign)
    return _Looked(
        specs=tuple(one for one in own if one.name != PROJECT_FILE or _has_table(one)),
        foreign=foreign,
    )


def _only(found: tuple[Path, ...]) -> Path:
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise SpecError(f"{found[0].parent} has several specs: {names}", hint="name the one to use")
    return found[0]


def _upwards(here: Path) -> Iterator[Path]:
    """Yield a folder and those above it that belong to the same project."""
    home, device = os.path.realpath(os.path.expanduser("~")), os.stat(here).st_dev
    for folder in (here, *here.parents):
        if os.stat(folder).st_dev != device:
            return
        yield folder
        if str(folder) == home or os.path.lexists(folder / ".git"):
            return


def _owners(here: Path) -> frozenset[int] | None:
    return frozenset((0, os.geteuid(), os.stat(here).st_uid)) if os.name == "posix" else None


def _belongs(file: Path, owners: frozenset[int]) -> bool:
    """Return whether a file, and the link to it if it is one, belong to one of `owners`."""
    return {os.lstat(file).st_uid, os.stat(file).st_uid} <= owners


def _has_table(file: Path) -> bool:
    """Return whether a ``pyproject.toml`` has ``[tool.vstore]``. Raises SpecError if it may have, and is malformed."""
    try:
        data = read_regular(file, limit=MAX_BYTES)
    except OSError:
        return False
    tool = parse(file.name, data).get("tool") if b"vstore" in data else None
    return isinstance(tool, dict) and "vstore" in tool
