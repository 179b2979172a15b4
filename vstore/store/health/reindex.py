"""Making the index anew from the trees, their manifests and the profiles.

What only the index knew is lost: remembered answers, how long builds took, and last uses. Since an unknown use could
be of yesterday, everything counts as used today.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vstore.digest import Digest
from vstore.errors import BusyError, StoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import shown
from vstore.objects import ObjectInfo, StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store.generation_records import read_record, recorded, write_record
from vstore.store.index.generations import GenerationRow, Generations
from vstore.store.index.objects import Index
from vstore.store.kinds import kind_of
from vstore.store.last_used import Uses
from vstore.store.layout import Layout
from vstore.store.manifests import object_info, read_manifest
from vstore.store.roots import generation_links, object_at
from vstore.values import frozen


def reindex(root: Path, reporter: Reporter | None = None) -> int:
    """Rebuild the index of the store at `root` from its manifests and profiles; returns the number of objects.

    The new index is made aside and moved into place, so a failure leaves the old one. What cannot be
    taken in, such as an object whose manifest is damaged, is warned of and becomes litter.
    Raises BusyError while another process writes to the store.
    """
    reporter = reporter or NullReporter()
    layout = Layout(root)
    layout.check()
    if not layout.store.is_dir():
        raise StoreError(f"there is no store at {root}")
    layout.check_owner()
    layout.create()
    fresh = layout.new_index_file()
    with _alone(layout), lock_file(layout.gc_lock):
        with Index(fresh) as index:
            found = {one.info.path: one for one in _on_disk(layout, reporter)}
            order = list(_lowest_first({path: one.info for path, one in found.items()}))
            for path in sorted(found.keys() - {info.path for info in order}):
                reporter.warn(f"left out {path}: it refers to what is not in the store")
            index.register_all((info, found[info.path].parts) for info in order)
            for info in order:
                for recipe in found[info.path].recipes:
                    index.realise(recipe, info.path, seconds=None)
            Uses(index.database).record_all(now=datetime.now(UTC))
            _restore_generations(layout, index, reporter)
        reached(Point.REINDEX_FILLED)
        _replace_index(layout, fresh, reporter)
        reached(Point.REINDEX_REPLACED)
    return len(order)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(layout.use_lock, blocking=False))
        except BusyError as error:
            raise BusyError(f"another process has the store open: {layout.root}", hint="wait for its end") from error
        yield


def _replace_index(layout: Layout, fresh: Path, reporter: Reporter) -> None:
    """Put a closed index in place. The old log goes first: SQLite would apply it to the new file.

    And the old index before its log: without it, it would look sound and lack what was written last. A store
    whose index is missing, as it is for this moment, is refused by all but another `reindex`.
    """
    if fresh.with_name(f"{fresh.name}-wal").exists():  # closing hides it when the disk fails
        raise StoreError(
            f"the new index could not be written: {fresh}", hint="free space, or check the disk; try again"
        )
    with layout.opened(layout.root) as folder:
        for suffix in ("", "-wal", "-shm"):
            _put_aside(folder, layout.index_file.name + suffix, reporter)
            folder.flush()
        reached(Point.REINDEX_LOG_GONE)
        folder.rename(fresh.name, folder, layout.index_file.name)
        folder.flush()


def _put_aside(folder: Folder, name: str, reporter: Reporter) -> None:
    """Remove a file of SQLite's; a folder in its place is somebody's, and gets another name."""
    try:
        is_folder = stat.S_ISDIR(folder.lstat(name).st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        folder.unlink(name)
        return
    other = f"{name}.moved-{os.urandom(4).hex()}"
    folder.rename(name, folder, other)
    reporter.warn(f"{folder.path / name} was a folder, and is {other} now")


@frozen
class _Found:
    info: ObjectInfo
    parts: tuple[bytes, ...]
    recipes: tuple[Digest, ...]


def _on_disk(layout: Layout, reporter: Reporter) -> Iterator[_Found]:
    with layout.opened(layout.store) as store:
        names = store.names()
    for name in names:
        try:
            path = StorePath.parse(name)
            manifest, metadata = read_manifest(layout.manifest(path))
            info = object_info(path, manifest, metadata)
            yield _Found(
                info=replace(info, kind=kind_of(layout.object(path), manifest) or info.kind),
                parts=tuple(bytes.fromhex(key) for key in metadata["parts"]),
                recipes=tuple(Digest.parse(text) for text in metadata.get("recipes", ())),
            )
        except (StoreError, OSError, KeyError, ValueError, TypeError) as error:
            reporter.warn(f"left out {shown(os.fsencode(name))}: {error}")


def _lowest_first(infos: dict[StorePath, ObjectInfo]) -> Iterator[ObjectInfo]:
    """References before referrers, without those whose references are not all there."""
    waiting, known = dict(infos), set[StorePath]()
    while ready := [info for info in waiting.values() if known.issuperset(info.references)]:
        for info in ready:
            known.add(info.path)
            del waiting[info.path]
            yield info


def _restore_generations(layout: Layout, index: Index, reporter: Reporter) -> None:
    """The links tell profile, number and object; the records beside them the rest, as far as they are there."""
    rows, previous = Generations(index.database), dict[str, int]()
    for profile, number, link in sorted(generation_links(layout)):
        path = object_at(layout, link)
        if path is None or not index.is_valid(path):
            reporter.warn(f"left out generation {number} of profile {profile}: its stack is not in the store")
            continue
        known = read_record(layout, profile, number)
        if known is None or known.path != path:
            moment = datetime.fromtimestamp(int(link.lstat().st_mtime), UTC)
            known = GenerationRow(
                profile=profile,
                number=number,
                path=path,
                created_at=moment,
                spec_path=None,
                spec_digest=None,
                replaced=previous.get(profile),
            )
            write_record(layout, known)
        rows.add(known)
        previous[profile] = number
    for profile, number in recorded(layout):
        rows.use_up(profile, number)
