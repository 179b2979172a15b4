"""Rebuilding the index from the trees, their manifests and the profiles.

Facts that only the index holds are lost: cached stacks, how long builds took, and last uses. As an unknown use may be
recent, every object counts as used today. sqlite-utils writes the rows: this is not a hot path, and each table is
written once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlite_utils import Database as Tables
from sqlite_utils.db import Table

from vstore.digest import Digest
from vstore.errors import BusyError, StoreError
from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder, flush_folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import shown
from vstore.graph import bottom_up
from vstore.objects import ObjectInfo, StorePath
from vstore.reporter import NullReporter, Reporter
from vstore.store.creation import check_folders, check_owner, create_folders
from vstore.store.generation_records import read_generation_record, recorded_generations, write_generation_record
from vstore.store.index.connection import Database
from vstore.store.layout import StoreLayout
from vstore.store.manifests import kind_in_tree, object_info, read_manifest
from vstore.store.model import Generation
from vstore.store.roots.links import object_at
from vstore.store.roots.reading import generation_links
from vstore.values import replace


class _ObjectOnDisk(NamedTuple):
    info: ObjectInfo
    wheel_keys: tuple[bytes, ...]
    recipes: tuple[Digest, ...]


def reindex(root: Path, reporter: Reporter | None = None) -> int:
    """Rebuild the index of the store at `root`, and return the number of objects.

    The new index is written aside and moved into place, so that a failure leaves the old one. An object that cannot be
    indexed, such as one with a damaged manifest, is skipped with a warning and becomes an orphan.
    Raises BusyError while another process writes to the store.
    """
    reporter = reporter or NullReporter()
    layout = StoreLayout(root)
    check_folders(layout)
    if not layout.store.is_dir():
        raise StoreError(f"there is no store at {root}", hint="give its folder with --root")
    check_owner(layout)
    create_folders(layout)
    fresh = layout.new_index_file()
    with _alone(layout), lock_file(layout.locks.gc):
        database = Database(fresh)
        try:
            found = {one.info.path: one for one in _objects_on_disk(layout, reporter)}
            objects = list(_references_first(found))
            for path in sorted(found.keys() - {one.info.path for one in objects}):
                reporter.warn(f"left out {path}: it refers to an object that is not in the store")
            generations = list(_generations_on_disk(layout, {one.info.path for one in objects}, reporter))
            with database.transaction() as connection:
                _write_rows(Tables(connection), objects, generations, [*recorded_generations(layout)])
        finally:
            database.close()
        reached(Point.REINDEX_FILLED)
        _replace_index(layout, fresh, reporter)
        reached(Point.REINDEX_REPLACED)
    return len(objects)


@contextmanager
def _alone(layout: StoreLayout) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(layout.locks.use, blocking=False))
        except BusyError as error:
            raise BusyError(
                f"another process has the store open: {layout.root}", hint="wait until it has ended"
            ) from error
        yield


def _replace_index(layout: StoreLayout, fresh: Path, reporter: Reporter) -> None:
    """Put a closed index in place, and remove the old index first, then its log.

    SQLite would apply the old log to the new file; and the old index without its log would look sound and lack the last
    writes. A store without an index, as this one is for a moment, is refused by all commands but `reindex`.
    """
    if fresh.with_name(f"{fresh.name}-wal").exists():  # SQLite hides a failing disk when it closes
        raise StoreError(
            f"the new index could not be written: {fresh}", hint="free space, or check the disk; try again"
        )
    with layout.opened(layout.root) as folder:
        for suffix in ("", "-wal", "-shm"):
            _remove_file(folder, layout.index_file.name + suffix, reporter)
            flush_folder(folder)
        reached(Point.REINDEX_LOG_GONE)
        folder.rename(fresh.name, folder, layout.index_file.name)
        flush_folder(folder)


def _remove_file(folder: Folder, name: str, reporter: Reporter) -> None:
    """Remove a file of SQLite's. A folder in its place is not vstore's, and gets another name."""
    try:
        is_folder = stat.S_ISDIR(folder.lstat(name).st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        folder.unlink(name)
        return
    other = f"{name}.moved-{os.urandom(4).hex()}"
    folder.rename(name, folder, other)
    reporter.warn(f"{folder.path / name} is a folder; renamed to {other}")


def _objects_on_disk(layout: StoreLayout, reporter: Reporter) -> Iterator[_ObjectOnDisk]:
    with layout.opened(layout.store) as store:
        names = store.names()
    for name in names:
        try:
            path = StorePath.parse(name)
            manifest, metadata = read_manifest(layout.manifest(path))
            info = object_info(path, manifest, metadata)
            yield _ObjectOnDisk(
                replace(info, kind=kind_in_tree(layout.object(path), manifest.outline) or info.kind),
                tuple(map(bytes.fromhex, metadata["wheel_keys"])),
                tuple(map(Digest.parse, metadata.get("recipes", ()))),
            )
        except (StoreError, OSError, KeyError, ValueError, TypeError) as error:
            reporter.warn(f"left out {shown(os.fsencode(name))}: {error}")


def _references_first(found: dict[StorePath, _ObjectOnDisk]) -> Iterator[_ObjectOnDisk]:
    """Yield objects after those that they refer to, without objects whose references are not all there."""
    known = set[StorePath]()
    for path in bottom_up({path: one.info.references for path, one in found.items()}):
        if known.issuperset(found[path].info.references):
            known.add(path)
            yield found[path]


def _generations_on_disk(layout: StoreLayout, objects: set[StorePath], reporter: Reporter) -> Iterator[Generation]:
    """Yield the generations that have a link. The records beside the links hold the rest, where they exist."""
    previous: dict[str, int] = {}
    for profile, number, link in sorted(generation_links(layout)):
        path = object_at(layout, link)
        if path is None or path not in objects:
            reporter.warn(f"left out generation {number} of profile {profile}: its stack is not in the store")
            continue
        generation = read_generation_record(layout, profile, number)
        if generation is None or generation.path != path:
            generation = Generation(
                profile=profile,
                number=number,
                path=path,
                created_at=datetime.fromtimestamp(int(link.lstat().st_mtime), UTC),
                spec_path=None,
                spec_digest=None,
                replaced_number=previous.get(profile),
            )
            write_generation_record(layout, generation)
        yield generation
        previous[profile] = number


def _write_rows(
    tables: Tables, objects: list[_ObjectOnDisk], generations: list[Generation], used: list[tuple[str, int]]
) -> None:
    """Write all rows. `used` are profile and number of each generation that has a record, forgotten ones included."""
    ids = {one.info.path: number for number, one in enumerate(objects, 1)}
    now = datetime.now(UTC)
    numbers = [*used, *((one.profile, one.number) for one in generations)]

    def write(table: str, rows: Iterator[dict[str, object]]) -> None:
        found = tables[table]
        assert isinstance(found, Table)
        found.insert_all(rows, ignore=True)

    write("objects", (_object_row(one.info, ids[one.info.path]) for one in objects))
    edges = ((ids[one.info.path], ids[path]) for one in objects for path in one.info.references)
    write("object_references", ({"referrer": referrer, "reference": reference} for referrer, reference in edges))
    inputs = ((ids[one.info.path], path) for one in objects for path in one.info.inputs)
    write("object_inputs", ({"object": number, "input": ids[path]} for number, path in inputs if path in ids))
    recipes = ((one.info.path, recipe) for one in objects for recipe in (one.info.recipe, *one.recipes) if recipe)
    made = now.isoformat(timespec="seconds")
    write("realisations", ({"recipe": one.raw, "object": ids[path], "created_at": made} for path, one in recipes))
    wheels = ((ids[one.info.path], key) for one in objects for key in one.wheel_keys)
    write("object_wheels", ({"wheel_key": key, "object": number} for number, key in wheels))
    today = now.date().isoformat()
    write("last_used", ({"object": number, "used_on": today, "used_by": ""} for number in ids.values()))
    last = {profile: max(number for name, number in numbers if name == profile) for profile, _ in numbers}
    write("profiles", ({"name": profile, "last_number": number} for profile, number in last.items()))
    write("generations", (_generation_row(one, ids[one.path]) for one in generations))


def _object_row(info: ObjectInfo, number: int) -> dict[str, object]:
    return {
        "id": number,
        "path": str(info.path),
        "digest": info.digest.raw,
        "kind": str(info.kind),
        "size_bytes": info.size_bytes,
        "files": info.files,
        "recipe": info.recipe.raw if info.recipe else None,
        "registered_at": info.registered_at.isoformat(timespec="seconds"),
    }


def _generation_row(generation: Generation, number: int) -> dict[str, object]:
    return {
        "profile": generation.profile,
        "number": generation.number,
        "object": number,
        "created_at": generation.created_at.isoformat(timespec="seconds"),
        "spec_path": generation.spec_path,
        "spec_digest": generation.spec_digest.raw if generation.spec_digest else None,
        "replaced_number": generation.replaced_number,
    }
