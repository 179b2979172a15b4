"""What is packed comes back, through our reader and through others."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archive.trees import MIB, NAME, index_of, large, modes, noise, packed, small, write
from vstore.archive import Compression, Packer, case_collisions, unpack
from vstore.errors import ArchiveError
from vstore.fs import zstd
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.scan import scan

GOLDEN = Path(__file__).parent / "golden"
each_compression = pytest.mark.parametrize("compression", list(Compression))

names = st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
links = st.sampled_from(["a", "../b", "c/d", "../../e"])
contents = st.one_of(st.binary(max_size=2000), st.booleans(), links)
trees = st.lists(st.tuples(st.lists(names, min_size=1, max_size=4), contents), max_size=8)


def make(root: Path, items: list[tuple[list[bytes], bytes | bool | str]]) -> None:
    """As much of the items as makes a tree: a file, an executable one (True), a directory (False), a link."""
    root.mkdir()
    for parts, content in items:
        place = os.path.join(os.fsencode(root), *parts)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if content is False:
                os.mkdir(place)
            elif isinstance(content, str):
                if content.count("..") < len(parts):
                    os.symlink(content, place)
            else:
                with open(place, "xb") as file:
                    file.write(b"run" if content is True else content)
                os.chmod(place, 0o755 if content is True else 0o600)
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue


@given(trees, st.sampled_from(list(Compression)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_unpacking_gives_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory,
    items: list[tuple[list[bytes], bytes | bool | str]],
    compression: Compression,
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    make(folder / "tree", items)
    manifest = scan(folder / "tree")
    archive = packed(folder, manifest, compression)
    assert unpack(archive, folder / "out") == manifest
    assert scan(folder / "out") == manifest
    remove_tree(folder / "out")


@each_compression
def test_what_comes_out_is_frozen_like_an_object(tmp_path: Path, compression: Compression) -> None:
    manifest = small(tmp_path / "tree")
    old = os.umask(0o077)
    try:
        unpack(packed(tmp_path, manifest, compression), tmp_path / "out", expected=manifest)
    finally:
        os.umask(old)
    scan(tmp_path / "tree", freeze=True)
    assert modes(tmp_path / "out") == modes(tmp_path / "tree")
    assert (tmp_path / "out").stat().st_mode & 0o200, "the top folder can still be moved"


@each_compression
def test_large_files_over_several_frames(tmp_path: Path, compression: Compression) -> None:
    manifest = large(tmp_path / "tree")
    level = None if compression is Compression.ZST else 1
    archive = tmp_path / "a"
    counts: list[int] = []
    packer = Packer(compression, level=level)
    packer.pack(tmp_path / "tree", manifest, archive, name=NAME, on_bytes=counts.append)
    assert sum(counts) == manifest.size_bytes
    assert unpack(archive, tmp_path / "out", expected=manifest) == manifest
    assert scan(tmp_path / "out") == manifest


@pytest.mark.parametrize(("compression", "level"), [("zst", 3), ("zst", 16), ("gz", 1)])
def test_the_same_bytes_whatever_the_jobs_times_and_modes(tmp_path: Path, compression: str, level: int) -> None:
    manifest = large(tmp_path / "tree")
    one = packed(tmp_path, manifest, Compression(compression), level=level, jobs=1).read_bytes()
    shutil.copytree(tmp_path / "tree", tmp_path / "again" / "tree")
    for place in (tmp_path / "again" / "tree").rglob("*.py"):
        os.utime(place, (5, 5))
        place.chmod(0o600)
    assert packed(tmp_path / "again", manifest, Compression(compression), level=level, jobs=4).read_bytes() == one


def test_the_archive_info_is_of_the_file(tmp_path: Path) -> None:
    manifest = small(tmp_path / "tree")
    info = Packer().pack(tmp_path / "tree", manifest, tmp_path / "a", name=NAME)
    data = (tmp_path / "a").read_bytes()
    assert (info.size_bytes, info.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert info.content_bytes == manifest.size_bytes
    index = index_of(tmp_path / "a")
    assert (info.index_digest, index.name, index.manifest) == (index.digest, NAME, manifest)
    assert index.archive_bytes == len(data)


@each_compression
def test_plain_tar_reads_it(tmp_path: Path, compression: Compression) -> None:
    program = {Compression.ZST: "zstd", Compression.XZ: "xz", Compression.GZ: "gzip"}[compression]
    if not shutil.which("tar") or not shutil.which(program):
        pytest.skip(f"tar or {program} is not installed")
    manifest = large(tmp_path / "tree") if compression is Compression.ZST else small(tmp_path / "tree")
    archive = packed(tmp_path, manifest, compression)
    (tmp_path / "out").mkdir()
    command = ["tar", f"--use-compress-program={program}", "-xf", str(archive), "-C", str(tmp_path / "out")]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stderr == ""
    assert scan(tmp_path / "out" / NAME) == manifest
    assert [one.name for one in (tmp_path / "out").iterdir()] == [NAME]


def test_machine_code_in_xz(tmp_path: Path) -> None:
    """Through the filter for x86 it becomes smaller, and plain readers undo it."""
    code = b"".join(
        b"\xe8" + ((5000 - 9 * number) & 0xFFFFFFFF).to_bytes(4, "little") + b"abcd" for number in range(9999)
    )
    header = b"\x7fELF\x02\x01\x01" + bytes(11)
    sizes = []
    for machine in (b"\x3e\0", b"\xb7\0"):
        folder = tmp_path / machine.hex()
        manifest = write(folder / "tree", {"lib.so": header + machine + code})
        archive = packed(folder, manifest, Compression.XZ)
        sizes.append(archive.stat().st_size)
        assert unpack(archive, folder / "out", expected=manifest) == manifest
        with tarfile.open(archive) as plain:
            found = plain.extractfile(f"{NAME}/lib.so")
            assert found is not None and found.read() == header + machine + code
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("compression", [Compression.XZ, Compression.GZ])
def test_tarfile_agrees_on_every_member(tmp_path: Path, compression: Compression) -> None:
    manifest = small(tmp_path / "tree")
    with tarfile.open(packed(tmp_path, manifest, compression)) as archive:
        members = archive.getmembers()
    found = {member.name.removeprefix(NAME).removeprefix("/"): member for member in members}
    assert set(found) == {"", *(os.fsdecode(entry.path) for entry in manifest.entries)}
    for entry in manifest.entries:
        member = found[os.fsdecode(entry.path)]
        assert (member.size, member.linkname) == (entry.size, os.fsdecode(entry.target))
        assert (member.uid, member.gid, member.mtime) == (0, 0, entry.mtime)
    order = [0 if member.isdir() else 1 if member.isfile() else 2 for member in members]
    assert order == sorted(order), "directories, files, links"


def test_all_three_hold_the_same_tar(tmp_path: Path) -> None:
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    manifest = small(tmp_path / "tree")
    streams = {
        subprocess.run([program, "-dc", packed(tmp_path, manifest, one)], check=True, capture_output=True).stdout
        for one, program in ((Compression.ZST, "zstd"), (Compression.XZ, "xz"), (Compression.GZ, "gzip"))
    }
    assert len(streams) == 1
    for one in Compression:
        info = Packer(one).pack(tmp_path / "tree", manifest, tmp_path / "again", name=NAME)
        assert {hashlib.sha256(stream).hexdigest() for stream in streams} == {info.diff_id}


@each_compression
def test_golden_archives_are_still_read(tmp_path: Path, compression: Compression) -> None:
    manifest = small(tmp_path / "tree")
    golden = GOLDEN / f"small{compression.suffix}"
    assert unpack(golden, tmp_path / "out", expected=manifest) == manifest


def test_golden_zst_is_still_written(tmp_path: Path) -> None:
    if zstd.library_version() != "1.5.7":
        pytest.skip(f"libzstd is {zstd.library_version()}, the golden archive is of 1.5.7")
    archive = packed(tmp_path, small(tmp_path / "tree"))
    assert archive.read_bytes() == (GOLDEN / "small.tar.zst").read_bytes()


def test_a_tree_that_is_not_its_manifest_is_not_packed(tmp_path: Path) -> None:
    manifest = large(tmp_path / "tree")
    for path in ("p1/m1.py", "p1/big.so", "p2/huge.so", "z.pth"):
        file = tmp_path / "tree/lib/python3.11/site-packages" / path
        before = file.read_bytes()
        for after in (b"!" + before[1:], before + b"!", before[:-1] + b"!", None):
            file.unlink()
            if after is not None:
                file.write_bytes(after)
            with pytest.raises(ArchiveError, match=path):
                Packer(jobs=2).pack(tmp_path / "tree", manifest, tmp_path / "out", name=NAME)
            assert [one.name for one in tmp_path.iterdir()] == ["tree"]
            file.unlink(missing_ok=True)
            file.write_bytes(before)


def test_a_link_or_file_that_became_the_other_is_not_packed(tmp_path: Path) -> None:
    manifest = write(tmp_path / "tree", {"file": b"x", "link": "file"})
    (tmp_path / "tree/link").unlink()
    (tmp_path / "tree/link").symlink_to("other")
    with pytest.raises(ArchiveError, match="link"):
        packed(tmp_path, manifest)
    (tmp_path / "tree/link").unlink()
    (tmp_path / "tree/link").symlink_to("file")
    (tmp_path / "tree/file").rename(tmp_path / "elsewhere")
    (tmp_path / "tree/file").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="file"):
        packed(tmp_path, manifest)


def test_packing_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    manifest = write(tmp_path / "tree", {"file": noise(5 * MIB)})
    archive = packed(tmp_path, manifest)
    before = archive.read_bytes()
    (tmp_path / "tree/file").write_bytes(b"")
    with pytest.raises(ArchiveError):
        packed(tmp_path, manifest)
    assert archive.read_bytes() == before


def test_case_collisions(tmp_path: Path) -> None:
    manifest = write(tmp_path / "tree", {"e/a": b"", "E/a": b"", "ok": b"", "e\u0301": b"", "\u00e9": b""})
    assert case_collisions(manifest) == [("E", "e"), ("E/a", "e/a"), ("e\u0301", "\u00e9")]
