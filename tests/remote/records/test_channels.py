"""`require = N`: N trusted keys must have signed one answer, be it of a recipe, of an object or of a channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, Machine, folder_cache, machine, put_file, put_record
from scripts.testing.trees import recipe
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import (
    Channel,
    FileCache,
    PublishedChannel,
    Pusher,
    SecretKey,
    Signer,
    Trust,
    publish_channel,
    pull,
    read_channel,
)
from vstore.remote.file_cache.layout import channel_key, channel_number_key, realisation_key
from vstore.remote.records.encoding import decode_channel
from vstore.remote.records.model import Signature, add_signatures

THIRD = SecretKey("builder-3", b"3" * 32)
BOTH = Trust(keys=(KEY.public, OTHER.public), require=2)
ONE = Trust(keys=BOTH.keys)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@dataclass
class World:
    builder: Machine
    client: Machine
    cache: FileCache

    def stack(self, version: int) -> StorePath:
        path = self.builder.add("s-stack", {"stack.json": bytes([version])}, recipe_name=f"stack {version}")
        self.builder.push(self.cache, path)
        return path

    def publish(self, path: StorePath, key: SecretKey, *, trust: Trust = ONE, now: datetime = NOW) -> Channel:
        return self.point(path, key, trust=trust, now=now).record

    def point(
        self,
        path: StorePath,
        key: SecretKey = KEY,
        *,
        trust: Trust = ONE,
        now: datetime = NOW,
        lifetime: timedelta = DAY,
    ) -> PublishedChannel:
        info = self.builder.store.objects.info(path)
        assert info is not None
        return publish_channel(self.cache, "c", info, signer=Signer((key,), trust), lifetime=lifetime, now=now)

    def read(self, trust: Trust = BOTH, now: datetime = NOW) -> tuple[int, StorePath]:
        found = read_channel(self.client.store, self.cache, "c", trust=trust, now=now)
        return found.number, found.path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        yield World(builder, client, folder_cache(tmp_path / "cache"))


def test_one_key_of_two_moves_no_channel(world: World) -> None:
    first = world.stack(1)
    assert world.publish(first, KEY).number == 1
    assert world.read(ONE) == (1, first)
    with pytest.raises(CacheError, match="is refused: 1 of the 2 required keys have signed it"):
        world.read()


def test_the_second_builder_signs_the_number_of_the_first(world: World) -> None:
    first = world.stack(1)
    world.publish(first, KEY)
    joined = world.publish(first, OTHER)
    assert joined.number == 1
    assert [signature.key for signature in joined.signatures] == ["builder-1", "builder-2"]
    assert world.read() == (1, first)
    assert world.cache.read(channel_number_key("c", 1), decode_channel) == joined


def test_a_stack_that_the_channel_points_to_gets_no_number_before_half_of_the_lifetime(world: World) -> None:
    first, second = world.stack(1), world.stack(2)
    made = world.point(first)
    assert made.changed and made.record.number == 1
    again = world.point(first, now=NOW + DAY * 0.49)
    assert not again.changed and again.record == made.record
    joined = world.point(first, OTHER)
    assert joined.changed and joined.record.number == 1
    assert not world.point(first, OTHER).changed
    assert world.point(first, now=NOW + DAY * 0.51).record.number == 2, "it ends soon"
    assert world.point(first, lifetime=DAY * 9).record.number == 3, "it is to last longer"
    assert world.point(first, lifetime=DAY).record.number == 4, "it is to end earlier"
    assert [world.point(one).record.number for one in (second, first)] == [5, 6]


def test_until_both_have_signed_a_number_the_one_before_counts(world: World) -> None:
    first, second = world.stack(1), world.stack(2)
    for key in (KEY, OTHER):
        world.publish(first, key)
    assert world.publish(second, OTHER).number == 2
    for _ in range(2):
        assert world.read() == (1, first)
    assert world.publish(second, KEY).number == 2
    assert world.read() == (2, second)
    put_file(world.cache, channel_key("c"), _get(world.cache, channel_number_key("c", 1)))
    with pytest.raises(CacheError, match="number 1 is older than 2, which was seen before"):
        world.read()


def test_a_number_that_was_seen_and_has_too_few_signatures_now_is_refused(world: World) -> None:
    """Whoever asks for more signatures than before believes neither what he saw nor what came before it."""
    first, second = world.stack(1), world.stack(2)
    for key in (KEY, OTHER):
        world.publish(first, key)
    world.publish(second, KEY)
    assert world.read(ONE) == (2, second)
    with pytest.raises(CacheError, match="number 1 is older than 2, which was seen before"):
        world.read()


def test_one_builder_cannot_keep_an_old_number_alive(world: World) -> None:
    """What both signed expires, whatever one of them adds."""
    first, second = world.stack(1), world.stack(2)
    for key in (KEY, OTHER):
        world.publish(first, key)
    world.publish(second, KEY, now=NOW + DAY)
    with pytest.raises(CacheError, match="it expired at"):
        world.read(now=NOW + DAY + timedelta(seconds=1))


def test_nothing_is_signed_that_no_known_key_has_signed(world: World) -> None:
    """A record with the same stack and another end, as anyone who may write there can make it, gets no signature."""
    first = world.stack(1)
    made = world.publish(first, KEY)
    forged = Channel(
        name="c",
        number=1 << 40,
        path=made.path,
        digest=made.digest,
        created_at=made.created_at,
        expires_at=made.expires_at.replace(year=9999),
    )
    for signatures in ((), (Signature("builder-1", bytes(64)),), (THIRD.sign(forged.fingerprint),)):
        put_record(world.cache, channel_key("c"), add_signatures(forged, *signatures))
        done = world.publish(first, OTHER)
        assert done.expires_at.year < 9999 and done.number < 10
        assert world.read(ONE)[1] == first


def test_another_stack_gets_another_number(world: World) -> None:
    first, second = world.stack(1), world.stack(2)
    world.publish(first, KEY)
    assert world.publish(second, OTHER).number == 2
    with pytest.raises(CacheError, match="1 of the 2 required keys"):
        world.read()


def test_a_number_that_ends_soon_is_not_joined(world: World) -> None:
    first = world.stack(1)
    world.publish(first, KEY, now=NOW - DAY * 0.6)
    assert world.publish(first, OTHER).number == 2


def test_what_one_builder_alone_says_of_an_object_lends_nothing(world: World) -> None:
    """Its content proves itself; which parts it lends to later builds, and its recipe's text, does not."""
    path = world.builder.add("low", {"a": b"low"}, parts=(b"part",))
    for keys, holders in (((KEY,), []), ((OTHER,), [path])):
        Pusher(world.builder.store, world.cache, Signer(keys), reporter=world.builder.said).push([path])
        with machine(world.client.store.layout.root.parent / keys[0].name) as client:
            pull(client.fetcher(BOTH), world.cache, [path])
            assert client.store.objects_with_wheel(b"part") == holders


def test_a_wrong_signature_in_one_cache_hides_none_in_another(world: World, tmp_path: Path) -> None:
    path = world.builder.add("low")
    world.builder.push(world.cache, path)
    bad = folder_cache(tmp_path / "bad")
    world.builder.push(bad, path)
    found = bad.realisation(recipe("low"))
    assert found is not None
    put_record(bad, realisation_key(recipe("low")), add_signatures(found, Signature(KEY.name, bytes(64))))
    assert world.client.substituter(bad, world.cache, trust=ONE).substitute(recipe("low")) == path


def _get(cache: FileCache, key: str) -> bytes:
    data = cache.transport.get(key, limit=1 << 20)
    assert data is not None
    return data
