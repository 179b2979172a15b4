"""Checking that index, manifests and trees agree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.tree import FROZEN_TIME, Entry, EntryKind, Manifest, scan
from vstore.objects import ObjectInfo, StorePath
from vstore.report import Report
from vstore.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one object, said in one line."""

    path: StorePath
    problem: str


def verify(store: Store, *, contents: bool, report: Report) -> tuple[int, list[Problem]]:
    """Check every object; with `contents` hash every file. Returns how many were checked, and what is wrong.

    Raises StoreError when the index itself is damaged. What is collected meanwhile is no problem.
    """
    store.index.database.check()
    infos = store.index.objects()
    problems = []
    for number, info in enumerate(infos):
        if contents:
            report.stage("verify", "hashing objects", number, len(infos))
        found = list(_problems(store, info, contents))
        if found and store.is_valid(info.path):
            problems += [Problem(path=info.path, problem=text) for text in found]
    problems += _profiles(store)
    return len(infos), problems


def _profiles(store: Store) -> Iterator[Problem]:
    """Generations without their link, and profiles that lead nowhere."""
    for name in store.generations.profiles():
        current = store.layout.profiles / name
        rows = store.generations.of(name)
        for row in rows:
            link = store.layout.profiles / f"{name}-{row.number}-link"
            if not link.is_symlink() or link.resolve() != store.layout.object(row.path).resolve():
                yield Problem(
                    path=row.path, problem=f"{link.name} does not lead to it, as generation {row.number} should"
                )
        if rows and os.path.lexists(current) and not current.exists():
            yield Problem(
                path=rows[-1].path, problem=f"profile {name} leads to {os.readlink(current)}, which is missing"
            )


def _problems(store: Store, info: ObjectInfo, contents: bool) -> Iterator[str]:
    folder = store.layout.object(info.path)
    if not folder.is_dir():
        yield "the object's folder is missing"
        return
    try:
        manifest, _ = store.manifest(info.path)
    except (StoreError, OSError) as error:
        yield str(error)
        return
    if manifest.digest != info.digest or StorePath.make(manifest.digest, info.path.name) != info.path:
        yield "the manifest is not the one of this object"
    if tuple(sorted(manifest.references(info.path))) != info.references:
        yield "the index has other references than the manifest"
    if not contents:
        return
    try:
        found = scan(folder)
    except (StoreError, OSError) as error:
        yield f"cannot be read: {error}"
        return
    yield from manifest.differences(found)
    yield from _unfrozen(folder, manifest)


def _unfrozen(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is writable again, or has another time than everything in a store has."""
    top = Entry(b"", EntryKind.DIRECTORY)
    for entry in (top, *manifest.entries):
        if entry.kind == EntryKind.SYMLINK:
            continue
        try:
            status = (folder / os.fsdecode(entry.path)).lstat()
        except FileNotFoundError:
            continue  # said already
        mode = 0o555 if entry.executable or entry.kind == EntryKind.DIRECTORY else 0o444
        name = os.fsdecode(entry.path) or "the object's folder"
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & ~0o111 != mode & ~0o111:
            yield f"its mode is {stat.S_IMODE(status.st_mode):04o}: {name}"
        if status.st_mtime_ns != FROZEN_TIME * 10**9:
            yield f"its time was changed: {name}"
