"""The door to places that users name: what is free, what is ours, and what appears meanwhile."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mounts import file_system
from vstore.errors import UsageError
from vstore.fs.locking.filelock import lock_file
from vstore.fs.place import (
    Claim,
    check_output_folder,
    claim,
    create_file,
    put_bytes,
    put_file,
    put_folder,
    put_link,
    recognise,
)
from vstore.fs.rename import rename_new
from vstore.fs.scratch import scratch, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and kinds of files of POSIX systems")


def ours(path: Path, status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and path.read_bytes().startswith(b"ours")


def new_file(folder: Path) -> Path:
    (folder / "new").write_bytes(b"ours, new")
    return folder / "new"


def test_what_is_free_is_filled_and_ours_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "place"
    put_file(new_file(tmp_path), claim(place, ours))
    put_bytes(b"ours, again", claim(place, ours))
    assert place.read_bytes() == b"ours, again" and os.listdir(tmp_path) == ["place"]


def test_a_file_that_is_replaced_keeps_its_mode_and_its_other_name_its_content(tmp_path: Path) -> None:
    place, other = tmp_path / "place", tmp_path / "other"
    place.write_bytes(b"ours, private")
    place.chmod(0o600)
    os.link(place, other)
    put_bytes(b"ours, new", claim(place, ours))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert other.read_bytes() == b"ours, private"


@pytest.mark.parametrize("first", [b"ours", None])
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda place: place.symlink_to("gone"), os.mkfifo])
def test_what_appears_meanwhile_stays(tmp_path: Path, first: bytes | None, make: Callable[[Path], object]) -> None:
    place = tmp_path / "place"
    if first is not None:
        place.write_bytes(first)
    found = claim(place, ours)
    place.unlink(missing_ok=True)
    make(place)
    status = place.lstat()
    with pytest.raises(UsageError, match="changed by another process meanwhile"):
        put_file(new_file(tmp_path), found)
    after = place.lstat()
    assert (after.st_ino, after.st_mode) == (status.st_ino, status.st_mode)


def test_a_file_that_is_changed_meanwhile_stays(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_bytes(b"ours")
    found = claim(place, ours)
    place.write_bytes(b"theirs now")
    with pytest.raises(UsageError, match="changed by another process meanwhile"):
        put_bytes(b"ours, new", found)
    assert place.read_bytes() == b"theirs now" and os.listdir(tmp_path) == ["place"]


def test_folders_and_links_that_appear_meanwhile_stay(tmp_path: Path) -> None:
    place, new = tmp_path / "place", tmp_path / "new"
    new.mkdir()
    found = claim(place, ours)
    place.mkdir()
    (place / "notes").touch()
    with pytest.raises(UsageError):
        put_folder(new, found)
    with pytest.raises(UsageError):
        put_link("target", found)
    assert (place / "notes").exists() and not place.is_symlink()
    link = tmp_path / "link"
    link.symlink_to("old")
    found = recognise(link, lambda _, status: stat.S_ISLNK(status.st_mode))
    put_link("new", found)
    assert os.readlink(link) == "new"
    with pytest.raises(UsageError):
        put_link("newer", found)  # it is another link by now
    assert sorted(os.listdir(tmp_path)) == ["link", "new", "place"]


def test_a_folder_of_ours_is_replaced_in_one_step(tmp_path: Path) -> None:
    place, new = tmp_path / "place", tmp_path / "new"
    place.mkdir()
    (place / "old").touch()
    new.mkdir()
    put_folder(new, Claim(place, place.lstat()))
    assert os.listdir(place) == [] and os.listdir(new) == ["old"]


@pytest.mark.root
@pytest.mark.parametrize("kind", ["exfat"])
def test_where_the_kernel_cannot_refuse_by_itself(tmp_path: Path, kind: str) -> None:
    with file_system(kind, tmp_path) as folder:
        for make in (Path.touch, Path.mkdir):
            old, new = folder / "old", folder / f"new-{make.__name__}"
            make(old)
            rename_new(old, new)
            make(old)
            with pytest.raises(FileExistsError):
                rename_new(old, new)
            (old.rmdir if make is Path.mkdir else old.unlink)()
        place = folder / "place"
        place.write_bytes(b"ours")
        put_bytes(b"ours, new", claim(place, ours))
        assert place.read_bytes() == b"ours, new"
        found = claim(place, ours)
        place.unlink()
        place.write_bytes(b"theirs, in another file")
        with pytest.raises(UsageError):
            put_bytes(b"ours, newer", found)
        assert place.read_bytes() == b"theirs, in another file"


def test_creating_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="the path exists already"):
        create_file(tmp_path / "link", b"x")
    assert os.listdir(tmp_path) == ["link"]


def test_places_in_the_store_are_refused_through_links_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "store").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root / "store")
    for place in (root / "x", tmp_path / "link" / "x", root / "store" / ".." / "y"):
        with pytest.raises(UsageError, match="inside the store"):
            claim(place, ours, store=root)
    for folder in (root, root / "new", tmp_path / "link", tmp_path / "link" / "deep" / "er"):
        with pytest.raises(UsageError, match="inside the store"):
            check_output_folder(folder, store=root)
    check_output_folder(tmp_path / "new" / "er", store=root)


def test_sweeping_takes_what_has_our_mark_and_no_owner(tmp_path: Path) -> None:
    with scratch(tmp_path, "held") as held:
        left = tmp_path / ".vstore-left"
        subprocess.run(["cp", "-r", held, left], check=True)
        (left / "deep").mkdir()
        notes = tmp_path / ".vstore-notes"
        notes.mkdir()
        (notes / "mine").touch()
        (tmp_path / ".vstore-file").touch()
        (tmp_path / ".vstore-link").symlink_to(left)
        sweep(tmp_path)
        assert sorted(os.listdir(tmp_path)) == sorted([held.name, ".vstore-file", ".vstore-link", ".vstore-notes"])
        assert (notes / "mine").exists() and held.is_dir()
        with lock_file(notes / "mine"):
            pass
    assert not held.exists()
