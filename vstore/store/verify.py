"""Checking that index, manifests, trees and profiles agree."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.atomic import replace_symlink
from vstore.fs.filelock import lock_file
from vstore.fs.tree import FROZEN_TIME, mended, scan, shown
from vstore.objects import ObjectInfo, StorePath
from vstore.report import Report
from vstore.store.generations import GenerationRow
from vstore.store.manifests import described_again, write_manifest
from vstore.store.store import Store

_TIME = FROZEN_TIME * 10**9
_FROZEN = {stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444, stat.S_IFREG | 0o555}
_TOP = "the object's folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one object or, where it names a `profile`, with a link to it; said in one line."""

    path: StorePath
    problem: str
    profile: str | None = None


def verify(
    store: Store, *, contents: bool, report: Report, only: Collection[StorePath] | None = None, jobs: int = 1
) -> tuple[int, list[Problem]]:
    """Check every object, or only some; with `contents` hash every file. Returns how many were, and what is wrong.

    Raises StoreError when the index itself is damaged. What is collected meanwhile is no problem.
    """
    from concurrent.futures import ThreadPoolExecutor  # other commands do without it

    store.index.database.check()
    infos = [info for info in store.index.objects() if only is None or info.path in only]
    problems = []
    with ThreadPoolExecutor(jobs) as pool:
        for number, found in enumerate(pool.map(lambda info: list(_problems(store, info, contents)), infos), 1):
            if contents:
                report.stage("verify", "hashing objects", number, len(infos))
            problems += [one for one in found if store.index.is_valid(one.path)]
    problems += [one for one in _profiles(store) if only is None or one.path in only]
    return len(infos), problems


def mend(store: Store, path: StorePath) -> bool:
    """Put right what needs no other bytes: modes, times, the manifest, rows that are lost. Whether it is whole now."""
    store.temp_root(path)
    with lock_file(store.layout.object_lock(str(path))):
        info, folder = store.index.info(path), store.layout.object(path)
        if info is None or not folder.is_dir() or folder.is_symlink():
            return False
        try:
            manifest = store.manifest(path)[0]
        except StoreError:
            manifest = None
        try:
            found = mended(folder, manifest)
        except (StoreError, OSError):
            return False
        if found.digest != info.digest:
            return False
        if manifest is None or manifest.digest != info.digest:
            info, parts, metadata = described_again(store.index, store.layout, info, info, (), {})
            write_manifest(store.layout.manifest(path), info, found, parts, metadata, durable=True)
        references = tuple(sorted(found.references(path)))
        if references != info.references:
            if not all(map(store.index.is_valid, references)):
                return False
            store.index.register(replace(info, references=references))
        store.trust_again(path)
        return True


def mend_links(store: Store, problems: Collection[Problem]) -> None:
    """Put back the generations' links that are wrong. What lies there and is no link is left alone."""
    broken = {(problem.profile, problem.path) for problem in problems if problem.profile}
    for profile, path in broken:
        for row in store.generations.of(profile or ""):
            link = _link(store, row)
            if row.path == path and (link.is_symlink() or not os.path.lexists(link)):
                replace_symlink(link, _target(row))


def _link(store: Store, row: GenerationRow) -> Path:
    return store.layout.profiles / f"{row.profile}-{row.number}-link"


def _target(row: GenerationRow) -> str:
    return f"../store/{row.path}"


def _profiles(store: Store) -> Iterator[Problem]:
    """Generations without their link, and profiles that lead to none."""
    for name in store.generations.profiles():
        rows = store.generations.of(name)
        for row in rows:
            link = _link(store, row)
            if not link.is_symlink() or os.readlink(link) != _target(row):
                text = f"{link.name} does not lead to it, as generation {row.number} should"
                yield Problem(path=row.path, problem=text, profile=name)
        if rows and (wrong := _wrong_profile(store.layout.profiles / name, rows)):
            hint = f"`vstore switch {name} N` sets it"
            yield Problem(path=rows[-1].path, problem=f"profile {name} {wrong}: {hint}", profile=name)


def _wrong_profile(current: Path, rows: list[GenerationRow]) -> str | None:
    """What is wrong with a profile's own link. Before the first switch there is none."""
    if not os.path.lexists(current):
        return "has no current generation any more" if any(row.replaced for row in rows) else None
    if not current.is_symlink():
        return "is no link: move away what lies there"
    target = os.readlink(current)
    found = re.fullmatch(re.escape(current.name) + r"-([1-9][0-9]*)-link", target)
    if not found or int(found[1]) not in [row.number for row in rows]:
        return f"leads to {target}, which is none of its generations"
    return None


def _problems(store: Store, info: ObjectInfo, contents: bool) -> Iterator[Problem]:
    for text in _faults(store, info, contents):
        yield Problem(path=info.path, problem=text)


def _faults(store: Store, info: ObjectInfo, contents: bool) -> Iterator[str]:
    folder = store.layout.object(info.path)
    if folder.is_symlink() or not folder.is_dir():
        yield "the object's folder is missing"
        return
    found, unreadable = None, None
    thawed: list[tuple[bytes, str]] = []

    def look(path: bytes, status: os.stat_result) -> None:
        if status.st_mode not in _FROZEN or status.st_mtime_ns != _TIME:
            thawed.extend((path, fault) for fault in _thawed(status))

    try:
        found = scan(folder, on_status=look) if contents else None
    except (StoreError, OSError) as error:
        unreadable = error
    try:
        manifest, _ = store.manifest(info.path, likely=found)
    except (StoreError, OSError) as error:
        yield str(error)
        return
    if manifest.digest != info.digest or StorePath.make(manifest.digest, info.path.name) != info.path:
        yield "the manifest is not the one of this object"
    if tuple(sorted(manifest.references(info.path))) != info.references:
        yield "the index has other references than the manifest"
    if unreadable is not None:
        yield f"cannot be read: {unreadable}"
    if found is None:
        return
    yield from manifest.differences(found)
    yield from (f"{fault}: {shown(path) or _TOP}" for path, fault in sorted(thawed))


def _thawed(status: os.stat_result) -> Iterator[str]:
    """In what it has another mode or another time than everything in a store has."""
    mode = stat.S_IMODE(status.st_mode)
    frozen = 0o555 if mode & 0o100 or stat.S_ISDIR(status.st_mode) else 0o444
    if mode != frozen and os.name == "posix":
        yield f"its mode is {mode:04o}"
    if status.st_mtime_ns != _TIME:
        yield "its time was changed"
