"""A damaged cache is healed by pushing: what is there counts only as far as it is as its record states."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, folder_cache, machine, put_file, put_record
from scripts.testing.servers import nginx
from scripts.testing.trees import recipe
from scripts.testing.world import World as CommandLine
from tests.remote.buckets import SERVERS
from vstore.archive import FileReader, read_index
from vstore.archive.format import encode_index
from vstore.errors import CacheError, UsageError
from vstore.fs import zstd
from vstore.objects import Kind, StorePath
from vstore.remote import (
    FileCache,
    Pushed,
    Pusher,
    PushOptions,
    Signer,
    Trust,
    fetch_sbom,
    publish_channel,
    pull,
    read_channel,
    verify_cache,
)
from vstore.remote.file_cache.layout import (
    CACHE_FILE,
    archive_key,
    channel_key,
    channel_number_key,
    delta_key,
    delta_record_key,
    object_key,
    realisation_key,
    sbom_key,
    sbom_record_key,
)
from vstore.remote.maintenance.integrity import archive_fault
from vstore.remote.records.trust import sign
from vstore.remote.transport.memory import MemoryTransport
from vstore.sbom_format import Sbom, SbomFormat

LIMIT = 1 << 24


@dataclass
class World:
    folder: Path
    builder: Machine
    cache: FileCache
    paths: tuple[StorePath, StorePath, StorePath] = field(init=False)
    clients: int = 0

    def __post_init__(self) -> None:
        self.paths = self.builder.add_three()
        self.push()

    def push(self, *, verify: bool = False) -> Pushed:
        return self.pusher(verify=verify).push(self.paths)

    def pusher(self, *, verify: bool = False) -> Pusher:
        said = self.builder.said
        return Pusher(self.builder.store, self.cache, Signer((KEY,)), PushOptions(verify=verify), reporter=said)

    def get(self, key: str) -> bytes:
        data = self.cache.transport.get(key, limit=LIMIT)
        assert data is not None
        return data

    def put(self, key: str, data: bytes) -> None:
        put_file(self.cache, key, data)

    def edit(self, key: str, **changes: object) -> None:
        self.put(key, json.dumps({**json.loads(self.get(key)), **changes}).encode())

    def problems(self, *, contents: bool = True) -> list[str]:
        store, said = self.builder.store, self.builder.said
        found = verify_cache(store, self.cache, contents=contents, trust=TRUST, reporter=said)[1]
        return [problem.key for problem in found]

    def is_whole(self) -> None:
        """Nothing is found wrong, and an empty machine takes everything, by recipe and by name."""
        assert self.problems() == []
        self.clients += 1
        with machine(self.folder / f"client{self.clients}") as client:
            assert client.substituter(self.cache).substitute(recipe("top")) == self.paths[2]
            assert client.said.warnings == []
            pull(client.fetcher(), self.cache, self.paths)
            for path in self.paths:
                assert client.store.manifest(path)[0] == self.builder.store.manifest(path)[0]
            assert client.store.objects_with_wheel(b"part of low") == [self.paths[0]]


@pytest.fixture(params=["memory", "folder", "moto"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        match request.param:
            case "memory":
                cache = FileCache(MemoryTransport())
            case "folder":
                cache = folder_cache(tmp_path / "cache")
            case server:
                cache = FileCache(stack.enter_context(SERVERS[server](tmp_path / server)).transport())
        yield World(tmp_path, stack.enter_context(machine(tmp_path / "builder")), cache)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """In a folder alone: records are the same everywhere."""
    with machine(tmp_path / "builder") as builder:
        yield World(tmp_path, builder, folder_cache(tmp_path / "cache"))


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


SEEN_AT_ONCE: dict[str, Callable[[World, str], None]] = {
    "gone": lambda world, key: world.cache.writer.delete([key]),
    "empty": lambda world, key: world.put(key, b""),
    "cut off": lambda world, key: world.put(key, world.get(key)[:-1]),
    "longer": lambda world, key: world.put(key, world.get(key) + b"x"),
    "of another object": lambda world, key: world.put(key, world.get(archive_key(world.paths[1]))),
    "without its index": lambda world, key: world.put(key, world.get(key)[:-64] + bytes(64)),
}
SEEN_WHEN_READ = {"first": 0, "early": 30, "middle": -1000, "index": -100}


@pytest.mark.parametrize("damage", SEEN_AT_ONCE)
def test_a_damaged_archive_is_replaced(world: World, damage: str) -> None:
    """Also one lower in the closure, and the channel moves on over whole objects only."""
    low = world.paths[0]
    SEEN_AT_ONCE[damage](world, archive_key(low))
    assert world.problems() == [archive_key(low)]
    done = world.push()
    assert (done.pushed, done.replaced, set(done.present)) == ((low,), (low,), set(world.paths[1:]))
    assert done.archive_bytes > 0
    assert len(world.builder.said.warnings) == 1
    world.is_whole()
    assert world.push().pushed == ()


@pytest.mark.parametrize("place", SEEN_WHEN_READ)
def test_a_flipped_byte_is_replaced_when_all_is_read(world: World, place: str) -> None:
    key = archive_key(world.paths[0])
    world.put(key, flipped(world.get(key), SEEN_WHEN_READ[place]))
    assert world.problems() == [key]
    assert world.push(verify=True).replaced == world.paths[:1]
    world.is_whole()


def test_every_byte_of_an_archive_counts(small: World) -> None:
    """Also those of the first frame, which holds no file, and the last ones; with its SHA-256 put right too."""
    path = small.paths[1]
    key = archive_key(path)
    good = small.get(key)
    with FileReader(small.folder / "cache" / key) as reader:
        frames = read_index(reader).frames
    assert len(frames) > 2
    record = small.cache.object(path)
    assert record is not None
    for at in {*range(0, len(good), 37), *range(frames[0].size_bytes), *range(len(good) - 70, len(good))}:
        small.put(key, flipped(good, at))
        assert archive_fault(small.cache, record, contents=True) is not None, at
    with FileReader(small.folder / "cache" / key) as reader:
        index = read_index(reader)
    content = bytearray(zstd.decompress(good[: frames[0].size_bytes], at_most=frames[0].content_bytes))
    content[0] ^= 1  # the name of the top folder, in the first header
    first = zstd.compress(bytes(content), 3)
    sizes = [(len(first), len(content)), *((frame.size_bytes, frame.content_bytes) for frame in frames[1:])]
    tail, digest = encode_index(index.name, index.manifest, sizes, index.offsets)
    stored = sum(frame.size_bytes for frame in frames)
    wrong = b"".join((first, good[frames[0].size_bytes : stored], tail))
    small.put(key, wrong)
    archive = {**json.loads(small.get(object_key(path)))["archive"], "size_bytes": len(wrong)}
    archive |= {"sha256": sha256(wrong).hexdigest(), "index_digest": str(digest)}
    small.edit(object_key(path), archive=archive)
    assert key in small.problems()


def test_a_record_that_states_another_tar_stream_is_found(small: World) -> None:
    path, *_ = small.paths
    archive = json.loads(small.get(object_key(path)))["archive"]
    small.edit(object_key(path), archive={**archive, "diff_id": archive["sha256"]})
    assert archive_key(path) not in small.problems(contents=False)
    assert archive_key(path) in small.problems()


def test_an_archive_that_agrees_with_a_wrong_record_is_found(small: World) -> None:
    """A record that states the digests of another archive, or of this one in its damaged form."""
    low, mid, _ = small.paths
    other = json.loads(small.get(object_key(mid)))["archive"]
    small.put(archive_key(low), small.get(archive_key(mid)))
    small.edit(object_key(low), archive=other)
    assert archive_key(low) in small.problems(contents=False)
    assert small.push(verify=True).replaced == (low,)
    small.is_whole()


RECORDS: dict[str, Callable[[World, str], None]] = {
    "gone": lambda world, key: world.cache.writer.delete([key]),
    "empty": lambda world, key: world.put(key, b""),
    "cut off": lambda world, key: world.put(key, world.get(key)[:-9]),
    "of another object": lambda world, key: world.put(key, world.get(object_key(world.paths[1]))),
    "not signed": lambda world, key: world.edit(key, signatures=[]),
    "signed wrongly": lambda world, key: world.edit(key, size_bytes=7),
    "of another kind": lambda world, key: world.edit(key, kind="stack"),
    "with other parts": lambda world, key: world.edit(key, parts=[]),
    "with other metadata": lambda world, key: world.edit(key, metadata={"recipe_text": {}}, signatures=[]),
    "with other references": lambda world, key: world.edit(key, references=[str(world.paths[1])]),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_a_damaged_record_is_replaced(small: World, damage: str) -> None:
    key = object_key(small.paths[0])
    RECORDS[damage](small, key)
    assert small.problems() != []
    small.push()
    small.is_whole()


@pytest.mark.parametrize("change", ["size_bytes", "kind", "sha256"])
def test_a_record_that_is_signed_and_wrong_is_replaced(small: World, change: str) -> None:
    """As one that a mistake, and not a stranger, has made: what it says is compared, whoever has signed it."""
    key = object_key(small.paths[0])
    good = small.cache.object(small.paths[0])
    assert good is not None
    bare = replace(good, signatures=())
    match change:
        case "size_bytes":
            bare = replace(bare, size_bytes=7)
        case "kind":
            bare = replace(bare, kind=Kind.STACK)
        case _:
            bare = replace(bare, archive=replace(bare.archive, sha256="0" * 64))
    put_record(small.cache, key, sign(bare, [KEY]))
    assert small.push(verify=change == "sha256").replaced == small.paths[:1]
    assert small.cache.object(small.paths[0]) == good


REALISATIONS: dict[str, Callable[[World, str], None]] = {
    "gone": lambda world, key: world.cache.writer.delete([key]),
    "empty": lambda world, key: world.put(key, b""),
    "not signed": lambda world, key: world.edit(key, signatures=[]),
    "of another size": lambda world, key: world.edit(key, size_bytes=7),
    "of another recipe": lambda world, key: world.put(key, world.get(realisation_key(recipe("low")))),
    "of another object": lambda world, key: world.edit(
        key, path=str(world.paths[1]), digest=json.loads(world.get(object_key(world.paths[1])))["digest"]
    ),
    "of a digest that is not the object's": lambda world, key: world.edit(key, digest="0" * 64),
}


@pytest.mark.parametrize("damage", REALISATIONS)
def test_a_damaged_realisation_is_replaced(small: World, damage: str) -> None:
    REALISATIONS[damage](small, realisation_key(recipe("top")))
    done = small.push()
    assert (done.pushed, done.conflicts) == ((), ())
    small.is_whole()
    told = [text for text in small.builder.said.warnings if realisation_key(recipe("top")) in text]
    assert len(told) == (damage not in ("gone", "not signed")), told


def test_what_another_builder_says_is_not_replaced(small: World) -> None:
    """His key is not known here, so nothing tells that he is wrong."""
    with machine(small.folder / "other") as other:
        path = other.add("top", {"a": b"another top"})
        other.push(small.cache, path, keys=(OTHER,))
        conflicts = small.push().conflicts
        assert conflicts == ()  # the first answer is this builder's, and stays
        small.cache.writer.delete([realisation_key(recipe("top"))])
        other.push(small.cache, path, keys=(OTHER,))
    (conflict,) = small.push().conflicts
    assert "builders disagree" in conflict


def test_a_new_key_signs_what_is_there_only_when_all_of_it_is_right(small: World) -> None:
    """Keys are changed by pushing again with both: each record that is there gets the new signature too."""
    key = archive_key(small.paths[0])
    small.put(key, flipped(small.get(key), -1000))
    store, said = small.builder.store, small.builder.said
    done = Pusher(store, small.cache, Signer((KEY, OTHER)), reporter=said).push(small.paths)
    assert done.replaced == small.paths[:1]
    small.is_whole()
    both = Trust(keys=(KEY.public, OTHER.public), require=2)
    assert verify_cache(store, small.cache, contents=True, trust=both, reporter=said)[1] == []


@pytest.mark.parametrize("data", [None, b"", b"{}", b'{"compression":"zst"'])
def test_the_file_that_makes_it_a_cache_is_written_again(world: World, data: bytes | None) -> None:
    if data is None:
        world.cache.writer.delete([CACHE_FILE])
    else:
        world.put(CACHE_FILE, data)
    world.cache = FileCache(world.cache.transport)  # this one has not seen it yet
    assert world.push().pushed == ()
    world.is_whole()


def test_neither_a_newer_cache_nor_the_folder_of_another_is_written_to(small: World) -> None:
    good = small.get(CACHE_FILE)
    small.put(CACHE_FILE, b'{"format":2}')
    small.cache = folder_cache(small.folder / "cache")
    with pytest.raises(CacheError, match="it has format 2"):
        small.push()
    assert small.get(CACHE_FILE) == b'{"format":2}'
    other = small.folder / "other"
    (other / "objects" / "ab").mkdir(parents=True)
    (other / "objects" / "ab" / "notes.json").write_bytes(b"{}")
    small.cache = folder_cache(other)
    with pytest.raises(UsageError, match="neither a cache nor an empty folder"):
        small.push()
    assert good and not (other / CACHE_FILE).exists()


# channels


def publish(world: World, content: bytes) -> StorePath:
    name = f"stack {content!r}"
    path = world.builder.add("s-stack", {"stack.json": content}, world.paths, recipe_name=name)
    assert world.pusher().push([path]).conflicts == ()
    info = world.builder.store.objects.info(path)
    assert info is not None and info.kind == Kind.STACK
    publish_channel(world.cache, "c", info, signer=Signer((KEY,)), lifetime=timedelta(days=1), now=datetime.now(UTC))
    return path


def read(world: World) -> StorePath:
    return read_channel(world.builder.store, world.cache, "c", trust=TRUST, now=datetime.now(UTC)).path


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 2000])
def test_a_damaged_channel_is_replaced_with_a_higher_number(small: World, data: bytes) -> None:
    publish(small, b"1")
    publish(small, b"2")
    small.put(channel_key("c"), data)
    assert small.problems() == [channel_key("c")]
    path = publish(small, b"3")
    assert read(small) == path
    assert small.problems() == []
    found = small.cache.channel("c")
    assert found is not None and found.number == 3


def test_a_number_that_nobody_signed_moves_no_channel(small: World) -> None:
    publish(small, b"1")
    small.edit(channel_key("c"), number=1 << 50)
    path = publish(small, b"2")
    assert read(small) == path
    found = small.cache.channel("c")
    assert found is not None and found.number == 2
    small.put(channel_number_key("c", 2), b"")
    assert sorted(small.problems()) == sorted([channel_key("c"), channel_number_key("c", 2)])
    path = publish(small, b"3")
    assert read(small) == path


# deltas


@pytest.fixture
def versions(small: World) -> tuple[World, StorePath, StorePath]:
    pytest.importorskip("hdiffpatch")
    content = small.builder.store.layout.object(small.paths[0]).joinpath("big").read_bytes()
    old = small.paths[0]
    new = small.builder.add("low", {"a": b"new", "big": content[:1000] + b"new" + content[1000:]}, recipe_name="low 2")
    pusher = small.pusher()
    pusher.push([new])
    assert pusher.push_deltas([new], old) > 0
    return small, new, old


DELTAS: dict[str, Callable[[World, str, str], None]] = {
    "gone": lambda world, record, delta: world.cache.writer.delete([delta]),
    "cut off": lambda world, record, delta: world.put(delta, world.get(delta)[:-1]),
    "flipped": lambda world, record, delta: world.put(delta, flipped(world.get(delta), -1)),
    "without a signature": lambda world, record, delta: world.edit(record, signatures=[]),
    "with an empty record": lambda world, record, delta: world.put(record, b""),
    "with another's record": lambda world, record, delta: world.edit(record, old=str(world.paths[1])),
}


@pytest.mark.parametrize("damage", DELTAS)
def test_a_damaged_delta_is_found_and_replaced(versions: tuple[World, StorePath, StorePath], damage: str) -> None:
    world, new, old = versions
    record, delta = delta_record_key(new, old), delta_key(new, old)
    good = world.get(delta)
    assert world.problems() == []
    DELTAS[damage](world, record, delta)
    assert world.problems() in ([record], [delta])
    pusher = world.pusher(verify=damage == "flipped")
    assert pusher.push_deltas([new], old) == len(good)
    assert world.get(delta) == good
    assert world.problems() == []
    assert pusher.push_deltas([new], old) == 0


# SBOMs

SBOMS: dict[str, Callable[[World, str, str], None]] = {
    "gone": lambda world, record, sbom: world.cache.writer.delete([sbom]),
    "cut off": lambda world, record, sbom: world.put(sbom, world.get(sbom)[:-1]),
    "flipped": lambda world, record, sbom: world.put(sbom, flipped(world.get(sbom), -1)),
    "without a signature": lambda world, record, sbom: world.edit(record, signatures=[]),
    "with an empty record": lambda world, record, sbom: world.put(record, b""),
    "with another's record": lambda world, record, sbom: world.edit(record, path=str(world.paths[1])),
    "with the record of another format": lambda world, record, sbom: world.edit(record, sbom="spdx"),
    "with the digest of another": lambda world, record, sbom: world.edit(record, sha256="0" * 64),
}


@pytest.mark.parametrize("damage", SBOMS)
def test_a_damaged_sbom_is_found_refused_and_replaced(small: World, damage: str) -> None:
    top, form = small.paths[2], SbomFormat.CYCLONEDX
    record, key = sbom_record_key(top, form), sbom_key(top, form)
    sbom = Sbom(top, form, b"a document")
    assert small.pusher().push_sbom(sbom)[1] == len(sbom.data)
    assert small.problems() == []
    SBOMS[damage](small, record, key)
    found = small.problems()
    assert found and set(found) <= {record, key}
    with pytest.raises(CacheError):
        fetch_sbom(small.builder.store, small.cache, top, form, TRUST)
    pusher = small.pusher(verify=damage == "flipped")
    assert pusher.push_sbom(sbom)[1] == len(sbom.data)
    assert small.problems() == []
    assert fetch_sbom(small.builder.store, small.cache, top, form, TRUST) == sbom
    assert pusher.push_sbom(sbom)[1] == 0


def test_a_file_of_no_cache_is_one_line_of_a_check(small: World) -> None:
    for key in ("archives/xx/what", "pins/what.json", "channels/c/what.json"):
        small.put(key, b"")
    assert len(small.problems()) == 3
    with pytest.raises(CacheError, match="unexpected file"):
        small.cache.inventory()


def test_the_commands_say_what_is_damaged_and_heal_it(small: World) -> None:
    """As the hint of `cache verify` says, while clients read over HTTP."""
    machines = [CommandLine(small.folder / name, small.folder / name) for name in ("builder", "client")]
    builder, client = machines
    small.builder.store.close()
    builder.json("key", "generate", "one")
    place, top = str(small.folder / "shop"), str(small.paths[2])
    builder.json("push", place, top)
    file = small.folder / "shop" / archive_key(small.paths[0])
    file.write_bytes(flipped(file.read_bytes(), 0))
    assert builder.json("push", place, top)["replaced"] == []
    said = builder.run("cache", "verify", "--contents", place, code=10)[1]
    assert f"hint: `vstore push --verify {place} WHAT`" in said
    healed = builder.json("push", "--verify", place, top)
    assert healed["replaced"] == healed["pushed"] == [str(small.paths[0])]
    assert builder.json("cache", "verify", "--contents", place)["problems"] == []
    with nginx(small.folder / "nginx", small.folder) as url:
        file.unlink()
        assert client.run("pull", f"{url}/shop", top, code=10)[1].count("error:") == 1
        out, said = builder.run("push", place, top)
        assert "pushed 1 object," in out and "(1 were damaged there); 2 already in the cache" in out
        assert "is replaced: its archive is missing" in said
        assert client.json("pull", f"{url}/shop", top)["paths"] == [top]
