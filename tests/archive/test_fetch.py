"""Fetching only what is not there: the plan, and assembling a tree from local files and ranges."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.trees import MIB, SITE, index_of, large, modes, noise, packed, small, write
from vstore.archive import ArchiveIndex, FetchPlan, FileReader, assemble, plan_fetch, unpack
from vstore.archive.layout import package
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Manifest
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.scan import scan


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ArchiveIndex:
    folder = tmp_path_factory.mktemp("index")
    return index_of(packed(folder, large(folder / "tree")))


def digest_of(index: ArchiveIndex, path: str) -> bytes:
    return next(entry.digest for entry in index.files if entry.path == f"{SITE}/{path}".encode())


def check(plan: FetchPlan, gap_bytes: int, request_bytes: int) -> None:
    """Whatever was asked, the ranges hold every frame that is needed and start and end at frames."""
    index = plan.index
    assert sorted((*plan.local, *plan.fetched)) == list(range(len(index.files)))
    edges = {0, *(frame.offset + frame.size_bytes for frame in index.frames)}
    needed = {frame for number in plan.fetched for frame in index.frames_of(number)}
    assert set(plan.frames) == needed
    for number in needed:
        frame = index.frames[number]
        assert any(start <= frame.offset and frame.offset + frame.size_bytes <= end for start, end in plan.ranges)
    for start, end in plan.ranges:
        assert start < end and {start, end} <= edges
    for (_, end), (start, following) in zip(plan.ranges, plan.ranges[1:], strict=False):
        assert end <= start
        assert start - end > gap_bytes or following - plan.ranges[0].start > request_bytes


@given(st.data(), st.sampled_from([0, 1 << 16, 1 << 40]), st.sampled_from([1, 1 << 20, 1 << 40]))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_plan_has_all_that_is_needed(
    index: ArchiveIndex, data: st.DataObject, gap_bytes: int, request_bytes: int
) -> None:
    have = data.draw(st.sets(st.sampled_from([entry.digest for entry in index.files])))
    check(plan_fetch(index, have, gap_bytes=gap_bytes, request_bytes=request_bytes), gap_bytes, request_bytes)


def test_nothing_is_fetched_of_what_is_all_there(index: ArchiveIndex) -> None:
    plan = plan_fetch(index, {entry.digest for entry in index.files})
    assert (plan.ranges, plan.frames, plan.fetch_bytes) == ((), (), 0)
    assert {index.files[number] for number in plan.local} == {entry for entry in index.files if entry.size}


def test_one_missing_file_costs_its_frame_alone(index: ArchiveIndex) -> None:
    have = {entry.digest for entry in index.files} - {digest_of(index, "p1/m3.py")}
    plan = plan_fetch(index, have)
    assert len(plan.frames) == 1
    assert plan.fetch_bytes == index.frames[plan.frames[0]].size_bytes


def test_a_large_file_costs_its_own_frames_alone(index: ArchiveIndex) -> None:
    plan = plan_fetch(index, {entry.digest for entry in index.files} - {digest_of(index, "p2/huge.so")})
    assert len(plan.frames) == 2
    assert sum(index.frames[number].content_bytes for number in plan.frames) < 9 * MIB + 2048


def test_gaps_are_read_along_when_a_request_costs_more(index: ArchiveIndex) -> None:
    files = [number for number, entry in enumerate(index.files) if entry.size > 100_000]
    ends = {index.files[files[0]].digest, digest_of(index, "p2/huge.so")}
    have = {entry.digest for entry in index.files} - ends
    apart = plan_fetch(index, have, gap_bytes=0, request_bytes=1 << 40)
    together = plan_fetch(index, have, gap_bytes=1 << 40, request_bytes=1 << 40)
    assert len(apart.ranges) > len(together.ranges) == 1
    assert apart.fetch_bytes < together.fetch_bytes


@pytest.mark.parametrize(
    ("path", "belongs_to"),
    [
        ("lib/python3.11/site-packages/numpy/core/a.py", "lib/python3.11/site-packages/numpy"),
        ("Lib/site-packages/numpy/a.py", "Lib/site-packages/numpy"),
        ("lib/python3.11/site-packages/six.py", "lib/python3.11/site-packages/six.py"),
        ("share/doc/a.txt", "share/doc"),
        ("a", ""),
    ],
)
def test_packages(path: str, belongs_to: str) -> None:
    assert package(path.encode()) == belongs_to.encode()


class Counting(FileReader):
    """Remembers what was read after the index."""

    fetched_bytes = 0

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.fetched_bytes += sum(end - start for start, end in ranges)
        return super().read(ranges)


class Source(dict[bytes, Path]):
    """Files by digest, which may be linked or not."""

    link = False

    def find(self, digest: bytes) -> Path | None:
        return self.get(digest)

    def may_link(self, path: Path) -> bool:
        return self.link


def files_of(folder: Path) -> Source:
    return Source({entry.digest: folder / os.fsdecode(entry.path) for entry in scan(folder).entries if entry.digest})


def test_only_the_new_package_is_fetched(tmp_path: Path) -> None:
    """One package more: bytes moved are at most 1.1 times its compressed files."""
    old = large(tmp_path / "old")
    large(tmp_path / "tree")
    new = {f"{SITE}/new/m{number}.py": noise(100_000, 7000 + number) for number in range(30)}
    manifest = write(tmp_path / "tree", new)
    only = write(tmp_path / "only" / "tree", new)
    alone = packed(tmp_path / "only", only).stat().st_size
    places = files_of(tmp_path / "old")
    with Counting(packed(tmp_path, manifest)) as reader:
        plan = plan_fetch(index_of(tmp_path / "archive.tar.zst"), places)
        assert {plan.index.files[number].digest for number in plan.local} == {e.digest for e in old.entries if e.size}
        assert assemble(plan, reader, tmp_path / "out", places) == manifest
        assert reader.fetched_bytes == plan.fetch_bytes <= 1.1 * alone
    assert scan(tmp_path / "out") == manifest


def assembled(folder: Path, manifest: Manifest, places: Source, *, link: bool = False) -> int:
    """Put the tree together, check it, and give the bytes fetched."""
    archive = packed(folder, manifest)
    remove_tree(folder / "out")
    with Counting(archive) as reader:
        plan = plan_fetch(index_of(archive), set(places))
        places.link = link
        assemble(plan, reader, folder / "out", places)
        fetched = reader.fetched_bytes
    assert scan(folder / "out") == manifest
    expected = folder / "expected"
    unpack(archive, expected)
    assert modes(folder / "out") == modes(expected)
    remove_tree(expected)
    return fetched


def test_a_local_file_is_linked_only_when_allowed_and_alike(tmp_path: Path) -> None:
    manifest = write(tmp_path / "tree", {"a": b"a" * 99, "b": b"b" * 99}, executable=["b"])
    write(tmp_path / "local", {"a": b"a" * 99, "b": b"b" * 99})
    scan(tmp_path / "local", freeze=True)
    places = files_of(tmp_path / "local")
    assembled(tmp_path, manifest, places)
    assert (tmp_path / "local/a").stat().st_nlink == 1
    assert assembled(tmp_path, manifest, places, link=True) == 0
    assert (tmp_path / "local/a").samefile(tmp_path / "out/a")
    assert not (tmp_path / "local/b").samefile(tmp_path / "out/b"), "another mode: a copy"
    assert (tmp_path / "local/b").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("link", [True, False])
def test_a_local_file_that_is_gone_or_damaged_is_fetched_instead(tmp_path: Path, link: bool) -> None:
    manifest = small(tmp_path / "tree")
    small(tmp_path / "local")
    scan(tmp_path / "local", freeze=True)
    places = files_of(tmp_path / "local")
    target = tmp_path / "local" / SITE / "one/__init__.py"

    def gone() -> None:
        target.unlink()

    def damaged() -> None:
        target.write_bytes(b"x = 2\n" * 300)
        os.utime(target, (1, 1))
        target.chmod(0o444)

    def shorter() -> None:
        target.chmod(0o644)
        target.write_bytes(b"")

    def a_link() -> None:
        target.symlink_to(tmp_path / "tree" / SITE / "one/__init__.py")

    def a_folder() -> None:
        target.unlink()
        target.mkdir()

    (target.parent).chmod(0o755)
    target.chmod(0o644)
    for break_it in (damaged, shorter, gone, a_link, a_folder):
        break_it()
        assert assembled(tmp_path, manifest, places, link=link) > 0, break_it.__name__


def test_a_source_may_lack_what_the_plan_expects(tmp_path: Path) -> None:
    manifest = small(tmp_path / "tree")
    archive = packed(tmp_path, manifest)
    plan = plan_fetch(index_of(archive), {entry.digest for entry in manifest.entries})
    with FileReader(archive) as reader:
        assert assemble(plan, reader, tmp_path / "out", Source()) == manifest
    assert scan(tmp_path / "out") == manifest


def test_an_archive_that_went_bad_after_planning_leaves_nothing(tmp_path: Path) -> None:
    manifest = large(tmp_path / "tree")
    archive = packed(tmp_path, manifest)
    plan = plan_fetch(index_of(archive))
    frame = plan.index.frames[-3]
    with open(archive, "r+b") as file:
        file.seek(frame.offset + frame.size_bytes // 2)
        file.write(b"damage")
    with FileReader(archive) as reader, pytest.raises(ArchiveError, match="damaged"):
        assemble(plan, reader, tmp_path / "out")
    assert not (tmp_path / "out").exists()
