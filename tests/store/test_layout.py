"""The store's own folders: a link or a file in place of one is refused, wherever it is opened."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.reliability.sweep import vstore
from tests.store.trees import add
from vstore.errors import StoreError
from vstore.gc import collect, plan_collection
from vstore.report import Silent
from vstore.store import Store, keep_reserve, list_roots
from vstore.store.optimise import optimise
from vstore.store.reindex import reindex

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows makes no link without a right to it")
FOLDERS = (
    "store", "manifests", "profiles", "gcroots", "gcroots/auto", "gcroots/temp", "logs", "cache", "cache/uv", "tmp",
    "tmp/trash", "locks", "failed", "cache/remote", "cache/serve", "channels", "keys",
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
            lambda: collect(store, report=Silent()),
            lambda: plan_collection(store),
            lambda: list_roots(store.layout),
            lambda: add(store, "two"),
            lambda: optimise(store, report=Silent()),
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
        assert "hint: see whose it is" in second
    assert os.listdir(root.parent / "decoy") == ["file"]


def test_the_root_itself_may_be_a_link_and_a_missing_folder_is_made(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to("root")
    (root / "tmp" / "trash").rmdir()
    with Store.open(link) as store:
        assert len(collect(store, report=Silent()).victims) == 1
        add(store, "two")


def test_the_reserve_is_no_way_out(root: Path) -> None:
    (root / "reserve").unlink(missing_ok=True)
    (root / "reserve").symlink_to(root.parent / "decoy" / "new")
    with Store.open(root) as store:
        keep_reserve(store.layout)
    assert os.listdir(root.parent / "decoy") == ["file"]
