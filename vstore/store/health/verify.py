"""Checking that index, manifests, trees and profiles agree, and repairing faults that need no other bytes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from vstore.errors import StoreError
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.inspect import is_folder
from vstore.fs.trees.scan import repair_modes
from vstore.fs.trees.usage import InodeCache
from vstore.objects import StorePath
from vstore.reporter import ByteProgress, NullReporter, Reporter
from vstore.store.generation_records import is_record_dropped, read_generation_record, write_generation_record
from vstore.store.health.verify_workers import check_objects
from vstore.store.layout import generation_link
from vstore.store.manifests import kind_in_tree, merge_metadata, write_manifest
from vstore.store.model import Generation, Provenance
from vstore.store.store import Store
from vstore.values import replace


class Problem(NamedTuple):
    """A fault of an object, or of a link or record of a `profile` that belongs to it, described in one line."""

    path: StorePath
    problem: str
    profile: str | None = None


def verify(
    store: Store,
    *,
    contents: bool,
    only: Collection[StorePath] | None = None,
    jobs: int = 1,
    inodes: InodeCache | None = None,
    reporter: Reporter | None = None,
) -> tuple[int, list[Problem]]:
    """Check all objects, or `only` some, in up to `jobs` processes; with `contents` hash every file.

    Return the number of checked objects and the problems. Without `contents`, the inodes that were read are added to
    the cache `inodes`. Raises StoreError if the index is damaged. An object that is collected meanwhile is no problem.
    """
    reporter = reporter or NullReporter()
    store.database.check()
    infos = [info for info in store.objects.all() if only is None or info.path in only]
    found: dict[StorePath, list[str]] = {}
    total_bytes = sum(info.size_bytes for info in infos)
    hashing = ByteProgress(reporter, "verify", "hashing objects", total_bytes) if contents else None
    with check_objects(store.layout, infos, inodes=None if contents else inodes or InodeCache(), jobs=jobs) as results:
        for info, texts in results:
            if hashing is not None:
                hashing.add(info.size_bytes)
            if texts and store.objects.is_registered(info.path):
                found[info.path] = texts
    problems = [Problem(info.path, text) for info in infos for text in found.get(info.path, ())]
    problems += [one for one in _profile_problems(store) if only is None or one.path in only]
    return len(infos), problems


def repair_in_place(store: Store, path: StorePath) -> bool:
    """Repair modes, times, the manifest and lost rows of an object. Return whether the object is intact now."""
    store.add_temp_root(path)
    with lock_file(store.layout.locks.object(str(path))):
        info, folder = store.objects.info(path), store.layout.object(path)
        if info is None or not is_folder(folder):
            return False
        try:
            manifest, metadata = store.manifest(path)
            kind = metadata["kind"]
        except StoreError:
            manifest, kind = None, ""
        try:
            with store.layout.opened(folder) as opened:
                found = repair_modes(opened, manifest)
        except (StoreError, OSError):
            return False
        if found.digest != info.digest:
            return False
        references = tuple(sorted(found.references(path)))
        if not all(map(store.objects.is_registered, references)):
            return False
        right = replace(info, references=references, kind=kind_in_tree(folder, found.outline) or info.kind)
        if manifest is None or manifest.digest != info.digest or kind != right.kind:
            right, kept = merge_metadata(store.layout, store.realisations, info, right, Provenance())
            write_manifest(store.layout, right, found, kept, durable=True)
        if right != info:
            store.objects.register(right)
        store.distrusted.discard(path)
        return True


def repair_links(store: Store, problems: Collection[Problem]) -> None:
    """Restore the links and records of generations that `verify` found wrong. Anything but a link is skipped."""
    broken = {(problem.profile, problem.path) for problem in problems if problem.profile}
    for profile, path in broken:
        for generation in store.generations.of(profile or ""):
            link = store.layout.generation(generation.profile, generation.number)
            if generation.path == path and (link.is_symlink() or not os.path.lexists(link)):
                if _has_wrong_record(store, generation):
                    write_generation_record(store.layout, generation)
                with store.layout.opened(store.layout.profiles) as folder:
                    folder.replace_symlink(link.name, _target(generation))


def _target(generation: Generation) -> str:
    return f"../store/{generation.path}"


def _profile_problems(store: Store) -> Iterator[Problem]:
    """Yield generations without their link or with a wrong record, and profiles that lead to no generation."""
    for name in store.generations.profiles():
        generations = store.generations.of(name)
        for one in generations:
            link = store.layout.generation(name, one.number)
            if not link.is_symlink() or os.readlink(link) != _target(one):
                yield Problem(one.path, f"{link.name} does not lead to it, as generation {one.number} should", name)
            if _has_wrong_record(store, one):
                record = store.layout.generation_record(name, one.number).name
                yield Problem(one.path, f"{record} does not describe generation {one.number}", name)
        if generations and (fault := _profile_fault(store, name, generations)):
            hint = f"`vstore switch {name} N` sets it"
            yield Problem(generations[-1].path, f"profile {name} {fault}: {hint}", name)


def _has_wrong_record(store: Store, generation: Generation) -> bool:
    """Return whether the record is damaged. A missing one may be of a killed `forget`, which the next one ends."""
    profile, number = generation.profile, generation.number
    recorded = read_generation_record(store.layout, profile, number)
    if recorded == replace(generation, used_on=None, current=False):
        return False
    return not is_record_dropped(store.layout, profile, number)


def _profile_fault(store: Store, profile: str, generations: list[Generation]) -> str | None:
    """Return the fault of a profile's own link; None if there is none. Before the first switch it has no link."""
    link = store.layout.profiles / profile
    if not os.path.lexists(link):
        return "has lost its current generation" if any(one.replaced_number for one in generations) else None
    if not link.is_symlink():
        return "is not a link: move the file away"
    target = os.readlink(link)
    if target not in [generation_link(profile, one.number) for one in generations]:
        return f"leads to {target}, which is not one of its generations"
    return None
