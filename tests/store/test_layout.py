"""The store's own folders: a link or a file in place of one is refused, wherever it is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import vstore
from scripts.testing.trees import add
from vstore.errors import StoreError, UsageError
from vstore.gc import collect_garbage, plan_collection
from vstore.reporter import NullReporter
from vstore.store import (
    RootNote,
    Store,
    StoreLayout,
    add_root,
    keep_emergency_space,
    list_roots,
    own_uv_cache,
    read_roots,
)
from vstore.store.health.optimise import optimise
from vstore.store.health.reindex import reindex

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows makes no link without a right to it")
FOLDERS = (
    "store", "manifests", "profiles", "gcroots", "gcroots/auto", "gcroots/temp", "logs", "cache", "cache/uv", "tmp",
    "tmp/trash", "locks", "failed", "cache/remote", "cache/archives", "channels", "keys",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "root") as store:
        add(store, "one")
        for name in FOLDERS:
            (store.layout.root / name).mkdir(exist_ok=True)
    (tmp_path / "decoy").mkdir()
    (tmp_path / "decoy" / "file").write_text("not the store's")
    return tmp_path / "root"


def put_aside(folder: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name}-aside"))


@pytest.mark.parametrize("kind", ["link", "dangling link", "file", "fifo"])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_store_with_another_thing_in_place_of_a_folder_is_refused(root: Path, name: str, kind: str) -> None:
    place = root / name
    put_aside(place)
    match kind:
        case "link":
            place.symlink_to(root.parent / "decoy")
        case "dangling link":
            place.symlink_to("nowhere")
        case "file":
            place.write_text("")
        case _:
            os.mkfifo(place)
    said = f"a link, which is not followed: {place} -> " if "link" in kind else f"not a folder, but .*: {place}"
    for read_only in (False, True):
        with pytest.raises(StoreError, match=said) as caught:
            Store.open(root, read_only=read_only)
        assert "\n" not in caught.value.message and caught.value.hint
    with pytest.raises(StoreError, match=said):
        reindex(root)
    assert os.listdir(root.parent / "decoy") == ["file"]


@pytest.mark.parametrize("name", ["store", "manifests", "profiles", "gcroots/auto", "gcroots/temp", "tmp", "tmp/trash"])
def test_a_folder_that_becomes_a_link_under_an_open_store_is_not_followed(root: Path, name: str) -> None:
    """As a member of a shared store could make it, between two system calls of another's command."""
    decoy = root.parent / "decoy"
    with Store.open(root) as store:
        put_aside(root / name)
        (root / name).symlink_to(decoy)
        (decoy / "bbb").mkdir()
        for work in (
            lambda: collect_garbage(store, reporter=NullReporter()),
            lambda: plan_collection(store),
            lambda: list_roots(store.layout),
            lambda: add(store, "two"),
            lambda: optimise(store, reporter=NullReporter()),
        ):
            with suppress(StoreError):
                work()
        assert sorted(os.listdir(decoy)) == ["bbb", "file"]


def test_the_command_says_it_in_one_line_with_a_hint(root: Path) -> None:
    put_aside(root / "tmp" / "trash")
    (root / "tmp" / "trash").symlink_to(root.parent / "decoy")
    for command in (["gc"], ["list"], ["verify"], ["reindex"], ["optimise"], ["gc", "--dry-run"]):
        ended = vstore(root, *command)
        assert ended.code == 6, ended.error
        first, second = ended.error.strip().splitlines()
        assert f"not followed: {root}/tmp/trash -> {root.parent}/decoy" in first
        assert "hint: check who owns it" in second
    assert os.listdir(root.parent / "decoy") == ["file"]


def test_the_root_itself_may_be_a_link_and_a_missing_folder_is_made(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to("root")
    (root / "tmp" / "trash").rmdir()
    with Store.open(link) as store:
        assert len(collect_garbage(store, reporter=NullReporter()).victims) == 1
        add(store, "two")


def test_the_reserve_is_no_way_out(root: Path) -> None:
    (root / "reserve").unlink(missing_ok=True)
    (root / "reserve").symlink_to(root.parent / "decoy" / "new")
    with Store.open(root) as store:
        keep_emergency_space(store.layout)
    assert os.listdir(root.parent / "decoy") == ["file"]


@pytest.mark.parametrize("name", ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"])
@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_an_index_of_somebody_else_is_not_opened(root: Path, name: str, kind: str) -> None:
    other = root.parent / "decoy" / "file"
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(other) if kind == "link" else os.link(other, root / name)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=f"the index is a .*link.*, which vstore does not open: {root / name}"):
            Store.open(root, read_only=read_only)
    assert reindex(root) == 1, "it puts a new one in place, and does not look at the old one"
    assert other.read_text() == "not the store's"
    Store.open(root).close()


@pytest.mark.root
def test_each_user_has_a_cache_for_uv_of_his_own(root: Path) -> None:
    layout = StoreLayout(root)
    first = own_uv_cache(layout)
    assert first == root / "cache" / "uv" and first.stat().st_mode & 0o777 == 0o700
    first.chmod(0o775)
    assert own_uv_cache(layout) == first and first.stat().st_mode & 0o777 == 0o700
    os.chown(first, 12345, -1)
    own = own_uv_cache(layout)
    assert own == root / "cache" / "uv-0" and own.stat().st_mode & 0o777 == 0o700
    own.rmdir()
    own.symlink_to(root.parent / "decoy")
    with pytest.raises(StoreError, match="not followed"):
        own_uv_cache(layout)


@pytest.mark.root
def test_a_link_elsewhere_is_removed_only_by_who_made_all_of_the_root(root: Path) -> None:
    """A member of a shared store could else end another's root, and have his link removed by root's collection."""
    ended = RootNote(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with Store.open(root) as store:
        (info,) = store.objects.all()
        for name, foreign in (("own", ""), ("by-pin", "pin"), ("by-entry", "entry")):
            link = root.parent / "decoy" / name
            link.symlink_to(store.layout.object(info.path))
            add_root(store.layout, link, info.path, ended)
            entry = next(
                one for one in store.layout.indirect_roots.iterdir() if one.is_symlink() and one.readlink() == link
            )
            if foreign:
                os.lchown(entry if foreign == "entry" else entry.with_name(f".{entry.name}.json"), 12345, -1)
        list(read_roots(store.layout, prune=True))
        assert not any(store.layout.indirect_roots.iterdir()), "an ended root keeps nothing"
    assert sorted(os.listdir(root.parent / "decoy")) == ["by-entry", "by-pin", "file"]


@pytest.mark.parametrize("command", ["list", "gc", "reindex"])
def test_folders_of_these_names_alone_are_no_store(tmp_path: Path, command: str) -> None:
    """Somebody's project may have a `store` and `locks`; nothing in it is an object."""
    for name in ("store/sub", "locks", "tmp", "manifests"):
        (tmp_path / "root" / name).mkdir(parents=True)
    for name in ("store/mine", "store/sub/mine", "tmp/mine", "main.py"):
        (tmp_path / "root" / name).write_text("m")
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "vstore", "--root", tmp_path / "root", command], capture_output=True, text=True
    )
    assert done.returncode in (2, 6) and "Traceback" not in done.stderr, done
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cache_may_be_there_first_if_it_is_one(tmp_path: Path) -> None:
    for name, tag in (("one", True), ("other", False)):
        cache = tmp_path / name / "cache" / "uv"
        cache.mkdir(parents=True)
        (cache / "mine").write_text("m")
        if tag:
            (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    Store.open(tmp_path / "one").close()
    with pytest.raises(UsageError, match="neither a store nor an empty folder"):
        Store.open(tmp_path / "other")
