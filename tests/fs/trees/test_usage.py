from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mounts import tmpfs
from vstore.fs.disk import free_bytes
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.usage import InodeCache, Tally, held_bytes, statuses, used_bytes

FILES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 20_000)), max_size=12)


def fill(top: Path, files: list[tuple[str, int, int]]) -> None:
    """Names in the folders a, b and kept; those with one number are one file, of the size that came first."""
    first: dict[int, Path] = {}
    for name in ("a", "b", "kept"):
        (top / name).mkdir(parents=True)
    for number, (folder, file, size) in enumerate(files):
        place = top / folder / str(number)
        if file in first:
            os.link(first[file], place)
        else:
            place.write_bytes(os.urandom(size))
            first[file] = place
    for number, place in first.items():
        if number == 0:
            os.link(place, top / "kept" / "0")


@given(FILES)
def test_a_tally_knows_what_removing_frees(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, int, int]]
) -> None:
    """Against a sum over inodes, kept otherwise: what is used before and after."""
    top = tmp_path_factory.mktemp("tally")
    fill(top, files)
    (top / "link").symlink_to("a")
    before = used_bytes(top)
    assert before == int(subprocess.check_output(["du", "-s", "-B1", top]).split()[0])
    inodes = InodeCache()
    assert inodes.used_bytes(top, 1) == inodes.used_bytes(top, 2) == before
    joined = InodeCache()
    joined.add(inodes)
    tally = Tally()
    told = tally.remove(statuses(top / "a")) + Tally(after=tally).remove(statuses(top / "b"))
    remove_tree(top / "a")
    assert before - used_bytes(top) == tally.freed_bytes
    remove_tree(top / "b")
    assert before - used_bytes(top) == told
    remembered = Tally()
    assert remembered.remove_inodes(joined.inodes(top / "a")) == tally.freed_bytes
    assert remembered.remove_inodes(joined.inodes(top / "b")) + tally.freed_bytes == told


@pytest.mark.root
def test_the_disk_agrees(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 64 << 20) as disk:
        fill(disk, [("a", number % 5, 70_000) for number in range(40)] + [("b", 9, 100_000)])
        free = free_bytes(disk)
        tally = Tally()
        tally.remove(statuses(disk / "a"))
        tally.remove(statuses(disk / "b"))
        for name in ("a", "b"):
            remove_tree(disk / name)
        assert free_bytes(disk) - free == tally.freed_bytes > 100_000


def test_what_is_not_there_or_closed_counts_nothing(tmp_path: Path) -> None:
    assert list(statuses(tmp_path / "nowhere")) == []
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("file")
    assert used_bytes(tmp_path / "link") < used_bytes(tmp_path / "file") == held_bytes((tmp_path / "file").stat())
