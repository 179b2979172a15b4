"""Whoever can write to a cache, or sits in front of it, can make it miss; nothing else, and nothing is left behind."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, folder_cache, machine
from scripts.testing.trees import recipe
from vstore.archive import ArchiveIndex, FileOffset, FileReader, read_index
from vstore.archive.format import encode_index
from vstore.errors import ArchiveError, CacheError, UsageError
from vstore.fs import zstd
from vstore.objects import Kind, StorePath
from vstore.remote import FileCache, Signer, Trust, publish_channel, pull, read_channel
from vstore.remote.file_cache.layout import archive_key, channel_key, object_key, realisation_key
from vstore.store import Store

NOW = datetime.now(UTC)


@dataclass
class World:
    folder: Path
    cache: FileCache
    builder: Machine
    client: Machine
    paths: tuple[StorePath, StorePath, StorePath]

    def file(self, key: str) -> Path:
        return self.folder / key

    def edit(self, key: str, **changes: object) -> None:
        document = json.loads(self.file(key).read_bytes())
        self.file(key).write_text(json.dumps({**document, **changes}))

    def refused(self, path: StorePath | None = None) -> None:
        """Neither asked for by recipe nor by name does anything come of it."""
        assert self.client.substituter(self.cache).substitute(recipe("low")) is None
        assert len(self.client.said.warnings) == 1
        with pytest.raises((CacheError, ArchiveError)):
            pull(self.client.fetcher(), self.cache, [path or self.paths[0]])
        assert self.client.is_clean()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "cache"
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        paths = builder.add_three()
        builder.push(folder_cache(folder), *paths)
        yield World(folder, folder_cache(folder), builder, client, paths)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "-x", "stable.json", "stable.JSON", "a" * 102])
def test_a_name_that_no_channel_can_have(world: World, name: str) -> None:
    """One that ends with .json would lie where the record of another channel lies."""
    info = world.builder.store.objects.info(world.paths[0])
    assert info is not None
    with pytest.raises(UsageError, match="not a channel name"):
        publish_channel(world.cache, name, info, signer=Signer((KEY,)), lifetime=timedelta(days=1), now=NOW)


def test_an_archive_swapped_for_another(world: World) -> None:
    low, mid, _ = world.paths
    world.file(archive_key(low)).write_bytes(world.file(archive_key(mid)).read_bytes())
    world.refused()


def test_an_archive_swapped_with_what_its_record_says_of_it(world: World) -> None:
    """The tree that then comes is whole, is all that the record's archive promises, and is another's."""
    mine, other = (world.builder.add("low", {"file": name}) for name in (b"mine", b"other"))
    world.builder.push(world.cache, mine, other)
    world.file(archive_key(mine)).write_bytes(world.file(archive_key(other)).read_bytes())
    archive = json.loads(world.file(object_key(other)).read_bytes())["archive"]
    world.edit(object_key(mine), archive=archive)
    with pytest.raises(CacheError, match=re.escape(f"{archive_key(mine)}: ")):
        pull(world.client.fetcher(), world.cache, [mine])
    assert world.client.is_clean()


def test_a_record_swapped_for_another(world: World) -> None:
    low, mid, _ = world.paths
    world.file(object_key(low)).write_bytes(world.file(object_key(mid)).read_bytes())
    world.refused()


def test_an_old_object_given_for_a_recipe(world: World) -> None:
    """The realisation of another recipe, or this one's with another object in it, does not pass for its."""
    key = realisation_key(recipe("low"))
    good = world.file(key).read_bytes()
    world.file(key).write_bytes(world.file(realisation_key(recipe("mid"))).read_bytes())
    assert world.client.substituter(world.cache).substitute(recipe("low")) is None
    world.file(key).write_bytes(good)
    mid = json.loads(world.file(realisation_key(recipe("mid"))).read_bytes())
    world.edit(key, path=mid["path"], digest=mid["digest"], size_bytes=mid["size_bytes"])
    with Store.open(world.folder.parent / "second") as store:
        second = Machine(store)
        assert second.substituter(world.cache).substitute(recipe("low")) is None
        assert "the signature of builder-1 is wrong" in second.said.warnings[0]
        assert second.is_clean()


def test_a_stripped_signature(world: World) -> None:
    world.edit(realisation_key(recipe("low")), signatures=[])
    assert world.client.substituter(world.cache).substitute(recipe("low")) is None
    assert "it is not signed" in world.client.said.warnings[0]
    assert world.client.is_clean()


def test_a_key_that_is_not_trusted(world: World) -> None:
    assert world.client.substituter(world.cache, trust=Trust(keys=(OTHER.public,))).substitute(recipe("low")) is None
    assert world.client.is_clean()


def test_a_record_with_other_references(world: World) -> None:
    low, mid, _ = world.paths
    world.edit(object_key(mid), references=[])
    with pytest.raises(CacheError, match="states other references"):
        pull(world.client.fetcher(), world.cache, [mid])
    world.edit(object_key(low), references=[str(low)])
    with pytest.raises(CacheError, match="in a cycle"):
        pull(world.client.fetcher(), world.cache, [low])
    assert world.client.is_clean()


def test_a_changed_record_lends_no_parts(world: World) -> None:
    world.edit(object_key(world.paths[0]), parts=["00ff"])
    pull(world.client.fetcher(), world.cache, [world.paths[0]])
    assert world.client.store.objects_with_wheel(b"\x00\xff") == []


@pytest.mark.parametrize("keep", [0, 1, 63, 64, 65, 1000, -1])
def test_a_truncated_archive(world: World, keep: int) -> None:
    file = world.file(archive_key(world.paths[0]))
    file.write_bytes(file.read_bytes()[:keep])
    world.refused()


def test_any_byte_of_an_archive_changed(world: World) -> None:
    """It is refused and leaves nothing, or what was changed is not part of the tree."""
    low = world.paths[0]
    file = world.file(archive_key(low))
    good = file.read_bytes()
    refused = 0
    for at in range(0, len(good), max(len(good) // 60, 1)):
        file.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        with machine(world.folder.parent / f"client{at}") as client:
            try:
                pull(client.fetcher(), world.cache, [low])
            except (CacheError, ArchiveError):
                refused += 1
                assert client.is_clean()
            else:
                assert client.store.manifest(low)[0] == world.builder.store.manifest(low)[0]
    assert refused > 20


def archive(world: World) -> tuple[Path, ArchiveIndex, bytes]:
    file = world.file(archive_key(world.paths[0]))
    with FileReader(file) as reader:
        index = read_index(reader)
    frames = file.read_bytes()[: index.frames[-1].offset + index.frames[-1].size_bytes]
    return file, index, frames


def test_an_index_that_lies_about_where_files_are(world: World) -> None:
    file, index, frames = archive(world)
    sizes = [(frame.size_bytes, frame.content_bytes) for frame in index.frames]
    for shift in (-512, 1, 512, 1 << 40):
        places = [FileOffset(one.frame, max(one.offset + shift, 0)) for one in index.offsets]
        file.write_bytes(frames + encode_index(index.name, index.manifest, sizes, places)[0])
        with machine(world.folder.parent / f"client{shift}") as client:
            with pytest.raises((CacheError, ArchiveError)):
                pull(client.fetcher(), world.cache, [world.paths[0]])
            assert client.is_clean()


def test_an_index_that_lies_about_frames(world: World) -> None:
    file, index, frames = archive(world)
    good = [(frame.size_bytes, frame.content_bytes) for frame in index.frames]
    for size, content in ((0, 0), (1 << 50, 0), (-5, 0), (0, 1 << 50), (0, -5)):
        sizes = [(max(stored + size, 0), max(held + content, 0)) for stored, held in good]
        if sizes == good:
            continue
        file.write_bytes(frames + encode_index(index.name, index.manifest, sizes, index.offsets)[0])
        with machine(world.folder.parent / f"client{size}{content}") as client:
            with pytest.raises((CacheError, ArchiveError)):
                pull(client.fetcher(), world.cache, [world.paths[0]])
            assert client.is_clean()


def test_a_bomb_where_a_frame_should_be(world: World) -> None:
    """A gigabyte of zeros in a frame of which the index says that it holds what the files need."""
    file, index, _ = archive(world)
    bomb = zstd.compress(bytes(1 << 30), 1)
    sizes = [(len(bomb), frame.content_bytes) for frame in index.frames]
    file.write_bytes(bomb * len(sizes) + encode_index(index.name, index.manifest, sizes, index.offsets)[0])
    world.edit(object_key(world.paths[0]), archive={**record_archive(world), "size_bytes": file.stat().st_size})
    world.refused()


def test_an_index_that_is_a_bomb(world: World) -> None:
    file, index, frames = archive(world)
    stored = zstd.compress(bytes(1 << 30), 1)
    good, _ = encode_index(index.name, index.manifest, [], [])
    for length in (1 << 30, 1 << 20):
        footer = good[-64:-32] + length.to_bytes(8, "big") + good[-24:]
        file.write_bytes(frames + good[:8] + stored + footer)
        world.edit(object_key(world.paths[0]), archive={**record_archive(world), "size_bytes": file.stat().st_size})
        with machine(world.folder.parent / f"client{length}") as client:
            with pytest.raises((CacheError, ArchiveError)):
                pull(client.fetcher(), world.cache, [world.paths[0]])
            assert client.is_clean()


def record_archive(world: World) -> dict[str, object]:
    found: dict[str, object] = json.loads(world.file(object_key(world.paths[0])).read_bytes())["archive"]
    return found


def test_a_record_that_promises_a_petabyte(world: World) -> None:
    world.edit(object_key(world.paths[0]), archive={**record_archive(world), "size_bytes": 1 << 50})
    world.refused()


@pytest.mark.parametrize("value", ["NaN", "1e999", '"\\ud800"', "[" * 900 + "]" * 900, '{"a": 1, "a": 2}'])
@pytest.mark.parametrize("key", ["metadata", "parts", "kind", "of no meaning"])
def test_a_record_that_could_not_be_written_again(world: World, key: str, value: str) -> None:
    world.edit(object_key(world.paths[0]), **{key: {"a": "HERE"} if key == "metadata" else "HERE"})
    file = world.file(object_key(world.paths[0]))
    file.write_text(file.read_text().replace('"HERE"', value))
    world.refused()


def test_a_cache_that_names_new_objects_for_ever(world: World) -> None:
    """Each record refers to one more; a limit ends it."""

    class Endless:
        url = "endless://"
        numbers = itertools.count()

        def __getattr__(self, name: str) -> object:
            return getattr(world.cache.transport, name)

        def get(self, key: str, *, limit: int) -> bytes | None:
            if not key.startswith("objects/"):
                return world.cache.transport.get(key, limit=limit)
            document = json.loads(world.file(object_key(world.paths[0])).read_bytes())
            path = StorePath.parse(key.split("/")[-1].removesuffix(".json"))
            digests = [f"{next(self.numbers):064x}" for _ in range(200)]
            from vstore.digest import Digest

            references = [str(StorePath.make(Digest.parse(digest[::-1]), f"x{digest}")) for digest in digests]
            own = path.name[1:] if path.name.startswith("x") else document["digest"]
            digest = own[::-1] if path.name.startswith("x") else own
            return json.dumps({**document, "path": str(path), "digest": digest, "references": references}).encode()

    with pytest.raises(CacheError, match="more than 10000 objects"):
        pull(world.client.fetcher(), FileCache(Endless()), [world.paths[0]])  # type: ignore[arg-type]


# channels


def publish(world: World, path: StorePath, days: int = 1) -> int:
    info = world.builder.store.objects.info(path)
    assert info is not None
    lifetime = timedelta(days=days)
    return publish_channel(world.cache, "stable", info, signer=Signer((KEY,)), lifetime=lifetime, now=NOW).record.number


def read(world: World, trust: Trust = TRUST) -> StorePath:
    return read_channel(world.client.store, world.cache, "stable", trust=trust, now=NOW).path


@pytest.fixture
def two_stacks(world: World) -> tuple[StorePath, StorePath]:
    stacks = [world.builder.add("s-stack", {"a": bytes([n])}, kind=Kind.STACK) for n in range(2)]
    world.builder.push(world.cache, *stacks)
    return stacks[0], stacks[1]


def test_a_replayed_channel(world: World, two_stacks: tuple[StorePath, StorePath]) -> None:
    assert publish(world, two_stacks[0]) == 1
    old = world.file(channel_key("stable")).read_bytes()
    assert publish(world, two_stacks[1]) == 2
    assert read(world) == two_stacks[1]
    world.file(channel_key("stable")).write_bytes(old)
    for _ in range(2):
        with pytest.raises(CacheError, match="number 1 is older than 2, which was seen before"):
            read(world)


def test_a_channel_of_which_a_number_is_used_twice(world: World, two_stacks: tuple[StorePath, StorePath]) -> None:
    publish(world, two_stacks[0])
    assert read(world) == two_stacks[0]
    for file in (world.folder / "channels").rglob("*.json"):
        file.unlink()
    assert publish(world, two_stacks[1]) == 1
    with pytest.raises(CacheError, match="number 1 now points to"):
        read(world)


def test_an_expired_channel(world: World, two_stacks: tuple[StorePath, StorePath]) -> None:
    publish(world, two_stacks[0], days=-1)
    with pytest.raises(CacheError, match="it expired at"):
        read(world)


@pytest.mark.parametrize("change", [{"number": 9}, {"expires_at": "2999-01-01T00:00:00+00:00"}, {"signatures": []}])
def test_a_changed_channel(world: World, two_stacks: tuple[StorePath, StorePath], change: dict[str, object]) -> None:
    publish(world, two_stacks[0])
    world.edit(channel_key("stable"), **change)
    with pytest.raises(CacheError, match="is refused"):
        read(world)
    with pytest.raises(CacheError, match="is refused"):
        read(world, trust=Trust(keys=(OTHER.public,)))


def test_another_channel_in_its_place(world: World, two_stacks: tuple[StorePath, StorePath]) -> None:
    publish(world, two_stacks[0])
    world.file(channel_key("beta")).write_bytes(world.file(channel_key("stable")).read_bytes())
    with pytest.raises(CacheError, match="contains the record of another channel"):
        read_channel(world.client.store, world.cache, "beta", trust=TRUST, now=NOW)
