"""A cache is collected by channels, pins and age; a push that runs meanwhile loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, Machine, folder_cache, list_files, machine, put_file, put_record
from scripts.testing.trees import run_in_child
from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import Kind, StorePath
from vstore.remote import (
    CachePolicy,
    CacheProblem,
    FileCache,
    Signer,
    Trust,
    collect_cache,
    plan_cache_gc,
    publish_channel,
    pull,
    verify_cache,
)
from vstore.remote.file_cache.layout import archive_key, channel_number_key, object_key, pin_key
from vstore.remote.transport.folder import TEMPORARY
from vstore.remote.transport.memory import MemoryTransport
from vstore.remote.transport.protocol import writable

NOW = datetime(2030, 1, 1, tzinfo=UTC)  # by then everything that a test writes is old
POLICY = CachePolicy(age=timedelta(days=14), keep=2)


@dataclass
class World:
    builder: Machine
    cache: FileCache

    def publish(self, path: StorePath) -> None:
        info = self.builder.store.objects.info(path)
        assert info is not None
        publish_channel(
            self.cache, "stable", info, signer=Signer((KEY,)), lifetime=timedelta(days=1), now=datetime.now(UTC)
        )

    def paths(self) -> set[StorePath]:
        return set(self.cache.inventory().items)

    def check(self) -> list[CacheProblem]:
        store, said = self.builder.store, self.builder.said
        return verify_cache(store, self.cache, contents=True, trust=Trust(), reporter=said)[1]

    def collect(self, policy: CachePolicy = POLICY, now: datetime = NOW) -> set[StorePath]:
        plan = plan_cache_gc(self.cache.inventory(), policy, now=now)
        return {item.path for item in collect_cache(self.cache, plan, policy, reporter=self.builder.said)}


@pytest.fixture(params=["memory", "folder"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    cache = FileCache(MemoryTransport()) if request.param == "memory" else folder_cache(tmp_path / "cache")
    with machine(tmp_path / "builder") as builder:
        yield World(builder, cache)


def stacks(world: World, count: int) -> tuple[StorePath, list[StorePath]]:
    low = world.builder.add("low")
    made = [world.builder.add("s-stack", {"a": bytes([n])}, (low,), kind=Kind.STACK) for n in range(count)]
    world.builder.push(world.cache, *made)
    return low, made


def test_the_last_numbers_of_a_channel_and_pins_keep(world: World) -> None:
    low, made = stacks(world, 5)
    for path in made[:4]:
        world.publish(path)
    put_file(world.cache, pin_key(made[0]), b"{}\n")
    assert world.collect() == {made[1], made[4]}
    assert world.paths() == {low, made[0], made[2], made[3]}
    assert world.check() == []
    world.cache.writer.delete([pin_key(made[0])])
    assert world.collect() == {made[0]}


def test_what_is_young_waits_and_says_until_when(world: World) -> None:
    low, made = stacks(world, 1)
    now = datetime.now(UTC)
    plan = plan_cache_gc(world.cache.inventory(), POLICY, now=now)
    assert plan.dead == ()
    assert {item.path for item, _ in plan.too_young} == {low, *made}
    for _, at in plan.too_young:
        assert timedelta(days=13, hours=23) < at - now <= timedelta(days=14)
    impatient = CachePolicy(age=timedelta(0))
    assert world.collect(impatient, now=now) == set(), "the grace period holds whatever age is asked for"
    assert world.collect(impatient, now=now + timedelta(days=2)) == {low, *made}
    assert [
        stat.key for name in ("archives", "objects", "realisations") for stat in list_files(world.cache, name)
    ] == []


def test_what_a_young_object_refers_to_stays_with_it(world: World) -> None:
    low, made = stacks(world, 1)
    inventory = world.cache.inventory()
    touched = max(item.touched_at for item in inventory.items.values())
    plan = plan_cache_gc(
        inventory, CachePolicy(age=timedelta(days=1)), now=touched + timedelta(days=1) - timedelta(microseconds=1)
    )
    assert plan.dead == ()
    assert low in {item.path for item, _ in plan.too_young}
    assert made[0] in {item.path for item, _ in plan.too_young}


def test_a_push_that_comes_between_plan_and_deletion_keeps_its_objects(world: World) -> None:
    """It finds them there and pushes nothing, but touches them; or its channel is read in time."""
    low, made = stacks(world, 3)
    plan = plan_cache_gc(world.cache.inventory(), POLICY, now=NOW)
    assert {item.path for item in plan.dead} == {low, *made}
    world.publish(made[0])
    record = world.cache.object(made[1])
    assert record is not None
    put_record(world.cache, object_key(record.path), record)  # what a push does with an old record
    gone = {item.path for item in collect_cache(world.cache, plan, POLICY, reporter=world.builder.said)}
    assert gone == {made[2]}
    assert world.paths() == {low, made[0], made[1]}


def test_a_number_that_nobody_signed_displaces_none(world: World) -> None:
    """Whoever may write to a cache could else have its collection delete what is current."""
    _, made = stacks(world, 3)
    for path in made[:2]:
        world.publish(path)
    record = world.cache.channel("stable")
    assert record is not None
    for number in (1000, 1001):
        forged = replace(record, number=number, signatures=(), path=made[2], digest=digest_of(world, made[2]))
        put_record(world.cache, channel_number_key("stable", number), forged)
    plan = plan_cache_gc(world.cache.inventory(), POLICY, now=NOW, trust=TRUST)
    assert plan.dead == ()
    gone = collect_cache(world.cache, plan, POLICY, reporter=world.builder.said, trust=TRUST)
    assert gone == ()
    absent = replace(record, number=1002, signatures=(), path=StorePath(record.path.short, "absent"))
    put_record(world.cache, channel_number_key("stable", 1002), absent)
    assert plan_cache_gc(world.cache.inventory(), POLICY, now=NOW, trust=TRUST).dead == ()


def digest_of(world: World, path: StorePath) -> Digest:
    info = world.builder.store.objects.info(path)
    assert info is not None
    return info.digest


def test_a_damaged_record_stops_a_collection_and_not_a_check(world: World, tmp_path: Path) -> None:
    _, made = stacks(world, 2)
    put_file(world.cache, object_key(made[0]), b"{")
    with pytest.raises(CacheError, match="malformed record"):
        world.collect()
    assert [problem.key for problem in world.check()] == [object_key(made[0])]
    world.builder.push(world.cache, *made)
    assert world.check() == []


def test_verify_finds_what_is_missing_short_or_wrong(world: World) -> None:
    low, made = stacks(world, 3)
    transport = writable(world.cache.transport)
    assert world.check() == []
    data = transport.get(archive_key(made[0]), limit=1 << 20)
    assert data is not None
    transport.put(archive_key(made[0]), data[:-1])
    transport.put(archive_key(made[1]), bytes([data[40] ^ 1]).join([data[:40], data[41:]]))
    transport.delete([object_key(low)])
    found = {problem.key: problem.problem for problem in world.check()}
    assert archive_key(made[0]) in found
    assert archive_key(made[1]) in found
    assert "which is missing" in found[object_key(made[2])]


UPLOAD = """
import sys
from pathlib import Path
from vstore.remote.transport.protocol import writable
from vstore.remote.transport.schemes import open_transport
print("ready", flush=True)
sys.stdin.readline()
writable(open_transport(sys.argv[1])).put(sys.argv[2], Path(sys.argv[3]))
"""


def test_what_killed_uploads_to_a_folder_left_goes_after_the_grace_period(tmp_path: Path) -> None:
    """Nothing else sees it, and it does not stop the next upload."""
    folder, big = tmp_path / "cache", tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2 << 30)  # takes long enough to be killed in
    with machine(tmp_path / "builder") as builder:
        world = World(builder, folder_cache(folder))
        low, made = stacks(world, 1)
        key = archive_key(made[0])
        for count in (1, 2):
            child = run_in_child(UPLOAD, f"file://{folder}", key, big)
            child.stdin.write("go\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            while len(left := list(folder.rglob(f"{TEMPORARY}*"))) < count:
                time.sleep(0.001)
            child.kill()
            child.wait()
        assert world.check() == []
        assert world.paths() == {low, *made}
        plan = plan_cache_gc(world.cache.inventory(), CachePolicy(age=timedelta(0)), now=datetime.now(UTC))
        assert plan.orphans == ()
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        plan = plan_cache_gc(world.cache.inventory(), POLICY, now=tomorrow)
        assert set(plan.orphans) == {file.relative_to(folder).as_posix() for file in left}
        assert world.collect(now=tomorrow) == set()
        assert not any(file.exists() for file in left)
        assert world.check() == []


def test_after_a_collection_the_rest_can_be_pulled(world: World, tmp_path: Path) -> None:
    _, made = stacks(world, 4)
    for path in made:
        world.publish(path)
    assert world.collect() == {made[0], made[1]}
    with machine(tmp_path / "client") as client:
        assert len(pull(client.fetcher(), world.cache, [made[3]]).fetched) == 2
        with pytest.raises(CacheError, match="does not have"):
            pull(client.fetcher(), world.cache, [made[0]])
