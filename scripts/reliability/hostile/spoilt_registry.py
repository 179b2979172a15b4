"""Spoilt registries against pull, substitution, channels and verify: a miss or an error in one line, no wrong byte.

    python -m scripts.reliability.hostile.spoilt_registry COUNT SEED FOLDER

Prints as JSON how many were tried, taken and refused, and the peak of memory in MiB.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from scripts.reliability.hostile.spoil import WORDS, spoil
from scripts.reliability.hostile.tries import bring, library, print_tries, run_tries
from scripts.testing.loopback_registry import LoopbackRegistry, loopback_registry
from scripts.testing.machine import KEY, QUICK, TRUST, Machine, machine
from scripts.testing.trees import recipe
from vstore.remote import Cache, Pusher, Signer, Trust, publish_channel, pull, read_channel, verify_cache
from vstore.remote.registry_cache import RegistryCache
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import open_transport

_RECORD = "dev.vstore.record"
_LARGE_BYTES = 20 << 20


class SpoiltRegistry:
    """A repository with three objects, a channel, and a delta between two objects, of which a part is spoilt."""

    def __init__(self, server: LoopbackRegistry, folder: Path) -> None:
        self.server = server
        with machine(folder / "builder") as builder:
            self.paths = builder.add_three()
            old, self.newer = (builder.add("versioned", library(version)) for version in (0, 1))
            cache = self._open("right")
            builder.push(cache, *self.paths, old, self.newer)
            pusher = Pusher(builder.store, cache, Signer((KEY,)), reporter=builder.said)
            assert pusher.push_deltas([self.newer], old), "deltas are tried too"
            stack = builder.store.objects.info(self.paths[2])
            assert stack is not None
            publish_channel(
                cache, "stable", stack, signer=Signer((KEY,)), lifetime=timedelta(days=9), now=datetime.now(UTC)
            )
        self._tags, self._blobs = dict(server.tags), dict(server.blobs)

    def spoilt(self, chance: random.Random) -> Cache:
        """The cache in a repository of a new name, of which no miss is known, with one thing spoilt."""
        tags, blobs = self.server.tags, self.server.blobs = dict(self._tags), dict(self._blobs)
        one, other = chance.choice(sorted(tags)), chance.choice(sorted(tags))
        match chance.randrange(10):
            case 0 | 1:
                tags[one] = spoil(tags[one], chance)
            case 2 | 3 | 4:
                tags[one] = json.dumps(_changed(json.loads(tags[one]), chance)).encode()
            case 5:
                tags[one], tags[other] = tags[other], tags[one]
            case 6 if chance.randrange(20) == 0:
                tags[one] = tags[one] + b" " * _LARGE_BYTES
            case 6:
                del tags[one]
            case 7:
                first, second = chance.choice(sorted(blobs)), chance.choice(sorted(blobs))
                blobs[first], blobs[second] = blobs[second], blobs[first]
            case _:
                first = chance.choice(sorted(blobs))
                blobs[first] = spoil(blobs[first], chance)
        return self._open(f"n{chance.getrandbits(64)}")

    def _open(self, name: str) -> Cache:
        return RegistryCache(RetryingTransport(open_transport(self.server.url(name), limits=QUICK), QUICK))


def _changed(document: object, chance: random.Random) -> object:
    """Change one value of a JSON document, or of the record within a manifest."""
    places = list(_places(document))
    parent, key = chance.choice(places)
    value = parent[key]
    if key == _RECORD and isinstance(value, str) and chance.randrange(4):
        parent[key] = json.dumps(_changed(json.loads(value), chance))
        return document
    other_parent, other_key = chance.choice(places)
    other, word = copy.deepcopy(other_parent[other_key]), chance.choice(WORDS).decode("utf-8", "replace")
    values = [None, word, chance.getrandbits(70), -1, [], {}, True, 1e300, other, [value], {"x": value}]
    parent[key] = chance.choice(values)
    return document


def _places(document: object) -> Iterator[tuple[Any, str | int]]:
    """Yield each value of a document, as its parent and the key or index in it."""
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from _places(document[key])


def run(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Try so many; AssertionError for a wrong byte, any odd error as it is."""
    with loopback_registry() as server:
        world = SpoiltRegistry(server, folder)
        return run_tries(count, seed, folder, partial(attempt, world))


def attempt(world: SpoiltRegistry, client: Machine, chance: random.Random, number: int) -> bool:
    """Bring the objects in one of six ways; whatever is there afterwards is right."""
    now = datetime.now(UTC)
    cache = world.spoilt(chance)

    def follow() -> None:
        record = read_channel(client.store, cache, "stable", trust=TRUST, now=now)
        assert record.path == world.paths[2], "a channel that nobody signed"
        pull(client.fetcher(), cache, [record.path])

    ways: tuple[Callable[[], object], ...] = (
        lambda: pull(client.fetcher(Trust()), cache, [world.paths[2]]),
        lambda: client.substituter(cache).substitute(recipe("top")),
        lambda: pull(client.fetcher(), cache, [world.paths[2]]),
        lambda: pull(client.fetcher(), cache, [world.newer]),
        follow,
        lambda: verify_cache(client.store, cache, trust=TRUST, contents=True, reporter=client.said),
    )
    return bring(client, ways[number % len(ways)], (*world.paths, world.newer))


if __name__ == "__main__":
    print_tries(run)
