"""A delta makes changed large files from older ones; one that is bad costs a warning and the ranges."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, Machine, folder_cache, machine, put_file, put_record
from vstore.cancel import Cancelled, CancelToken
from vstore.digest import canonical_json
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import FileCache, Pusher, Signer, pull
from vstore.remote.file_cache.layout import delta_key, delta_record_key
from vstore.remote.records.model import DeltaRecord
from vstore.remote.records.trust import sign
from vstore.remote.sync.delta import apply_delta, make_delta, read_patches
from vstore.remote.sync.delta_base import unversioned
from vstore.remote.sync.pull import Pulled
from vstore.store import Store

pytest.importorskip("hdiffpatch")


def library(version: int, size: int = 1 << 20) -> bytes:
    """Machine code as it is linked again: every 200 bytes an address that has moved."""
    noise = random.Random(7)
    parts = [noise.randbytes(196) + (number * 4 + version * 4096).to_bytes(4, "big") for number in range(size // 200)]
    return b"".join(parts[: len(parts) // 3] + [b"new code"] * version + parts[len(parts) // 3 :])


@dataclass
class World:
    builder: Machine
    client: Machine
    cache: FileCache
    old: StorePath
    new: StorePath

    def push_delta(self) -> int:
        pusher = Pusher(self.builder.store, self.cache, Signer((KEY,)), reporter=self.builder.said)
        return pusher.push_deltas([self.new], self.old)

    def upgrade(self) -> Pulled:
        """The client has the old one, and takes the new one; that it is right is checked here."""
        pull(self.client.fetcher(), self.cache, [self.old])
        found = pull(self.client.fetcher(), self.cache, [self.new])
        assert self.client.store.manifest(self.new)[0] == self.builder.store.manifest(self.new)[0]
        return found

    def replace(self, data: bytes, *, key: object = KEY) -> None:
        """Put another delta there, signed as if it were good."""
        record = DeltaRecord(new=self.new, old=self.old, size_bytes=len(data), sha256=sha256(data).hexdigest())
        signed = sign(record, [OTHER if key is OTHER else KEY])
        put_file(self.cache, delta_key(self.new, self.old), data)
        put_record(self.cache, delta_record_key(self.new, self.old), signed)

    def delta(self) -> bytes:
        data = self.cache.transport.get(delta_key(self.new, self.old), limit=1 << 24)
        assert data is not None
        return data


def files_of(store: Store, path: StorePath) -> dict[bytes, Path]:
    """The places of an object's files by their digests."""
    tree = store.layout.object(path)
    return {entry.digest: tree / os.fsdecode(entry.path) for entry in store.manifest(path)[0].entries}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        old = builder.add(
            "framework", {"lib/x.libs/liba-0123abcd.so": library(0), "lib/b.so": library(3), "same": b"same"}
        )
        new = builder.add(
            "framework", {"lib/x.libs/liba-89abcdef.so": library(1), "lib/b.so": library(4), "same": b"same"}
        )
        cache = folder_cache(tmp_path / "cache")
        builder.push(cache, old, new)
        yield World(builder, client, cache, old, new)


def test_the_next_version_costs_a_tenth(world: World) -> None:
    assert world.push_delta() > 0
    record = world.cache.object(world.new)
    assert record is not None
    found = world.upgrade()
    assert found.fetched_bytes < 0.1 * record.archive.size_bytes + (128 << 10)  # the read that finds the index
    assert world.client.said.warnings == []
    assert world.push_delta() == 0, "it is there already"


def test_without_a_delta_the_files_themselves_are_fetched(world: World) -> None:
    record = world.cache.object(world.new)
    assert record is not None
    assert world.upgrade().fetched_bytes > 0.9 * record.archive.size_bytes


def test_one_that_nobody_trusted_signed_is_not_looked_at(world: World) -> None:
    world.push_delta()
    world.replace(world.delta(), key=OTHER)
    record = world.cache.object(world.new)
    assert record is not None
    assert world.upgrade().fetched_bytes > 0.9 * record.archive.size_bytes


def bad_deltas(good: bytes) -> dict[str, bytes]:
    index = read_patches(BytesIO(good))
    entries = [
        {"old": p.old.hex(), "new": p.new.hex()}
        | {key: getattr(p, key) for key in ("old_at", "old_bytes", "size_bytes", "patch_bytes")}
        for p in index
    ]
    swapped = [{**one, "new": other["new"]} for one, other in zip(entries, reversed(entries), strict=True)]
    text, patches = canonical_json(swapped), good[index[0].at :]
    middle = index[0].at + index[0].patch_bytes // 2
    noise = random.Random(1).randbytes(len(patches))
    head = good[: index[0].at]
    return {
        "empty": b"",
        "cut off": good[:-1],
        "a byte changed": good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1 :],
        "noise": head + noise,
        "files swapped": good[:15] + len(text).to_bytes(4, "big") + text + patches,
        "no index": b"vstore-delta-2\n\0\0\0\x02{}",
    }


@pytest.mark.parametrize("kind", ["empty", "cut off", "a byte changed", "noise", "files swapped", "no index"])
def test_a_bad_one_costs_a_warning_and_the_ranges(world: World, kind: str) -> None:
    """Even signed: whoever signs is believed as to what it is, not that it does no harm."""
    world.push_delta()
    world.replace(bad_deltas(world.delta())[kind])
    world.upgrade()
    assert len(world.client.said.warnings) <= 1
    assert world.client.said.warnings or kind in ("empty", "no index")


def test_patches_and_families() -> None:
    assert unversioned(b"numpy.libs/libscipy_openblas64_-fdde5778.so") == unversioned(
        b"numpy.libs/libscipy_openblas64_-01234567.so"
    )
    assert unversioned(b"site/torch-2.9.0.dist-info/RECORD") == unversioned(b"site/torch-2.9.1.dist-info/RECORD")
    assert unversioned(b"a/libfoo.so") != unversioned(b"a/libbar.so")


def test_a_delta_that_saves_nothing_is_not_made(world: World) -> None:
    noise = random.Random(5)
    a = world.builder.add("x", {"f": noise.randbytes(100_000)})
    b = world.builder.add("x", {"f": noise.randbytes(100_000)})
    trees = [world.builder.store.layout.object(path) for path in (a, b)]
    manifests = [world.builder.store.manifest(path)[0] for path in (a, b)]
    assert make_delta(trees[0], manifests[0], trees[1], manifests[1]) is None


@pytest.mark.slow
def test_a_large_file_is_made_window_by_window(world: World, tmp_path: Path) -> None:
    """So that a file of any size takes no more memory; what was inserted moves all that follows."""
    noise = random.Random(5).randbytes(36 << 20)
    a = world.builder.add("x", {"f": noise})
    b = world.builder.add("x", {"f": b"new code" * 50_000 + noise})
    trees = [world.builder.store.layout.object(path) for path in (a, b)]
    manifests = [world.builder.store.manifest(path)[0] for path in (a, b)]
    delta = make_delta(trees[0], manifests[0], trees[1], manifests[1])
    assert delta is not None and len(delta) < 100_000
    assert [one.size_bytes for one in read_patches(BytesIO(delta))] == [32 << 20, (4 << 20) + 400_000]
    record = DeltaRecord(new=b, old=a, size_bytes=len(delta), sha256=sha256(delta).hexdigest())
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "delta").write_bytes(delta)
    (made,) = apply_delta(
        folder / "delta", record, lambda _: trees[0] / "f", manifests[1], folder, CancelToken()
    ).values()
    assert made.read_bytes() == (trees[1] / "f").read_bytes()


@pytest.mark.parametrize("name", ["a\tb", "a\nb", '"', os.fsdecode(b"\xff")])
def test_the_name_of_an_old_file_says_nothing_to_the_process_that_patches(
    world: World, tmp_path: Path, name: str
) -> None:
    """A store takes files of any name, from whoever made them."""
    world.push_delta()
    record = world.cache.delta(world.new, world.old)
    assert record is not None
    donors, folder, tree = tmp_path / name, tmp_path / "made", world.builder.store.layout.object(world.old)
    places = {key: file.relative_to(tree) for key, file in files_of(world.builder.store, world.old).items()}
    shutil.copytree(tree, donors)
    folder.mkdir()
    (tmp_path / "delta").write_bytes(world.delta())
    before = set(tmp_path.iterdir())
    expected = world.builder.store.manifest(world.new)[0]
    made = apply_delta(
        tmp_path / "delta", record, lambda digest: donors / places[digest], expected, folder, CancelToken()
    )
    assert made and {place.parent for place in made.values()} == {folder}
    assert set(tmp_path.iterdir()) == before


def test_what_a_patch_gives_is_not_taken_for_another_file_of_its_size(world: World, tmp_path: Path) -> None:
    made = [library(version, 200_000) for version in (0, 1)]
    old, new = (world.builder.add("x", {"a": data, "b": data[::-1]}) for data in made)
    trees = [world.builder.store.layout.object(path) for path in (old, new)]
    manifests = [world.builder.store.manifest(path)[0] for path in (old, new)]
    delta = make_delta(trees[0], manifests[0], trees[1], manifests[1])
    assert delta is not None
    first, second = (patch.new.hex().encode() for patch in read_patches(BytesIO(delta)))
    swapped = delta.replace(first, b"-" * 64).replace(second, first).replace(b"-" * 64, second)
    places = files_of(world.builder.store, old)
    for number, data in enumerate((delta, swapped)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / "delta").write_bytes(data)
        record = DeltaRecord(new=new, old=old, size_bytes=len(data), sha256=sha256(data).hexdigest())
        if data is delta:
            assert len(apply_delta(folder / "delta", record, places.get, manifests[1], folder, CancelToken())) == 2
        else:
            with pytest.raises(CacheError, match="makes another file than it states"):
                apply_delta(folder / "delta", record, places.get, manifests[1], folder, CancelToken())


def test_a_stop_ends_patching(world: World, tmp_path: Path) -> None:
    world.push_delta()
    record = world.cache.delta(world.new, world.old)
    assert record is not None
    (tmp_path / "delta").write_bytes(world.delta())
    places = files_of(world.builder.store, world.old)
    cancel, expected = CancelToken(), world.builder.store.manifest(world.new)[0]
    cancel.set()
    with pytest.raises(Cancelled):
        apply_delta(tmp_path / "delta", record, places.get, expected, tmp_path, cancel)


def test_a_window_larger_than_any_that_is_made_is_refused() -> None:
    good = {"old": "00" * 32, "new": "11" * 32, "old_at": 0, "old_bytes": 0, "size_bytes": 0, "patch_bytes": 0}

    def delta(**changes: object) -> bytes:
        text = json.dumps([good | changes], sort_keys=True, separators=(",", ":")).encode()
        return b"vstore-delta-2\n" + len(text).to_bytes(4, "big") + text

    assert len(read_patches(BytesIO(delta(size_bytes=32 << 20, old_bytes=64 << 20)))) == 1
    for change in (
        {"size_bytes": (32 << 20) + 1},
        {"old_bytes": (64 << 20) + 1},
        {"old_at": float("inf")},
        {"patch_bytes": -1},
        {"size_bytes": "7"},
        {"old": "00"},
        {"new": None},
        {"more": 1},
    ):
        with pytest.raises(CacheError):
            read_patches(BytesIO(delta(**change)))


def test_a_malformed_index_is_refused() -> None:
    for data in (b"", b"vstore-delta-2\n", b"vstore-delta-2\n\0\0\0\x02[]x", b"other"):
        with pytest.raises(CacheError, match="malformed delta"):
            read_patches(BytesIO(data))
