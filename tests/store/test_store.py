"""Adding objects, finding them, and refusing what may not be in a store."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from scripts.testing.trees import SOURCE, add, info, recipe, write
from tests.mounts import bind_mount, remount_read_only
from vstore.cancel import set_waiting
from vstore.errors import BuildError, StoreError
from vstore.fs.locking.filelock import is_held
from vstore.fs.trees.manifest import Entry, EntryKind
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.scan import scan
from vstore.objects import Kind
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.build_logs import read_log, write_log
from vstore.store.health.verify import verify


def test_an_added_object_is_whole_and_read_only(store: Store) -> None:
    low = add(store, "low", {"a": b"1", "bin/tool": b"#!/bin/sh\n"})
    high = add(store, "high", {"b": b"2"}, [low], recipe=recipe("high"), parts=[b"wheel"])
    found = store.objects.info(high)
    assert found is not None and found.references == (low,) and found.files == 2 and found.size_bytes == 1
    folder = store.layout.object(low)
    for place in [folder, *folder.rglob("*")]:
        status = place.lstat()
        content = blake3(place.read_bytes()).digest() if place.is_file() else b""
        expected = Entry(b"", EntryKind.FILE, digest=content).mtime
        assert not status.st_mode & 0o222 and status.st_mtime == expected, place
    manifest, metadata = store.manifest(high)
    assert manifest == scan(store.layout.object(high)) and manifest.digest == found.digest
    assert metadata["references"] == [str(low)] and metadata["recipe"] == str(recipe("high"))
    assert (store.layout.object(high) / "to-low").read_bytes() == b"1"
    assert store.realisation(recipe("high")) == high and store.objects_with_wheel(b"wheel") == [high]
    assert list(store.layout.tmp.iterdir()) == [store.layout.trash]


def _snapshot(root: Path) -> dict[Path, tuple[int, int, int]]:
    places = (place for place in root.rglob("*") if "locks" not in place.parts and "temp" not in place.parts)
    found = {place: place.lstat() for place in places}
    return {
        place: (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        for place, status in found.items()
        if place.name not in ("tmp", "index.sqlite-shm")
    }


def test_adding_what_is_there_writes_nothing(store: Store) -> None:
    first = add(store, "low", recipe=recipe("low"), parts=[b"wheel"])
    before = _snapshot(store.layout.root)
    assert add(store, "low", recipe=recipe("low"), parts=[b"wheel"]) == first
    assert add(store, "low") == first
    assert _snapshot(store.layout.root) == before


def test_adding_what_is_there_under_another_recipe_records_it(store: Store) -> None:
    first = add(store, "low", recipe=recipe("one"))
    assert add(store, "low", recipe=recipe("two"), parts=[b"wheel"]) == first
    assert store.realisation(recipe("one")) == store.realisation(recipe("two")) == first
    assert store.objects_with_wheel(b"wheel") == [first]


def test_adding_over_litter(store: Store, tmp_path: Path) -> None:
    with Store.open(tmp_path / "other") as other:
        path = add(other, "low")
    write(store.layout.object(path), {"a": b"half"}).chmod(0o555)
    store.layout.manifest(path).write_bytes(b"torn")
    assert add(store, "low") == path
    assert (store.layout.object(path) / "a").read_bytes() == b"low"
    assert verify(store, contents=True, reporter=NullReporter()) == (1, [])


def test_adding_again_what_somebody_deleted(store: Store) -> None:
    path = add(store, "low")
    remove_tree(store.layout.object(path))
    assert add(store, "low") == path
    assert verify(store, contents=True, reporter=NullReporter()) == (1, [])


def test_a_reference_to_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="not in the store"):
        add(store, "high", references=[info("gone").path])
    assert store.objects.all() == [] and list(store.layout.store.iterdir()) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc", "../not-an-object/a", "a/../../x"])
def test_a_link_out_of_the_store_is_refused(store: Store, target: str) -> None:
    with store.staging("evil") as staged:
        (staged / "link").symlink_to(target)
        with pytest.raises(StoreError, match="refused link"):
            store.add(staged, name="evil", kind=Kind.FRAMEWORK)
    assert list(store.layout.store.iterdir()) == []


def test_staging_is_locked_and_goes(store: Store) -> None:
    with store.staging("work") as staged:
        lock = staged.with_name(staged.name + ".lock")
        assert staged.is_dir() and is_held(lock)
        write(staged, {"d/a": b"1"})
        (staged / "d").chmod(0o555)
    assert not staged.exists() and not lock.exists()


def test_a_failed_build_is_kept_when_asked(store: Store) -> None:
    def fail() -> None:
        with store.staging("work", keep_failed=True) as staged:
            write(staged, {"a": b"1"})
            raise BuildError("no")

    with pytest.raises(BuildError) as caught:
        fail()
    (detail,) = caught.value.details
    assert Path(detail.removeprefix("kept: "), "a").read_bytes() == b"1"
    assert list(store.layout.tmp.iterdir()) == [store.layout.trash]


def test_the_closure(store: Store) -> None:
    low = add(store, "low")
    middle = add(store, "middle", references=[low])
    top = add(store, "top", references=[middle])
    add(store, "beside", references=[low])
    assert store.objects.closure([top]) == {low, middle, top}
    assert [one.path for one in store.objects.bottom_up([top])] == [low, middle, top]
    with pytest.raises(StoreError, match="not in the store"):
        store.objects.closure([info("gone").path])


def test_logs(store: Store) -> None:
    assert read_log(store.layout, recipe("r")) is None
    write_log(store.layout, recipe("r"), ["one", "zwölf"])
    assert read_log(store.layout, recipe("r")) == "one\nzwölf"


# opening


def test_a_closed_store_is_not_a_damaged_one(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        list(store.objects.all())


def test_nothing_to_read_at_a_root(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        Store.open(tmp_path / "root", read_only=True)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_lost_index_is_not_taken_for_an_empty_one(tmp_path: Path, read_only: bool) -> None:
    with Store.open(tmp_path / "root") as store:
        add(store, "low")
    (tmp_path / "root" / "index.sqlite").unlink()
    with pytest.raises(StoreError, match="index is missing") as caught:
        Store.open(tmp_path / "root", read_only=read_only)
    assert caught.value.hint == "run `vstore reindex`"


@pytest.fixture
def read_only_root(as_root: None, tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "root"
    with Store.open(root) as store:
        add(store, "low", recipe=recipe("low"))
    with bind_mount(root):
        remount_read_only(root)
        yield root


def test_a_read_only_root_answers_questions(read_only_root: Path) -> None:
    with Store.open(read_only_root, read_only=True) as store:
        (path,) = store.objects.find("low")
        assert store.is_valid(path) and store.realisations.object_of(recipe("low")) == path
        assert verify(store, contents=True, reporter=NullReporter()) == (1, [])
    with pytest.raises(OSError, match="Read-only"):
        Store.open(read_only_root)


def test_the_files_of_a_store_are_for_others_to_read(store: Store) -> None:
    before = os.umask(0o077)
    try:
        path = add(store, "low", {"a": b"1"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((store.layout.object(path) / "a").stat().st_mode) == 0o444
    assert stat.S_IMODE(store.layout.object(path).stat().st_mode) == 0o555


def test_opening_and_asking_needs_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vstore.store import Store\n"
        "with Store.open(Path(sys.argv[1])) as s: s.cached_stack(b'x')\n"
        "print(sorted({'sqlite_utils', 'rich', 'click', 'packaging', 'backports.zstd', 'shutil'} & sys.modules.keys()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", code, str(tmp_path / "root")]
    assert subprocess.run(command, capture_output=True, text=True, env=environment).stdout == "[]\n"


def test_the_row_is_written_last(store: Store) -> None:
    """While another process holds the index for writing, everything but the row is in place."""
    with sqlite3.connect(store.layout.index_file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        set_waiting(lambda text: None, lambda: 0.05)
        try:
            with pytest.raises(StoreError, match="in use by another process"):
                add(store, "low")
        finally:
            set_waiting(lambda text: None, lambda: None)
        other.execute("ROLLBACK")
    other.close()
    (folder,) = store.layout.store.iterdir()
    assert (store.layout.manifests / folder.name).exists() and store.objects.all() == []
    assert str(add(store, "low")) == folder.name


def test_on_ext4_new_trees_begin_far_from_what_was_deleted(store: Store) -> None:
    kind = subprocess.run(["stat", "-f", "-c", "%T", store.layout.root], capture_output=True, text=True, check=True)
    if kind.stdout.strip() != "ext2/ext3":
        pytest.skip(f"the test runs on {kind.stdout.strip()}, not on ext4")
    shown = subprocess.check_output(["lsattr", "-d", store.layout.tmp, store.layout.uv_cache, store.layout.store])
    assert [b"T" in line.split()[0] for line in shown.splitlines()] == [True, True, False]
