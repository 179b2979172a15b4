"""Verifying a store, and making its index anew."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.testing.trees import WHEN, add, recipe
from vstore.errors import BusyError, StoreError
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.usage import InodeCache, used_bytes
from vstore.objects import StorePath
from vstore.profile import append
from vstore.reporter import NullReporter
from vstore.store import Generation, Store
from vstore.store.health.reindex import reindex
from vstore.store.health.verify import repair_in_place, verify

needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux's /proc")


class Heard(NullReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, hint: str | None = None) -> None:
        self.warnings.append(text)


def problems(store: Store, *, contents: bool = False) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in verify(store, contents=contents, reporter=NullReporter())[1]:
        found.setdefault(problem.path.name, []).append(problem.problem)
    return found


@pytest.fixture
def pair(store: Store) -> tuple[StorePath, StorePath]:
    low = add(store, "low", {"a": b"1", "d/b": b"2", "d/c": b"3"})
    return low, add(store, "high", {"b": b"2"}, [low], recipe=recipe("high"), parts=[b"wheel"])


def test_a_sound_store(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    assert verify(store, contents=True, reporter=NullReporter()) == (2, [])


def test_changed_missing_and_added_files_are_named(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    folder = store.layout.object(pair[0])
    for place in (folder, folder / "d", folder / "a"):
        place.chmod(0o755)
    (folder / "d" / "b").unlink()
    (folder / "d" / "new").write_bytes(b"")
    assert problems(store) == {"low": ["an entry was added or removed in this folder: d"]}
    found = problems(store, contents=True)["low"]
    assert found[:3] == ["changed: a", "missing: d/b", "added: d/new"]
    assert "its mode is 0755: d" in found and "its time was changed: d" in found


def test_what_is_writable_again_or_touched_is_named(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    folder = store.layout.object(pair[0])
    (folder / "a").chmod(0o644)
    os.utime(folder / "d" / "c", (5, 5))
    folder.chmod(0o755)
    assert problems(store, contents=True) == {
        "low": ["its mode is 0755: the object's folder", "its mode is 0644: a", "its time was changed: d/c"]
    }


@pytest.mark.parametrize(
    ("name", "mode"), [("a", 0o445), ("a", 0o454), ("a", 0o644), ("d", 0o544), ("d", 0o557), (".", 0o1555)]
)
def test_any_other_mode_is_named(store: Store, pair: tuple[StorePath, StorePath], name: str, mode: int) -> None:
    (store.layout.object(pair[0]) / name).chmod(mode)
    shown = "the object's folder" if name == "." else name
    assert problems(store, contents=True) == {"low": [f"its mode is {mode:04o}: {shown}"]}


def make_folder(link: Path) -> None:
    link.mkdir()


PROFILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another number": (
        lambda link: link.symlink_to("p-7-link"),
        "leads to p-7-link, which is not one of its generations",
    ),
    "elsewhere": (lambda link: link.symlink_to("../store"), "leads to ../store, which is not one of its generations"),
    "a file": (lambda link: link.write_text(""), "is not a link: move the file away"),
    "a folder": (make_folder, "is not a link: move the file away"),
    "nothing": (lambda link: None, "has lost its current generation"),
}


@pytest.mark.parametrize("now", PROFILES)
def test_a_profile_that_leads_to_no_generation_is_named(
    store: Store, pair: tuple[StorePath, StorePath], now: str
) -> None:
    append(store, "p", pair[0], spec_path=None, spec_digest=None, now=WHEN)
    append(store, "p", pair[1], spec_path=None, spec_digest=None, now=WHEN)
    assert problems(store) == {}
    (store.layout.profiles / "p-1-link").unlink()
    (store.layout.profiles / "p").unlink()
    PROFILES[now][0](store.layout.profiles / "p")
    assert problems(store) == {
        "low": ["p-1-link does not lead to it, as generation 1 should"],
        "high": [f"profile p {PROFILES[now][1]}: `vstore switch p N` sets it"],
    }


def many(files: int) -> dict[str, bytes]:
    return {f"d{number % 9}/f{number}": b"" for number in range(files)}


MANY = 9000  # files that are worth a process more


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"]])
def test_processes_find_what_one_finds(store: Store, names: list[str]) -> None:
    """One object is divided among them; of more, each takes some."""
    paths = [add(store, name, many(MANY // len(names)) | {"a": name.encode()}) for name in names]
    for path, inside in zip(paths, ("d1/f1", "a"), strict=False):
        folder = store.layout.object(path)
        for place in (folder, folder / "d2", folder / inside):
            place.chmod(0o755)
        (folder / inside).write_bytes(b"!")
        (folder / "d2" / "f2").unlink()
        (folder / "d2" / "link").symlink_to("../a")
    alone = verify(store, contents=True, reporter=NullReporter())
    assert verify(store, contents=True, reporter=NullReporter(), jobs=3) == alone
    assert alone[0] == len(names) and {problem.path for problem in alone[1]} == set(paths[:2])
    assert {problem.problem for problem in alone[1] if problem.path == paths[0]} == {
        "changed: d1/f1",
        "missing: d2/f2",
        "added: d2/link",
        "its mode is 0755: the object's folder",
        "its mode is 0755: d1/f1",
        "its mode is 0755: d2",
        "its time was changed: d1/f1",
        "its time was changed: d2",
    }


def test_what_processes_cannot_read_is_named_once(store: Store) -> None:
    folder = store.layout.object(add(store, "one", many(MANY)))
    (folder / "d3").chmod(0o755)
    os.mkfifo(folder / "d3" / "pipe")
    (folder / "d3").chmod(0o555)
    alone = problems(store, contents=True)
    assert alone == {"one": ["cannot be read: refused d3/pipe: neither a file, a directory nor a link"]}
    assert (
        verify(store, contents=True, reporter=NullReporter(), jobs=3)[1]
        == verify(store, contents=True, reporter=NullReporter())[1]
    )


Busy = tuple[subprocess.Popen[str], int]


def runs(process: int) -> bool:
    with suppress(OSError):
        return b"vstore.workers" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


@pytest.fixture
def busy(store: Store, request: pytest.FixtureRequest) -> Iterator[Busy]:
    """A command that verifies with another process, each with a file that takes a while; and who that is."""
    for name in ("one", "two"):
        place = store.layout.object(add(store, name, many(MANY // 2) | {"large": name.encode()})) / "large"
        place.chmod(0o644)
        os.truncate(place, request.param)
    root = store.layout.root
    store.close()
    command = [sys.executable, "-m", "vstore", "--root", str(root), "--no-progress", "verify", "--contents", "-j", "2"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        other = 0
        while child.poll() is None and not runs(other):
            time.sleep(0.01)
            other = int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text() or 0)
        time.sleep(0.5)  # until they hash
        yield child, other
    finally:
        child.kill()
        child.communicate()
        if runs(other):
            os.kill(other, signal.SIGKILL)


@needs_proc
@pytest.mark.parametrize("busy", [1 << 31], indirect=True)
@pytest.mark.slow
def test_what_a_process_had_in_hand_that_is_killed_is_checked_all_the_same(busy: Busy) -> None:
    child, other = busy
    os.kill(other, signal.SIGKILL)
    out = child.communicate(timeout=120)[0]
    assert "-one: changed: large" in out and "-two: changed: large" in out
    assert child.returncode == StoreError.exit_code


@needs_proc
@pytest.mark.parametrize("busy", [1 << 40], indirect=True)
def test_an_interruption_ends_the_processes_that_check(busy: Busy) -> None:
    child, other = busy
    assert runs(other)
    child.send_signal(signal.SIGINT)
    assert "interrupted" in child.communicate(timeout=60)[1]
    assert child.returncode == 130 and not runs(other)


def test_a_lost_folder_and_a_damaged_manifest(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    low, high = pair
    remove_tree(store.layout.object(low))
    store.layout.manifest(high).unlink()
    found = problems(store)
    assert found["low"] == ["the object's folder is missing"] and "manifest is missing" in found["high"][0]
    data = b"\x28\xb5\x2f\xfd torn"
    store.layout.manifest(high).write_bytes(data)
    assert "manifest is damaged" in problems(store)["high"][0]


def test_folders_that_gained_or_lost_an_entry_are_named(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    folder = store.layout.object(pair[0])
    assert problems(store) == {}
    for place in (folder, folder / "d"):
        place.chmod(0o755)
    (folder / "d" / "b").unlink()
    assert problems(store)["low"] == ["an entry was added or removed in this folder: d"]
    (folder / "more").write_bytes(b"")
    assert len(problems(store)["low"]) == 2


def test_each_object_is_read_once_for_several_measures(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    inodes, root = InodeCache(), store.layout.root
    assert verify(store, contents=False, inodes=inodes, reporter=NullReporter()) == (2, [])
    before = used_bytes(root)
    assert inodes.used_bytes(root) == before
    for path in pair:
        store.layout.manifest(path).chmod(0o644)
        store.layout.manifest(path).write_bytes(b"x" * 100_000)
    assert inodes.used_bytes(root) == before < used_bytes(root)


def test_anothers_manifest_is_not_accepted(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    low, high = pair
    os.replace(store.layout.manifest(low), store.layout.manifest(high))
    assert "the manifest belongs to another object" in problems(store)["high"]


def test_references_that_the_index_lost(store: Store, pair: tuple[StorePath, StorePath]) -> None:
    with sqlite3.connect(store.layout.index_file) as connection:
        connection.execute("DELETE FROM object_references")
    connection.close()
    assert problems(store) == {"high": ["the index has other references than the manifest"]}
    assert repair_in_place(store, pair[1])
    assert problems(store) == {}


# reindex


def add_generation(store: Store, number: int, path: StorePath, replaced: int | None) -> Generation:
    link = store.layout.profiles / f"p-{number}-link"
    link.symlink_to(f"../store/{path}")
    os.utime(link, (WHEN.timestamp(), WHEN.timestamp()), follow_symlinks=False)
    row = Generation(
        profile="p",
        number=number,
        path=path,
        created_at=WHEN,
        spec_path=None,
        spec_digest=None,
        replaced_number=replaced,
    )
    store.generations.add(row)
    return row


def test_a_deleted_index_is_made_anew_with_the_same_rows(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        low = add(store, "low")
        high = add(store, "high", {"b": b"2"}, [low], recipe=recipe("high"), parts=[b"wheel"])
        rows = [add_generation(store, 2, high, None), add_generation(store, 7, low, 2)]
        (store.layout.profiles / "p").symlink_to("p-7-link")
        objects = store.objects.all()
    for file in root.glob("index.sqlite*"):
        file.unlink()
    heard = Heard()
    assert reindex(root, heard) == 2 and heard.warnings == []
    with Store.open(root) as store:
        assert store.objects.all() == objects
        known = [replace(row, used_on=None, current=False) for row in store.generations.of("p")]
        assert known == rows and store.generations.last_number("p") == 7
        assert store.realisation(recipe("high")) == high and store.objects_with_wheel(b"wheel") == [high]
        assert verify(store, contents=True, reporter=NullReporter()) == (2, [])
        assert [place.name for place in store.layout.tmp.iterdir()] == ["trash"]


def test_a_damaged_index_is_replaced(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        path = add(store, "low")
    (root / "index.sqlite").write_bytes(b"rubbish" * 999)
    with pytest.raises(StoreError, match="damaged"):
        Store.open(root)
    assert reindex(root) == 1
    with Store.open(root) as store:
        assert store.is_valid(path)


def test_the_log_of_the_old_index_is_not_applied_to_the_new_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        kept, gone = add(store, "kept"), add(store, "gone")
        log = (root / "index.sqlite-wal").read_bytes()
        remove_tree(store.layout.object(gone))
    (root / "index.sqlite-wal").write_bytes(log)
    assert reindex(root) == 1
    with Store.open(root) as store:
        assert [found.path for found in store.objects.all()] == [kept]


def test_what_cannot_be_taken_in_is_named_and_hinders_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        low, other = add(store, "low"), add(store, "other")
        high = add(store, "high", references=[low])
        add_generation(store, 1, high, None)
        store.layout.manifest(low).chmod(0o644)
        store.layout.manifest(low).write_bytes(b"torn")
        (store.layout.store / "litter").mkdir()
    heard = Heard()
    assert reindex(root, heard) == 1
    assert len(heard.warnings) == 4
    for text in (f"left out {low}: the manifest", f"left out {high}: it refers", "left out litter", "generation 1 of"):
        assert any(text in warning for warning in heard.warnings), text
    with Store.open(root, read_only=True) as store:
        assert [found.path for found in store.objects.all()] == [other]


def test_an_index_in_use_is_not_replaced(store: Store) -> None:
    path = add(store, "low")
    with pytest.raises(BusyError, match="another process has the store open"):
        reindex(store.layout.root)
    assert store.is_valid(path)


def test_there_is_no_store_to_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store at"):
        reindex(tmp_path / "root")
    assert not (tmp_path / "root").exists()
