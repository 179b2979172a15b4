"""Checking that index, manifests and trees agree, and making the index anew from the trees."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vstore.errors import StoreError
from vstore.fs.filelock import lock_file
from vstore.fs.tree import Manifest, scan
from vstore.objects import ObjectInfo, StorePath
from vstore.report import Report
from vstore.store.index import GenerationRow, Index
from vstore.store.layout import Layout
from vstore.store.manifests import object_info, read_manifest
from vstore.store.roots import generation_links
from vstore.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with one object, said in one line."""

    path: StorePath
    problem: str


def verify(store: Store, *, contents: bool, report: Report) -> tuple[int, list[Problem]]:
    """Check every object; with `contents` hash every file. Returns how many were checked, and what is wrong."""
    infos = store.index.objects()
    problems = []
    for number, info in enumerate(infos):
        if contents:
            report.stage("verify", "hashing objects", number, len(infos))
        problems += [Problem(path=info.path, problem=text) for text in _problems(store, info, contents)]
    return len(infos), problems


def _problems(store: Store, info: ObjectInfo, contents: bool) -> Iterator[str]:
    folder = store.layout.object(info.path)
    if not folder.is_dir():
        yield "the object's folder is missing"
        return
    try:
        manifest, _ = store.manifest(info.path)
    except StoreError as error:
        yield error.message
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
    yield from _differences(manifest, found)


def _differences(expected: Manifest, found: Manifest) -> Iterator[str]:
    if found.digest == expected.digest:
        return
    ours = {entry.path: entry for entry in expected.entries}
    theirs = {entry.path: entry for entry in found.entries}
    for path in sorted(ours.keys() | theirs.keys()):
        if path not in theirs:
            yield f"missing: {os.fsdecode(path)}"
        elif path not in ours:
            yield f"added: {os.fsdecode(path)}"
        elif ours[path] != theirs[path]:
            yield f"changed: {os.fsdecode(path)}"


def reindex(root: Path) -> int:
    """Rebuild the index of the store at `root` from its manifests and profiles; returns the number of objects.

    The new index is made aside and moved into place, so a failure leaves the old one.
    """
    layout = Layout(root)
    if not layout.store.is_dir():
        raise StoreError(f"there is no store at {root}")
    layout.create()
    fresh = layout.tmp / f"index-{secrets.token_hex(6)}"
    with lock_file(layout.gc_lock):
        with Index(fresh) as index:
            found = {info.path: (info, parts) for info, parts in _on_disk(layout)}
            infos = {path: info for path, (info, _) in found.items()}
            for info in _lowest_first(infos):
                index.register(info, parts=found[info.path][1])
            _restore_generations(layout, index)
            index.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        for suffix in ("-wal", "-shm"):
            layout.index_file.with_name(layout.index_file.name + suffix).unlink(missing_ok=True)
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
        fresh.replace(layout.index_file)
    return len(infos)


def _on_disk(layout: Layout) -> Iterator[tuple[ObjectInfo, list[bytes]]]:
    for file in sorted(layout.manifests.iterdir()):
        try:
            path = StorePath.parse(file.name)
        except ValueError:
            continue
        if layout.object(path).is_dir():
            manifest, metadata = read_manifest(file)
            yield object_info(path, manifest, metadata), [bytes.fromhex(key) for key in metadata["parts"]]


def _lowest_first(infos: dict[StorePath, ObjectInfo]) -> Iterator[ObjectInfo]:
    """References before referrers; an object whose references are not all there is litter."""
    waiting, known = dict(infos), set[StorePath]()
    while ready := [info for info in waiting.values() if known.issuperset(info.references)]:
        for info in ready:
            known.add(info.path)
            del waiting[info.path]
            yield info


def _restore_generations(layout: Layout, index: Index) -> None:
    """What the links tell: profile, number, object and when; the spec and the order of switches are lost."""
    previous: dict[str, int] = {}
    for profile, number, link in sorted(generation_links(layout)):
        path = StorePath.parse(Path(os.readlink(link)).name)
        if not index.is_valid(path):
            continue
        moment = datetime.fromtimestamp(int(link.lstat().st_mtime), UTC)
        index.add_generation(
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
