"""Probe the features of the file system of a folder: links, upper and lower case, and names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vstore.archive import case_collisions
from vstore.errors import VstoreError
from vstore.fs.scratch import scratch
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.values import frozen

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@")
_LONG_BYTES = 120
_SHOWN = 20


@frozen(kw_only=False)
class Features:
    """The features of a file system; `case_sensitive` means that ``a`` and ``A`` are two names."""

    symlinks: bool
    hard_links: bool
    case_sensitive: bool


def probe(folder: Path) -> Features:
    """Return the features of the file system of a folder, by trials in a scratch folder."""
    with scratch(folder, "probe") as place:
        (place / "file").touch()
        return Features(
            symlinks=_possible(lambda: os.symlink("file", place / "symlink")),
            hard_links=_possible(lambda: os.link(place / "file", place / "hardlink")),
            case_sensitive=not (place / "FILE").exists(),
        )


def _possible(action: Callable[[], object]) -> bool:
    try:
        action()
    except (OSError, NotImplementedError):
        return False
    return True


def check_names(folder: Path, paths: Iterable[bytes], features: Features, *, subject: str) -> None:
    """Raise one VstoreError that names every path which the file system of `folder` cannot hold."""
    names = list(paths)
    problems = [] if features.case_sensitive else list(_collisions(names))
    problems += _refused(folder, names)
    if not problems:
        return
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    raise VstoreError(
        f"{subject}: the file system of {folder} cannot hold {len(problems)} of its names",
        details=[*problems[:_SHOWN], *more],
        hint="export to another file system, or leave the layer out with --include",
    )


def _collisions(paths: Iterable[bytes]) -> Iterator[str]:
    tree = Manifest(tuple(Entry(path, EntryKind.FILE) for path in sorted(paths)))
    for group in case_collisions(tree):
        yield f"{' and '.join(group)} are the same name there"


def _refused(folder: Path, paths: Iterable[bytes]) -> Iterator[str]:
    """Try each name that is not plain once, and yield those that are refused."""
    odd: dict[bytes, bytes] = {}
    for path in paths:
        name = path.rpartition(b"/")[2]
        if len(name) > _LONG_BYTES or name.endswith(b".") or not _PLAIN.issuperset(name):
            odd.setdefault(name, path)
    if not odd:
        return
    with scratch(folder, "names") as scratched:
        place = scratched / "one"  # with nothing else in it
        place.mkdir()
        for name, path in sorted(odd.items()):
            if not _takes(os.fsencode(place), name):
                yield f"{os.fsdecode(path)}: the name is refused or changed"


def _takes(place: bytes, name: bytes) -> bool:
    try:
        with open(os.path.join(place, name), "xb"):
            pass
        found = os.listdir(place)
        os.unlink(os.path.join(place, name))
    except (OSError, ValueError):
        return False
    return found == [name]
