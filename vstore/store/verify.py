"""Checking that index, manifests and trees agree, and making the index anew from the trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vstore.errors import BusyError, StoreError
from vstore.fs.atomic import fsync_directory
from vstore.fs.filelock import lock_file
from vstore.fs.tree import scan
from vstore.objects import ObjectInfo, StorePath
from vstore.report import Report, Silent
from vstore.store.generations import GenerationRow, Generations
from vstore.store.index import Index
from vstore.store.layout import Layout
from vstore.store.manifests import object_info, read_manifest
from vstore.store.roots import generation_links, object_at
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
    return len(infos), problems


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


def reindex(root: Path, report: Report | None = None) -> int:
    """Rebuild the index of the store at `root` from its manifests and profiles; returns the number of objects.

    The new index is made aside and moved into place, so a failure leaves the old one. What cannot be
    taken in, such as an object whose manifest is damaged, is warned of and becomes litter.
    Raises BusyError while another process writes to the store.
    """
    report = report or Silent()
    layout = Layout(root)
    if not layout.store.is_dir():
        raise StoreError(f"there is no store at {root}")
    layout.create()
    fresh = layout.tmp / f"index-{os.urandom(6).hex()}"
    with _alone(layout), lock_file(layout.gc_lock):
        with Index(fresh) as index:
            found = {info.path: (info, parts) for info, parts in _on_disk(layout, report)}
            order = list(_lowest_first({path: info for path, (info, _) in found.items()}))
            for path in sorted(found.keys() - {info.path for info in order}):
                report.warn(f"left out {path}: it refers to what is not in the store")
            index.register_all(found[info.path] for info in order)
            _restore_generations(layout, index, report)
        _replace_index(layout, fresh)
    return len(order)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(layout.use_lock, blocking=False))
        except BusyError as error:
            raise BusyError(f"another process has the store open: {layout.root}", hint="wait for its end") from error
        yield


def _replace_index(layout: Layout, fresh: Path) -> None:
    """Put a closed index in place. The old log goes first: SQLite would apply it to the new file."""
    for suffix in ("-wal", "-shm"):
        layout.index_file.with_name(layout.index_file.name + suffix).unlink(missing_ok=True)
    fsync_directory(layout.root)
    fresh.replace(layout.index_file)
    fsync_directory(layout.root)


def _on_disk(layout: Layout, report: Report) -> Iterator[tuple[ObjectInfo, list[bytes]]]:
    for folder in sorted(layout.store.iterdir()):
        try:
            path = StorePath.parse(folder.name)
            manifest, metadata = read_manifest(layout.manifest(path))
            info = object_info(path, manifest, metadata)
            parts = [bytes.fromhex(key) for key in metadata["parts"]]
        except (StoreError, OSError, KeyError, ValueError) as error:
            report.warn(f"left out {folder.name}: {error}")
            continue
        yield info, parts


def _lowest_first(infos: dict[StorePath, ObjectInfo]) -> Iterator[ObjectInfo]:
    """References before referrers, without those whose references are not all there."""
    waiting, known = dict(infos), set[StorePath]()
    while ready := [info for info in waiting.values() if known.issuperset(info.references)]:
        for info in ready:
            known.add(info.path)
            del waiting[info.path]
            yield info


def _restore_generations(layout: Layout, index: Index, report: Report) -> None:
    """What the links tell: profile, number, object and when; the spec and the order of switches are lost."""
    previous: dict[str, int] = {}
    for profile, number, link in sorted(generation_links(layout)):
        path = object_at(layout, link)
        if path is None or not index.is_valid(path):
            report.warn(f"left out generation {number} of profile {profile}: its stack is not in the store")
            continue
        moment = datetime.fromtimestamp(int(link.lstat().st_mtime), UTC)
        Generations(index.database).add(
            GenerationRow(
                profile=profile,
                number=number,
                path=path,
                created_at=moment,
                spec_path=None,
                spec_digest=None,
                replaced=previous.get(profile),
            )
        )
        previous[profile] = number
