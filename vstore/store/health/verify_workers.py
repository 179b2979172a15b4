"""Whether an object is as it was registered; of a large store, or a large object, in several processes.

A core is kept busy by the interpreter alone when it reads many small files, and threads only get in each other's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain

from vstore.errors import StoreError
from vstore.fs.trees.inspect import TreeState, folders_changed, is_folder, look
from vstore.fs.trees.manifest import Manifest, shown
from vstore.fs.trees.scan import Shard
from vstore.objects import ObjectInfo, StorePath
from vstore.store.kinds import kind_of
from vstore.store.layout import Layout
from vstore.store.manifests import read_manifest
from vstore.workers import map_unordered

_TOP = "the object's folder"
_FILES_EACH = 4000  # a process takes as long to start as to hash so many files
_Call = Callable[[], list[str] | TreeState]


@contextmanager
def checked(
    layout: Layout, infos: Sequence[ObjectInfo], *, contents: bool, jobs: int
) -> Iterator[Iterator[tuple[ObjectInfo, list[str]]]]:
    """What is wrong with each, as it is found; with `contents` by up to `jobs` processes, if that is worth it.

    Leaving the block ends them.
    """
    total = sum(info.files for info in infos)
    processes = max(min(jobs, total // _FILES_EACH), 1) if contents else 1
    calls: list[tuple[ObjectInfo, int, _Call]] = []
    for info in sorted(infos, key=lambda info: -info.files):  # or a large one would be waited for at the end
        shares = info.files * processes // max(total, 1)
        if shares < 2:
            calls.append((info, 1, partial(_faults, layout, info, contents=contents)))
        else:
            folder = layout.object(info.path)
            calls += [(info, shares, partial(look, folder, Shard(number, shares))) for number in range(shares)]
    with map_unordered([call for _, _, call in calls], processes) as results:
        yield _whole(layout, calls, results)


def _whole(
    layout: Layout, calls: Sequence[tuple[ObjectInfo, int, _Call]], results: Iterator[tuple[int, list[str] | TreeState]]
) -> Iterator[tuple[ObjectInfo, list[str]]]:
    """The objects as all their shares have come."""
    came: dict[StorePath, list[TreeState]] = {}
    for number, result in results:
        info, shares, _ = calls[number]
        if isinstance(result, TreeState):
            came.setdefault(info.path, []).append(result)
            if len(came[info.path]) < shares:
                continue
            result = list(_wrong(layout, info, came.pop(info.path)))
        yield info, result


def _faults(layout: Layout, info: ObjectInfo, *, contents: bool) -> list[str]:
    return list(_wrong(layout, info, [look(layout.object(info.path))] if contents else []))


def _wrong(layout: Layout, info: ObjectInfo, shares: Sequence[TreeState]) -> Iterator[str]:
    """What is wrong with an object, in lines; its content only if it was looked at."""
    if not is_folder(layout.object(info.path)):
        yield "the object's folder is missing"
        return
    unreadable = sorted({share.unreadable for share in shares if share.unreadable})
    found = Manifest(tuple(sorted(chain(*(share.entries for share in shares))))) if shares and not unreadable else None
    try:
        manifest, metadata = read_manifest(layout.manifest(info.path), likely=found)
    except (StoreError, OSError) as error:
        yield str(error)
        return
    if manifest.digest != info.digest or StorePath.make(manifest.digest, info.path.name) != info.path:
        yield "the manifest is not the one of this object"
    if tuple(sorted(manifest.references(info.path))) != info.references:
        yield "the index has other references than the manifest"
    kind = kind_of(layout.object(info.path), manifest)
    if kind is not None and {kind, metadata["kind"]} != {info.kind}:
        yield f"the index or the manifest calls it something else than {kind}"
    yield from (f"cannot be read: {text}" for text in unreadable)
    if not shares:
        changed = folders_changed(layout.object(info.path), manifest.entries)
        yield from (f"an entry was added or removed in this folder: {shown(path) or _TOP}" for path in changed)
    if found is not None:
        yield from manifest.differences(found)
        mode_changes = sorted(chain(*(share.mode_changes for share in shares)))
        yield from (f"{fault}: {shown(path) or _TOP}" for path, fault in mode_changes)
