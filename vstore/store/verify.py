"""Checking that index, manifests and trees agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vstore.errors import StoreError
from vstore.fs.tree import scan
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
