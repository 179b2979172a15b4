"""Open folders: what is done in one is done there, and no link below is followed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vstore.errors import StoreError
from vstore.fs.disk import one_mount
from vstore.fs.folder import Folder, thaw_folder
from vstore.fs.trees.removal import remove_tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows opens no folders")


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    folder = tmp_path / "decoy"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("kept")
    return folder


def test_a_name_that_leads_elsewhere_meanwhile_changes_nothing(tmp_path: Path, decoy: Path) -> None:
    (tmp_path / "ours").mkdir()
    with Folder.open(tmp_path / "ours") as folder:
        (tmp_path / "ours").rename(tmp_path / "moved")
        (tmp_path / "ours").symlink_to("decoy")
        folder.write("file", b"1")
        folder.replace_symlink("link", "file")
        folder.make_folder("deep")
        os.close(folder.create("new"))
        folder.rename("new", folder, "newer")
        assert folder.names() == ["deep", "file", "link", "newer"]
        assert (folder.read("file", limit=1), folder.readlink("link")) == (b"1", "file")
        folder.remove("deep")
        folder.unlink("newer")
        folder.unlink("never there")
    assert sorted(os.listdir(tmp_path / "moved")) == ["file", "link"]
    assert os.listdir(decoy) == ["deep"] and os.listdir(decoy / "deep") == ["file"]


@pytest.mark.parametrize("inside", ["link", "real/link", "link/deep"])
def test_no_link_below_is_followed(tmp_path: Path, decoy: Path, inside: str) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "link").symlink_to(decoy)
    (root / "real" / "link").symlink_to(decoy)
    with pytest.raises(StoreError, match=f"a link, which is not followed: .*link -> {decoy}"):
        Folder.open(root, *inside.split("/"))


def test_the_first_folder_may_be_a_link(tmp_path: Path, decoy: Path) -> None:
    (tmp_path / "root").symlink_to(decoy)
    with Folder.open(tmp_path / "root", "deep") as folder:
        assert folder.names() == ["file"]


def test_what_is_no_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "a\nb").write_text("")
    for name, said in (("fifo", "something else: .*fifo"), ("a\nb", r"a file: .*a\\nb\s")):
        with pytest.raises(StoreError, match=said):
            Folder.open(tmp_path, name)
    with pytest.raises(FileNotFoundError):
        Folder.open(tmp_path, "missing")


def test_removing_follows_no_link_and_meets_any_depth_and_mode(tmp_path: Path, decoy: Path) -> None:
    tree = tmp_path / "tree"
    deep = tree / "/".join("d" * 250)
    deep.mkdir(parents=True)
    (deep / "file").write_text("")
    (tree / "out").symlink_to(decoy)
    os.link(decoy / "deep" / "file", tree / "hard")
    os.mkfifo(tree / "fifo")
    (tree / "closed").mkdir()
    (tree / "closed" / "file").write_text("")
    (tree / "closed").chmod(0o000)
    remove_tree(tree)
    assert not tree.exists() and (decoy / "deep" / "file").read_text() == "kept"
    (tmp_path / "link").symlink_to(decoy)
    remove_tree(tmp_path / "link")
    assert (decoy / "deep" / "file").read_text() == "kept" and not (tmp_path / "link").is_symlink()
    remove_tree(tmp_path / "never there")


def test_thawing_follows_no_link(tmp_path: Path, decoy: Path) -> None:
    decoy.chmod(0o755)
    (tmp_path / "link").symlink_to(decoy)
    with Folder.open(tmp_path) as folder, pytest.raises(OSError, match="link"):
        thaw_folder(folder, "link")
    assert decoy.stat().st_mode & 0o777 == 0o755


def test_one_mount(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert one_mount(tmp_path, tmp_path / "a")
    assert not one_mount(tmp_path, Path("/proc"))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../decoy/file"])
def test_what_is_no_name_leads_nowhere(tmp_path: Path, decoy: Path, name: str) -> None:
    """A damaged index may hold anything."""
    (tmp_path / "ours").mkdir()
    with Folder.open(tmp_path / "ours") as folder:
        for work in (folder.unlink, folder.remove, folder.folder, lambda name: folder.write(name, b"")):
            with pytest.raises(StoreError, match="not a name"):
                work(name)
    assert (decoy / "deep" / "file").read_text() == "kept"
