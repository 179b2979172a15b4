"""Checking objects against their manifests; large stores and large objects in several processes.

Reading many small files keeps a core busy in the interpreter, so threads would only hinder each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain

from vstore.errors import StoreError
from vstore.fs.trees.inspect import FROZEN_TIME_NS, TreeState, changed_folders, inspect_tree, is_folder
from vstore.fs.trees.manifest import Manifest, Outline, shown
from vstore.fs.trees.scan import Shard
from vstore.fs.trees.usage import InodeCache
from vstore.objects import ObjectInfo, StorePath
from vstore.store.layout import StoreLayout
from vstore.store.manifests import kind_in_tree, read_encoded
from vstore.workers import map_unordered

_TOP = "the object's folder"
_FILES_PER_WORKER = 4000  # starting a process takes as long as hashing so many files
_OBJECTS_PER_WORKER, _OBJECTS_PER_CALL = 1000, 100  # and as reading so many small manifests
_Call = Callable[[], list[str] | TreeState]
_Results = Iterator[tuple[ObjectInfo, list[str]]]


def check_objects(
    layout: StoreLayout, infos: Sequence[ObjectInfo], *, inodes: InodeCache | None, jobs: int
) -> AbstractContextManager[_Results]:
    """Yield an iterator of each object and its faults, in no order, from up to `jobs` processes.

    With `inodes` check only manifests and folders, and add the inodes of both to it; else hash every file.
    Leaving the block ends the processes.
    """
    return _check_contents(layout, infos, jobs) if inodes is None else _check_manifests(layout, infos, inodes, jobs)


@contextmanager
def _check_manifests(
    layout: StoreLayout, infos: Sequence[ObjectInfo], inodes: InodeCache, jobs: int
) -> Iterator[_Results]:
    workers = max(min(jobs, len(infos) // _OBJECTS_PER_WORKER), 1)
    parts = [infos[at : at + _OBJECTS_PER_CALL] for at in range(0, len(infos), _OBJECTS_PER_CALL)]

    def joined(results: Iterator[tuple[int, tuple[list[list[str]], InodeCache]]]) -> _Results:
        for number, (faults, found) in results:
            inodes.add(found)
            yield from zip(parts[number], faults, strict=True)

    with map_unordered([partial(_faults_of_part, layout, part) for part in parts], workers) as results:
        yield joined(results)


def _faults_of_part(layout: StoreLayout, infos: Sequence[ObjectInfo]) -> tuple[list[list[str]], InodeCache]:
    inodes = InodeCache()
    for info in infos:
        for place in _places(layout, info):
            inodes.inodes(place)
    return [list(_faults(layout, info, (), inodes)) for info in infos], inodes


def _places(layout: StoreLayout, info: ObjectInfo) -> tuple[str, str]:
    """Return the folder and the manifest file, as text: a `Path` takes as long as reading the file."""
    name = str(info.path)
    return os.path.join(layout.store, name), os.path.join(layout.manifests, name)


@contextmanager
def _check_contents(layout: StoreLayout, infos: Sequence[ObjectInfo], jobs: int) -> Iterator[_Results]:
    total = sum(info.files for info in infos)
    workers = max(min(jobs, total // _FILES_PER_WORKER), 1)
    calls: list[tuple[ObjectInfo, int, _Call]] = []
    for info in sorted(infos, key=lambda info: -info.files):  # else a large one may start last
        shards = info.files * workers // max(total, 1)
        if shards < 2:
            calls.append((info, 1, partial(_check_object, layout, info)))
        else:
            folder = layout.object(info.path)
            calls += [(info, shards, partial(inspect_tree, folder, Shard(number, shards))) for number in range(shards)]
    with map_unordered([call for _, _, call in calls], workers) as results:
        yield _joined(layout, calls, results)


def _joined(
    layout: StoreLayout,
    calls: Sequence[tuple[ObjectInfo, int, _Call]],
    results: Iterator[tuple[int, list[str] | TreeState]],
) -> Iterator[tuple[ObjectInfo, list[str]]]:
    """Yield each object once the results of all its shards are there."""
    received: dict[StorePath, list[TreeState]] = {}
    for number, result in results:
        info, shards, _ = calls[number]
        if isinstance(result, TreeState):
            received.setdefault(info.path, []).append(result)
            if len(received[info.path]) < shards:
                continue
            result = list(_faults(layout, info, received.pop(info.path)))
        yield info, result


def _check_object(layout: StoreLayout, info: ObjectInfo) -> list[str]:
    return list(_faults(layout, info, [inspect_tree(layout.object(info.path))]))


def _faults(
    layout: StoreLayout, info: ObjectInfo, shards: Sequence[TreeState], inodes: InodeCache | None = None
) -> Iterator[str]:
    """Yield the faults of an object, a line each: of its contents, whose state is `shards`, or of its folders."""
    folder, file = _places(layout, info)
    unchanged = inodes is not None and inodes.inodes(folder).folder_time == FROZEN_TIME_NS
    if not (unchanged or is_folder(folder)):
        yield "the object's folder is missing"
        return
    unreadable = sorted({shard.unreadable for shard in shards if shard.unreadable})
    found = Manifest(tuple(sorted(chain(*(shard.entries for shard in shards))))) if shards and not unreadable else None
    try:
        encoded, metadata = read_encoded(file)
        is_own = Manifest.digest_of(encoded) == info.digest
        outline = Outline.read(encoded) if is_own else Manifest.decode(encoded).outline
    except (StoreError, OSError) as error:
        yield str(error)
        return
    if not is_own:
        yield "the manifest belongs to another object"
    if tuple(sorted(outline.references(info.path))) != info.references:
        yield "the index has other references than the manifest"
    kind = kind_in_tree(folder, outline)
    if kind is not None and {kind, metadata["kind"]} != {info.kind}:
        yield f"the kind is {kind}, but the index or the manifest has another one"
    yield from (f"cannot be read: {text}" for text in unreadable)
    if inodes is not None and not unchanged:
        changed = changed_folders(folder, outline)
        yield from (f"an entry was added or removed in this folder: {shown(path) or _TOP}" for path in changed)
    if found is not None:
        if found.encoded != encoded:
            yield from Manifest.decode(encoded).differences(found)
        mode_changes = sorted(chain(*(shard.mode_changes for shard in shards)))
        yield from (f"{fault}: {shown(path) or _TOP}" for path, fault in mode_changes)
