"""Archives that are damaged, cut off, or lie: refused with an ArchiveError, and nothing of them stays."""

from __future__ import annotations

import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from tests.archive.trees import (
    MIB,
    NAME,
    forged,
    index_of,
    large,
    no_large_file_written,
    noise,
    packed,
    small,
    write,
)
from vstore.archive import Compression, FileOffset, Limits, Packer, read_index, unpack
from vstore.archive.tar import member
from vstore.errors import ArchiveError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.fs.trees.removal import remove_tree
from vstore.fs.trees.scan import scan
from vstore.fs.trees.validate import TreeValidator

each_compression = pytest.mark.parametrize("compression", list(Compression))


def refused(archive: Path, said: str = "", *, limits: Limits | None = None, expected: Manifest | None = None) -> None:
    """Unpacking fails in our way and leaves nothing behind, outside neither."""
    folder = archive.parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(ArchiveError, match=said or ".") as caught:
        unpack(archive, folder / "out", limits=limits, expected=expected)
    assert caught.value.exit_code == 9
    assert sorted(folder.rglob("*")) == before


def not_packed(folder: Path, manifest: Manifest, compression: Compression, limits: Limits) -> None:
    """Packing for readers with these limits fails, and nothing of it stays."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(ArchiveError):
        Packer(compression, limits=limits).pack(folder / "tree", manifest, folder / "refused", name=NAME)
    assert sorted(folder.rglob("*")) == before


@each_compression
def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path, compression: Compression) -> None:
    manifest = small(tmp_path / "tree")
    archive = packed(tmp_path, manifest, compression)
    data = archive.read_bytes()
    for at in range(0, len(data), 7):
        archive.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        try:
            assert unpack(archive, tmp_path / "out") == manifest
        except ArchiveError:
            assert not (tmp_path / "out").exists()
        else:
            assert scan(tmp_path / "out") == manifest
            remove_tree(tmp_path / "out")


@each_compression
def test_every_truncation_is_refused(tmp_path: Path, compression: Compression) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"), compression)
    data = archive.read_bytes()
    for length in range(0, len(data), 23):
        archive.write_bytes(data[:length])
        refused(archive)


@each_compression
def test_what_follows_or_precedes_an_archive_is_refused(tmp_path: Path, compression: Compression) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"), compression)
    data = archive.read_bytes()
    for other in (data + data, data + b"x", b"x" + data, data + bytes(64), data[:-64] + data):
        archive.write_bytes(other)
        refused(archive)


def test_another_tree_than_expected_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    expected = small(tmp_path / "tree")
    other = write(tmp_path / "other" / "tree", {"bin/python": b"#!/bin/sh\n", "evil": b"x"})
    for compression in Compression:
        archive = packed(tmp_path / "other", other, compression)
        refused(archive, "expected", expected=expected)


def test_a_folder_with_content_is_left_alone(tmp_path: Path) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    refused(archive, "not an empty folder")
    (tmp_path / "out/mine").unlink()
    archive.write_bytes(archive.read_bytes()[:-1])
    refused(archive)
    assert (tmp_path / "out").is_dir(), "an empty folder is there again"
    (tmp_path / "link").symlink_to("out")
    good = packed(tmp_path, scan(tmp_path / "tree"))
    with pytest.raises(ArchiveError, match="destination is not a folder"):
        unpack(good, tmp_path / "link")


def entry(path: bytes, kind: EntryKind = EntryKind.FILE, **fields: object) -> Entry:
    return Entry(path, kind)._replace(**fields)  # type: ignore[arg-type]


BAD_ENTRIES = {
    "up": [entry(b"../x")],
    "up inside": [entry(b"a", EntryKind.DIRECTORY), entry(b"a/../../x")],
    "absolute": [entry(b"/etc/x")],
    "dot": [entry(b"./x")],
    "empty": [entry(b"")],
    "no folder": [entry(b"a/b")],
    "through a file": [entry(b"a"), entry(b"a/b")],
    "through a link": [entry(b"a", EntryKind.SYMLINK, target=b"b"), entry(b"a/x")],
    "absolute link": [entry(b"a", EntryKind.SYMLINK, target=b"/etc/passwd")],
    "link out": [entry(b"a", EntryKind.SYMLINK, target=b"../../x")],
    "link out of the store": [entry(b"a", EntryKind.SYMLINK, target=b"../not-an-object")],
    "link that turns": [entry(b"a", EntryKind.SYMLINK, target=b"b/../../../x")],
    "empty link": [entry(b"a", EntryKind.SYMLINK, target=b"")],
    "NUL": [entry(b"a\0b")],
    "NUL in a link": [entry(b"a", EntryKind.SYMLINK, target=b"b\0c")],
    "twice": [entry(b"a"), entry(b"a")],
    "a file and a folder": [entry(b"a"), entry(b"a", EntryKind.DIRECTORY)],
    "long name": [entry(b"a" * 256)],
    "long path": [entry(b"a/" * 2500 + b"b")],
    "long link": [entry(b"a", EntryKind.SYMLINK, target=b"b" * 5000)],
}


@pytest.mark.parametrize("entries", list(BAD_ENTRIES.values()), ids=list(BAD_ENTRIES))
def test_bad_entries_are_not_admitted(entries: list[Entry]) -> None:
    admission = TreeValidator(Limits())
    for one in entries[:-1]:
        admission.check_entry(one)
    with pytest.raises(ArchiveError, match="refused"):
        admission.check_entry(entries[-1])


@pytest.mark.parametrize("name", [b"a:b", b"a\\b", b"a?", b"a.", b"a "])
def test_names_that_windows_cannot_have(name: bytes) -> None:
    with pytest.raises(ArchiveError, match="Windows"):
        TreeValidator(Limits(), windows=True).check_entry(entry(name))
    TreeValidator(Limits(), windows=False).check_entry(entry(name))


@pytest.mark.parametrize("entries", list(BAD_ENTRIES.values()), ids=list(BAD_ENTRIES))
def test_an_index_with_bad_entries_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    archive = packed(tmp_path, write(tmp_path / "tree", {"x": b""}))
    manifest = Manifest(tuple(one._replace(digest=bytes(32)) if one.kind == EntryKind.FILE else one for one in entries))
    files = sum(one.kind == EntryKind.FILE for one in entries)
    refused(forged(archive, manifest=manifest, offsets=[FileOffset(0, 0)] * files))


def lies(archive: Path) -> Iterable[tuple[str, Callable[[], Path]]]:
    """Indices whose own digest is right and whose ranges are not."""
    index = index_of(archive)
    sizes = [(frame.size_bytes, frame.content_bytes) for frame in index.frames]
    (first, content), *others = sizes
    offsets = list(index.offsets)
    yield "fill", lambda: forged(archive, frames=[(first + 1, content), *others])
    yield "fill", lambda: forged(archive, frames=sizes[:-1])
    yield "empty frame", lambda: forged(archive, frames=[(0, 0), *sizes])
    yield "damaged: frame", lambda: forged(archive, frames=[*sizes[:1], (sizes[1][0], sizes[1][1] + 9), *sizes[2:]])
    yield "damaged: frame", lambda: forged(archive, frames=[*sizes[:1], (sizes[1][0], sizes[1][1] - 9), *sizes[2:]])
    yield (
        "malformed|damaged",
        lambda: forged(
            archive,
            frames=[(first + sizes[1][0], content + sizes[1][1]), *sizes[2:]],
            offsets=[FileOffset(0, 0)] * len(offsets),
        ),
    )
    yield "every file has an offset", lambda: forged(archive, offsets=offsets[:-1])
    yield "outside its frame", lambda: forged(archive, offsets=[*offsets[:-1], FileOffset(len(sizes), 0)])
    yield "outside its frame", lambda: forged(archive, offsets=[*offsets[:-1], FileOffset(0, 1 << 40)])
    yield "overlap", lambda: forged(archive, offsets=[offsets[1], *offsets[1:]])
    yield "content of", lambda: forged(archive, offsets=[FileOffset(one.frame, one.offset - 1) for one in offsets])
    yield "malformed", lambda: forged(archive, name="../x")
    yield "malformed", lambda: forged(archive, name="")
    swapped = [*index.manifest.entries]
    where = [number for number, one in enumerate(swapped) if one.kind == EntryKind.FILE]
    swapped[where[0]] = swapped[where[0]]._replace(digest=bytes(32))
    yield "content of", lambda: forged(archive, manifest=Manifest(tuple(swapped)))
    huge = swapped[where[0]]._replace(size=1 << 50)
    yield "outside the archive", lambda: forged(archive, manifest=Manifest((huge, *swapped[1:])), offsets=offsets)


def test_an_index_that_lies_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path, write(tmp_path / "tree", {"a": noise(9 * MIB), "b": b"b" * 50, "c": b"c" * 50}))
    for said, make in lies(archive):
        refused(make(), said)


def test_an_index_that_names_no_index(tmp_path: Path) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"))
    data = archive.read_bytes()
    footer = data[-64:]
    for lie in (
        footer[:32] + (1 << 62).to_bytes(8, "big") + footer[40:],
        footer[:32] + len(data).to_bytes(8, "big") + footer[40:],
        footer[:40] + (1 << 62).to_bytes(8, "big") + footer[48:],
        footer[:40] + (5).to_bytes(8, "big") + footer[48:],
        footer[:-1] + b"2",
    ):
        archive.write_bytes(data[:-64] + lie)
        refused(archive)


class Bytes:
    """An archive in memory behind a reader that may cheat."""

    def __init__(self, data: bytes, cheat: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.size_bytes = len(data)
        self.reads: list[list[tuple[int, int]]] = []
        self._data, self._cheat = data, cheat

    def read(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        self.reads.append(list(ranges))
        return [self._cheat(self._data[start:end]) for start, end in self.reads[-1]]


@each_compression
def test_a_reader_that_gives_too_little_or_too_much(tmp_path: Path, compression: Compression) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"), compression)
    cheats: list[Callable[[bytes], bytes]] = [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
    ]
    for cheat in cheats:
        with pytest.raises(ArchiveError):
            unpack(Bytes(archive.read_bytes(), cheat), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_small_index_takes_one_read_and_a_large_one_two(tmp_path: Path) -> None:
    reader = Bytes(packed(tmp_path, small(tmp_path / "tree")).read_bytes())
    read_index(reader)
    assert len(reader.reads) == 1
    many = write(tmp_path / "many" / "tree", {f"f{number}": b"%d" % number for number in range(4000)})
    reader = Bytes(packed(tmp_path / "many", many).read_bytes())
    assert read_index(reader).manifest == many
    assert len(reader.reads) == 2
    assert sum(end - start for ranges in reader.reads for start, end in ranges) < reader.size_bytes


@pytest.mark.parametrize(
    "limits",
    [
        Limits(entries=10),
        Limits(total_bytes=1000),
        Limits(file_bytes=1000),
        Limits(path_bytes=50),
        Limits(name_bytes=50),
    ],
    ids=["entries", "total", "file", "path", "name"],
)
@each_compression
def test_limits_hold(tmp_path: Path, compression: Compression, limits: Limits) -> None:
    manifest = small(tmp_path / "tree")
    refused(packed(tmp_path, manifest, compression), "refused", limits=limits)
    not_packed(tmp_path, manifest, compression, limits)


def test_limits_of_the_index_hold(tmp_path: Path) -> None:
    archive = packed(tmp_path, small(tmp_path / "tree"))
    refused(archive, "frame of more than", limits=Limits(frame_bytes=1000))
    refused(archive, "index is larger", limits=Limits(index_bytes=1000))
    for limits in (Limits(index_bytes=1000), Limits(index_ratio=1, index_free_bytes=1000)):
        refused(archive, "index", limits=limits)
        not_packed(tmp_path, index_of(archive).manifest, Compression.ZST, limits)


@each_compression
def test_a_bomb_is_refused_unless_its_size_is_expected(tmp_path: Path, compression: Compression) -> None:
    manifest = write(tmp_path / "tree", {"zeros": bytes(20 * MIB)})
    archive = packed(tmp_path, manifest, compression)
    refused(archive, "times its size", limits=Limits(ratio=100, ratio_free_bytes=MIB))
    not_packed(tmp_path, manifest, compression, Limits(ratio=100, ratio_free_bytes=MIB))
    limits = Limits(ratio=100, ratio_free_bytes=MIB)
    assert unpack(archive, tmp_path / "out", expected=manifest, limits=limits) == manifest


def foreign(folder: Path, changes: dict[int, bytes], compression: str) -> Path:
    """A tar of vstore's with a file ``x`` whose header has other bytes at some offsets, and a right checksum."""
    header = bytearray(member(NAME.encode(), entry(b"x")._replace(digest=blake3(b"").digest())))
    for at, data in changes.items():
        header[at : at + len(data)] = data
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data = member(NAME.encode(), entry(b"", EntryKind.DIRECTORY)) + header + bytes(1024)
    archive = folder / f"foreign.tar.{compression}"
    archive.write_bytes(lzma.compress(data) if compression == "xz" else gzip.compress(data))
    return archive


def test_the_unchanged_member_is_read(tmp_path: Path) -> None:
    assert len(unpack(foreign(tmp_path, {}, "gz"), tmp_path / "out").entries) == 1


@pytest.mark.parametrize("compression", ["xz", "gz"])
@pytest.mark.parametrize("kind", [b"1", b"3", b"4", b"6", b"7", b"S", b"L", b"g", b"\0"])
def test_devices_hard_links_and_dialects_are_refused(tmp_path: Path, kind: bytes, compression: str) -> None:
    refused(foreign(tmp_path, {156: kind}, compression), "type")


CHANGES = {
    "set-user-id": {100: b"0004555"},
    "writable": {100: b"0000644"},
    "owner": {108: b"0000001"},
    "group": {116: b"0000001"},
    "time": {136: b"00000000002"},
    "owner's name": {265: b"root"},
    "no ustar": {257: b"gnutar"},
    "other top": {0: b"elsewhere/x"},
    "up": {0: NAME.encode() + b"/../x"},
    "empty part": {0: NAME.encode() + b"//x"},
    "absolute": {0: b"/etc/x"},
    "after NUL": {80: b"y"},
    "size in another base": {124: b"\x80" + bytes(11)},
    "size without content": {124: b"00000000001"},
    "link to root": {156: b"2", 100: b"0000777", 157: b"/etc/passwd"},
    "link out": {156: b"2", 100: b"0000777", 157: b"../../x"},
}


@pytest.mark.parametrize("compression", ["xz", "gz"])
@pytest.mark.parametrize("changes", list(CHANGES.values()), ids=list(CHANGES))
def test_members_that_vstore_would_not_write(tmp_path: Path, changes: dict[int, bytes], compression: str) -> None:
    refused(foreign(tmp_path, changes, compression))


def test_a_file_after_a_link_is_refused(tmp_path: Path) -> None:
    """The order is part of the format, so that no reader ever writes through a link."""
    archive = packed(tmp_path, write(tmp_path / "tree", {"a": "b", "b": b"b"}), Compression.GZ)
    blocks = io.BytesIO(gzip.decompress(archive.read_bytes()))
    top, file, content, link = (blocks.read(512) for _ in range(4))
    archive.write_bytes(gzip.compress(top + link + file + content + blocks.read()))
    refused(archive, "order")


@pytest.mark.skipif(os.name == "nt" or not Path("/dev/full").exists(), reason="needs a POSIX system")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    manifest = large(tmp_path / "tree")
    archive = packed(tmp_path, manifest)
    with no_large_file_written(), pytest.raises(OSError, match="large"):
        unpack(archive, tmp_path / "out", expected=manifest)
    assert not (tmp_path / "out").exists()
