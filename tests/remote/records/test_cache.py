"""What every kind of cache promises: one suite over a folder, Debian's docker-registry, and both in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, folder_cache, machine
from scripts.testing.memory_registry import MemoryRepository
from scripts.testing.registries import LocalRegistry, docker_registry
from scripts.testing.trees import recipe
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import (
    Cache,
    CachePolicy,
    Channel,
    FileCache,
    Pusher,
    Signer,
    Trust,
    collect_cache,
    fetch_sbom,
    open_cache,
    plan_cache_gc,
    publish_channel,
    pull,
    read_channel,
    verify_cache,
)
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import NO_TRUST
from vstore.remote.registry_cache import RegistryCache
from vstore.remote.transport.memory import MemoryTransport
from vstore.sbom_format import Sbom, SbomFormat

BOTH = Trust(keys=(KEY.public, OTHER.public), require=2)
EITHER = Trust(keys=(KEY.public, OTHER.public))
LATER = datetime(2030, 1, 1, tzinfo=UTC)  # by then everything that a test writes is old


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@dataclass
class World:
    """Two builders and a client around one cache."""

    cache: Cache
    builder: Machine
    other: Machine
    client: Machine
    paths: tuple[StorePath, ...]

    def push_both(self) -> None:
        self.push(self.builder, KEY.public.name)
        self.push(self.other, OTHER.public.name)

    def push(self, builder: Machine, key: str) -> None:
        """Push as one of two builders that know each other."""
        self.pusher(builder, key).push(self.paths)

    def pusher(self, builder: Machine, key: str) -> Pusher:
        return Pusher(builder.store, self.cache, signer(key), reporter=builder.said)

    def publish(self, path: StorePath, key: str = KEY.name) -> Channel:
        info = self.builder.store.objects.info(path)
        assert info is not None
        lifetime = timedelta(days=9)
        now = datetime.now(UTC)
        return publish_channel(self.cache, "stable", info, signer=signer(key), lifetime=lifetime, now=now).record

    def channel(self, trust: Trust = TRUST) -> Channel:
        return read_channel(self.client.store, self.cache, "stable", trust=trust, now=datetime.now(UTC))


def signer(key: str) -> Signer:
    return Signer([one for one in (KEY, OTHER) if one.name == key], Trust(keys=EITHER.keys))


@pytest.fixture(params=["folder", "memory", "registry", "memory registry"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    match request.param:
        case "folder":
            cache: Cache = folder_cache(tmp_path / "cache")
        case "memory":
            cache = FileCache(MemoryTransport())
        case "memory registry":
            cache = RegistryCache(MemoryRepository())
        case _:
            registry = request.getfixturevalue("registry")
            cache = open_cache(registry.url(f"team/{tmp_path.name.replace('_', '-').lower().strip('-')}"))
    with machine(tmp_path / "a") as builder, machine(tmp_path / "b") as other, machine(tmp_path / "c") as client:
        paths = builder.add_three()
        assert other.add_three() == paths
        yield World(cache, builder, other, client, paths)


def test_nothing_is_there_before_a_push(world: World) -> None:
    top = world.paths[2]
    assert not world.cache.exists()
    assert world.cache.realisation(recipe("top"), TRUST) is None
    assert world.cache.object(top, TRUST) is None
    assert world.cache.object(top, NO_TRUST) is None
    assert world.cache.delta(top, world.paths[0], TRUST) is None
    assert world.cache.channel("stable", TRUST) is None
    assert world.cache.channel("stable", TRUST, number=1) is None
    assert world.cache.channel_names() == set()
    with pytest.raises(CacheError, match="there is no cache at"):
        world.cache.inventory()


def test_what_is_pushed_is_substituted_and_pulled(world: World) -> None:
    world.push(world.builder, KEY.name)
    with closing(world.client.substituter(world.cache)) as substituter:
        assert substituter.substitute(recipe("top")) == world.paths[2]
    assert world.client.said.warnings == []
    assert all(world.client.store.is_valid(path) for path in world.paths)
    assert world.client.store.realisation(recipe("top")) == world.paths[2]


def test_an_object_can_be_pulled_by_its_path_without_trust(world: World) -> None:
    world.push(world.builder, KEY.name)
    pull(world.client.fetcher(NO_TRUST), world.cache, [world.paths[2]])
    stranger = Trust(keys=(OTHER.public,))
    assert world.client.store.is_valid(world.paths[0])
    assert world.cache.object(world.paths[0], stranger) is not None, "a client with other keys finds it too"


def test_nothing_is_written_by_a_second_push(world: World) -> None:
    first = world.pusher(world.builder, KEY.name).push(world.paths)
    before = world.cache.inventory()
    again = world.pusher(world.builder, KEY.name).push(world.paths)
    assert (len(first.pushed), again.pushed, set(again.present)) == (3, (), set(world.paths))
    assert world.cache.inventory() == before


def test_an_archive_is_read_in_parts_and_whole(world: World, tmp_path: Path) -> None:
    world.push(world.builder, KEY.name)
    record = world.cache.object(world.paths[0], TRUST)
    assert record is not None
    archive, size = world.cache.file(record), record.archive.size_bytes
    assert archive.size_bytes() == size
    assert archive.download(tmp_path / "whole", limit=size) == size
    whole = (tmp_path / "whole").read_bytes()
    assert archive.get_ranges([(0, 10), (100, size)]) == [whole[:10], whole[100:]]
    gone = world.cache.file(replace(record, path=world.paths[1], archive=replace(record.archive, sha256="0" * 64)))
    world.cache.writer.delete(world.cache.inventory().items[world.paths[1]].keys)
    assert (gone.size_bytes(), gone.get_ranges([(0, 1)]), gone.download(tmp_path / "gone", limit=9)) == (
        None,
        None,
        None,
    )


def test_two_builders_together_satisfy_who_requires_two(world: World) -> None:
    world.push(world.builder, KEY.name)
    with closing(world.client.substituter(world.cache, trust=BOTH)) as substituter:
        assert substituter.substitute(recipe("top")) is None
    world.push(world.other, OTHER.name)
    found = world.cache.realisation(recipe("top"), BOTH)
    assert found is not None and BOTH.trusts(found)
    described = world.cache.object(world.paths[2], BOTH)
    assert described is not None and BOTH.trusts(described)
    assert {one.key for one in world.cache.inventory().items[world.paths[2]].record.signatures} == {
        KEY.name,
        OTHER.name,
    }


def test_builders_who_disagree_are_told_and_the_first_answer_stays(world: World) -> None:
    world.push(world.builder, KEY.name)
    different = world.other.add("different", recipe_name="top")
    info = world.other.store.objects.info(different)
    assert info is not None
    world.pusher(world.other, OTHER.name).push([different])
    assert any("builders disagree" in text for text in world.other.said.warnings)
    for trust in (TRUST, EITHER):
        found = world.cache.realisation(recipe("top"), trust)
        assert found is not None and found.path == world.paths[2] and trust.trusts(found)
    stated = world.cache.writer.add_realisation(Realisation.of(info, recipe("top")), signer(KEY.name), print)
    assert stated == world.paths[2], "nor does a key change its own answer"
    found = world.cache.realisation(recipe("top"), TRUST)
    assert found is not None and found.path == world.paths[2]


def test_a_delta_makes_the_next_version_small(world: World) -> None:
    pytest.importorskip("hdiffpatch")
    content = random.Random(1).randbytes(1 << 20)
    old, new = (world.builder.add("large", {"a": content[:-1] + last}) for last in (b"1", b"2"))
    pusher = world.pusher(world.builder, KEY.name)
    pusher.push([old, new])
    assert pusher.push_deltas([new], old) > 0
    assert pusher.push_deltas([new], old) == 0, "it is there already"
    record = world.cache.delta(new, old, TRUST)
    assert record is not None and TRUST.trusts(record)
    assert world.cache.file(record).size_bytes() == record.size_bytes
    pull(world.client.fetcher(), world.cache, [old])
    assert pull(world.client.fetcher(), world.cache, [new]).fetched_bytes < 200_000
    assert world.client.said.warnings == []
    assert [one.new for one in world.cache.inventory().deltas.values()] == [new]


CYCLONEDX, SPDX = SbomFormat.CYCLONEDX, SbomFormat.SPDX


def test_an_sbom_is_fetched_as_its_keys_signed_it(world: World) -> None:
    top, store = world.paths[2], world.client.store
    world.push_both()
    first, second = (Sbom(top, CYCLONEDX, data) for data in (b"the first", b"the second one"))
    pusher, other = world.pusher(world.builder, KEY.name), world.pusher(world.other, OTHER.name)
    assert pusher.push_sbom(first)[1] == 9
    assert pusher.push_sbom(first)[1] == 0, "it is there already"
    assert fetch_sbom(store, world.cache, top, CYCLONEDX, TRUST) == first
    with pytest.raises(CacheError, match=r"has no SBOM of .*-top as spdx"):
        fetch_sbom(store, world.cache, top, SPDX, TRUST)
    with pytest.raises(CacheError, match=r"has no SBOM of .*-low as cyclonedx"):
        fetch_sbom(store, world.cache, world.paths[0], CYCLONEDX, TRUST)
    for trust in (BOTH, Trust(keys=(OTHER.public,)), NO_TRUST):
        with pytest.raises(CacheError, match=r"1 of the 2 required keys|not trusted|has no SBOM"):
            fetch_sbom(store, world.cache, top, CYCLONEDX, trust)
    other.push_sbom(first)
    assert fetch_sbom(store, world.cache, top, CYCLONEDX, BOTH) == first
    pusher.push_sbom(Sbom(top, SPDX, b"spdx"))
    pusher.push_sbom(second)
    assert fetch_sbom(store, world.cache, top, CYCLONEDX, TRUST) == second
    assert fetch_sbom(store, world.cache, top, SPDX, TRUST).data == b"spdx"
    replaced = f"is replaced: {OTHER.name} had signed another one"
    assert [replaced in text for text in world.builder.said.warnings] == [True] * isinstance(world.cache, FileCache)
    assert world.client.said.warnings == []


def test_an_sbom_is_deleted_with_its_object(world: World) -> None:
    top, client = world.paths[2], world.client
    world.push(world.builder, KEY.name)
    world.publish(world.paths[1])
    for path in world.paths[1:]:
        world.pusher(world.builder, KEY.name).push_sbom(Sbom(path, CYCLONEDX, str(path).encode()))
    inventory = world.cache.inventory()
    assert {one.path for one in inventory.sboms.values()} == set(world.paths[1:]) and inventory.orphans == ()
    plan = plan_cache_gc(inventory, CachePolicy(), now=LATER)
    assert [item.path for item in plan.dead] == [top]
    collect_cache(world.cache, plan, CachePolicy(), reporter=world.builder.said)
    left = world.cache.inventory()
    assert {one.path for one in left.sboms.values()} == {world.paths[1]} and left.orphans == ()
    assert fetch_sbom(client.store, world.cache, world.paths[1], CYCLONEDX, TRUST).data == str(world.paths[1]).encode()
    assert world.cache.sbom(top, CYCLONEDX, TRUST) is None
    assert verify_cache(client.store, world.cache, contents=True, trust=TRUST, reporter=client.said)[1] == []


def test_numbers_of_a_channel_rise(world: World) -> None:
    world.push(world.builder, KEY.name)
    low, mid, top = world.paths
    assert [world.publish(path).number for path in (low, mid, top)] == [1, 2, 3]
    assert (world.channel().number, world.channel().path) == (3, top)
    earlier = world.cache.channel("stable", TRUST, number=2)
    assert earlier is not None and earlier.path == mid
    assert world.cache.channel_names() == {"stable"}
    with pytest.raises(CacheError, match="has no channel stabel"):
        read_channel(world.client.store, world.cache, "stabel", trust=TRUST, now=datetime.now(UTC))


def test_publishers_at_once_get_a_number_each(world: World) -> None:
    paths = [world.builder.add(f"top{number}") for number in range(16)]
    world.pusher(world.builder, KEY.name).push(paths)
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(world.publish, paths))
    assert sorted(one.number for one in made) == list(range(1, 17))
    last = max(made, key=lambda one: one.number)
    assert world.channel() == last
    assert {one.number for one in world.cache.inventory().channels.values()} == set(range(1, 17))
    assert world.cache.inventory().unfinished == ()


def test_two_who_push_an_object_at_once_have_both_signed_it(world: World) -> None:
    """The second has looked for the object before the first wrote its record."""
    world.push(world.builder, KEY.name)
    record = world.cache.object(world.paths[0], TRUST)
    assert record is not None
    world.cache.writer.put_object(replace(record, signatures=()), signer(OTHER.name))
    found = world.cache.object(world.paths[0], BOTH)
    assert found is not None and BOTH.trusts(found)


def test_a_channel_counts_when_as_many_as_required_have_signed_one_number(world: World) -> None:
    world.push_both()
    low, _, top = world.paths
    first = world.publish(low)
    with pytest.raises(CacheError, match="1 of the 2 required keys"):
        world.channel(BOTH)
    assert world.publish(low, OTHER.name).number == first.number == 1
    assert world.channel(BOTH).path == low
    assert world.publish(top).number == 2
    assert world.channel(BOTH).number == 1, "until the second has signed it"
    assert world.publish(top, OTHER.name).number == 2
    assert {signature.key for signature in world.channel(BOTH).signatures} == {KEY.name, OTHER.name}


def test_who_trusts_no_signer_of_a_channel_is_told_who_signed(world: World) -> None:
    world.push(world.builder, KEY.name)
    world.publish(world.paths[2])
    with pytest.raises(CacheError, match="signed by builder-1, which is not trusted"):
        world.channel(Trust(keys=(OTHER.public,)))


def test_an_inventory_lists_all_and_a_collection_deletes_what_nothing_reaches(world: World) -> None:
    low, mid, top = world.paths
    world.push_both()
    alone = world.builder.add("alone")
    world.pusher(world.builder, KEY.name).push([alone])
    world.publish(mid)
    world.cache.writer.pin(alone)
    world.cache.writer.pin(alone)
    inventory = world.cache.inventory()
    assert set(inventory.items) == {low, mid, top, alone}
    assert inventory.pins == (alone,)
    assert (inventory.orphans, inventory.unfinished) == ((), ())
    assert {one.path for one in inventory.realisations.values()} == set(inventory.items)
    plan = plan_cache_gc(inventory, CachePolicy(), now=LATER)
    assert [item.path for item in plan.dead] == [top]
    assert [item.path for item in collect_cache(world.cache, plan, CachePolicy(), reporter=world.builder.said)] == [top]
    assert world.cache.object(top, NO_TRUST) is None and world.cache.realisation(recipe("top"), EITHER) is None
    world.cache.writer.unpin(alone)
    world.cache.writer.unpin(alone)
    assert set(world.cache.inventory().items) == {low, mid, alone}
    assert plan_cache_gc(world.cache.inventory(), CachePolicy(), now=LATER).dead[0].path == alone
    assert (
        verify_cache(world.client.store, world.cache, contents=True, trust=EITHER, reporter=world.client.said)[1] == []
    )


def test_what_a_push_touched_since_the_plan_stays(world: World) -> None:
    world.push(world.builder, KEY.name)
    plan = plan_cache_gc(world.cache.inventory(), CachePolicy(), now=LATER)
    assert {item.path for item in plan.dead} == set(world.paths)
    record = world.cache.object(world.paths[1], TRUST)
    assert record is not None
    world.cache.writer.put_object(replace(record, signatures=()), signer(KEY.name))  # as a push does with an old record
    collect_cache(world.cache, plan, CachePolicy(), reporter=world.builder.said)
    assert set(world.cache.inventory().items) == set(world.paths[:2]), "with all that it refers to"
    pull(world.client.fetcher(), world.cache, [world.paths[1]])
