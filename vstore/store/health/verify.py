"""Checking that index, manifests, trees and profiles agree."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.inspect import is_folder
from vstore.fs.trees.scan import repair_modes
from vstore.objects import StorePath
from vstore.reporter import Reporter
from vstore.store.generation_records import is_dropped, read_record, record_file, write_record
from vstore.store.health.verify_workers import checked
from vstore.store.index.generations import GenerationRow
from vstore.store.kinds import kind_of
from vstore.store.layout import generation_link
from vstore.store.manifests import merge_metadata, write_manifest
from vstore.store.store import Store
from vstore.values import frozen


@frozen
class Problem:
    """Something wrong with one object or, where it names a `profile`, with a link to it; said in one line."""

    path: StorePath
    problem: str
    profile: str | None = None


def verify(
    store: Store, *, contents: bool, reporter: Reporter, only: Collection[StorePath] | None = None, jobs: int = 1
) -> tuple[int, list[Problem]]:
    """Check every object, or only some; with `contents` hash every file, a large store's by up to `jobs` processes.

    Returns how many were checked, and what is wrong. Raises StoreError when the index itself is damaged. What is
    collected meanwhile is no problem.
    """
    store.index.database.check()
    infos = [info for info in store.index.objects() if only is None or info.path in only]
    found: dict[StorePath, list[str]] = {}
    with checked(store.layout, infos, contents=contents, jobs=jobs) as answers:
        for number, (info, texts) in enumerate(answers, 1):
            if contents:
                reporter.progress("verify", "hashing objects", number, len(infos))
            if texts and store.index.is_valid(info.path):
                found[info.path] = texts
    problems = [Problem(path=info.path, problem=text) for info in infos for text in found.get(info.path, ())]
    problems += [one for one in _profiles(store) if only is None or one.path in only]
    return len(infos), problems


def mend(store: Store, path: StorePath) -> bool:
    """Put right what needs no other bytes: modes, times, the manifest, rows that are lost. Whether it is whole now."""
    store.add_temp_root(path)
    with lock_file(store.layout.object_lock(str(path))):
        info, folder = store.index.info(path), store.layout.object(path)
        if info is None or not is_folder(folder):
            return False
        try:
            manifest, metadata = store.manifest(path)
        except StoreError:
            manifest, metadata = None, {}
        try:
            with store.layout.opened(folder) as opened:
                found = repair_modes(opened, manifest)
        except (StoreError, OSError):
            return False
        if found.digest != info.digest:
            return False
        references = tuple(sorted(found.references(path)))
        if not all(map(store.index.is_valid, references)):
            return False
        right = replace(info, references=references, kind=kind_of(folder, found) or info.kind)
        if manifest is None or manifest.digest != info.digest or metadata["kind"] != right.kind:
            right, parts, kept = merge_metadata(store.index, store.layout, info, right, (), {})
            write_manifest(store.layout, right, found, parts, kept, durable=True)
        if right != info:
            store.index.register(right)
        store.trust(path)
        return True


def repair_links(store: Store, problems: Collection[Problem]) -> None:
    """Put back the generations' links and records that are wrong. What lies there and is no link is left alone."""
    broken = {(problem.profile, problem.path) for problem in problems if problem.profile}
    for profile, path in broken:
        for row in store.generations.of(profile or ""):
            link = store.layout.generation(row.profile, row.number)
            if row.path == path and (link.is_symlink() or not os.path.lexists(link)):
                if _recorded_otherwise(store, row):
                    write_record(store.layout, row)
                with store.layout.opened(store.layout.profiles) as folder:
                    folder.replace_symlink(link.name, _target(row))


def _target(row: GenerationRow) -> str:
    return f"../store/{row.path}"


def _profiles(store: Store) -> Iterator[Problem]:
    """Generations without their link, and profiles that lead to none."""
    for name in store.generations.profiles():
        rows = store.generations.of(name)
        for row in rows:
            link = store.layout.generation(name, row.number)
            if not link.is_symlink() or os.readlink(link) != _target(row):
                text = f"{link.name} does not lead to it, as generation {row.number} should"
                yield Problem(path=row.path, problem=text, profile=name)
            if _recorded_otherwise(store, row):
                text = (
                    f"{record_file(store.layout, name, row.number).name} does not say what generation {row.number} is"
                )
                yield Problem(path=row.path, problem=text, profile=name)
        if rows and (wrong := _wrong_profile(store.layout.profiles / name, rows)):
            hint = f"`vstore switch {name} N` sets it"
            yield Problem(path=rows[-1].path, problem=f"profile {name} {wrong}: {hint}", profile=name)


def _recorded_otherwise(store: Store, row: GenerationRow) -> bool:
    """Whether the record is damaged. One that is gone may be of a killed `forget`, which the next one ends."""
    found = read_record(store.layout, row.profile, row.number)
    return found != replace(row, used_on=None) and not is_dropped(store.layout, row.profile, row.number)


def _wrong_profile(current: Path, rows: list[GenerationRow]) -> str | None:
    """What is wrong with a profile's own link. Before the first switch there is none."""
    if not os.path.lexists(current):
        return "has no current generation any more" if any(row.replaced for row in rows) else None
    if not current.is_symlink():
        return "is no link: move away what lies there"
    target = os.readlink(current)
    if target not in [generation_link(row.profile, row.number) for row in rows]:
        return f"leads to {target}, which is none of its generations"
    return None
