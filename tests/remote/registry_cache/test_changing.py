"""Pushers with keys of their own, collectors and readers at the same time: nothing incomplete is ever listed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, Machine, machine
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import (
    CachePolicy,
    Pusher,
    PushOptions,
    Signer,
    Trust,
    collect_cache,
    open_cache,
    plan_cache_gc,
    publish_channel,
    pull,
    read_channel,
    verify_cache,
)
from vstore.reporter import NullReporter

pytestmark = pytest.mark.slow
BOTH = Trust(keys=(KEY.public, OTHER.public))
EVERYTHING = CachePolicy(age=timedelta(), grace=timedelta(), keep=1)
ROUNDS = 6


@contextmanager
def meanwhile(*works: Callable[[], object]) -> Iterator[None]:
    """Do each work again and again, each in a thread of its own, until the block ends."""
    over, failures = threading.Event(), list[BaseException]()

    def run(work: Callable[[], object]) -> None:
        while not over.is_set():
            try:
                with suppress(CacheError):  # as of a record that goes between two looks
                    work()
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def publish(builder: Machine, url: str, top: StorePath, signer: Signer) -> int:
    """What `vstore push --channel` does."""
    cache, options, info = open_cache(url), PushOptions(), builder.store.objects.info(top)
    assert info is not None
    Pusher(builder.store, cache, signer, options, reporter=NullReporter()).push([top])
    lifetime, now = timedelta(days=1), datetime.now(UTC)
    made = publish_channel(cache, "stable", info, signer=signer, lifetime=lifetime, now=now)
    Pusher(builder.store, cache, signer, options, reporter=NullReporter()).push([top])
    return made.record.number


def test_two_pushers_and_two_collectors_lose_nothing(url: str, tmp_path: Path) -> None:
    trusting = [Signer([key], BOTH) for key in (KEY, OTHER)]

    def collect() -> None:
        cache = open_cache(url)
        plan = plan_cache_gc(cache.inventory(), EVERYTHING, now=datetime.now(UTC))
        collect_cache(cache, plan, EVERYTHING, reporter=NullReporter())

    with ExitStack() as held:
        builders = [held.enter_context(machine(tmp_path / name)) for name in ("a", "b")]
        tops = [
            [builder.add("top", {"a": bytes([number])}, (builder.add("low"),)) for number in range(ROUNDS)]
            for builder in builders
        ]
        assert tops[0] == tops[1]
        publish(builders[0], url, tops[0][0], trusting[0])
        chance, numbers = random.Random(1), list[int]()

        def push_other() -> None:
            publish(builders[1], url, chance.choice(tops[1]), trusting[1])

        with meanwhile(collect, collect, push_other):
            for number, top in enumerate(tops[0]):
                numbers.append(publish(builders[0], url, top, trusting[0]))
                with machine(tmp_path / f"client-{number}") as client:
                    channel = read_channel(client.store, open_cache(url), "stable", trust=BOTH, now=datetime.now(UTC))
                    with suppress(CacheError):  # the number before, whose stack was collected meanwhile
                        pull(client.fetcher(BOTH), open_cache(url), [channel.path])
        assert numbers == sorted(set(numbers))
        last = publish(builders[0], url, tops[0][-1], trusting[0])
        with machine(tmp_path / "last") as client:
            channel = read_channel(client.store, open_cache(url), "stable", trust=BOTH, now=datetime.now(UTC))
            assert (channel.number, channel.path) == (last, tops[0][-1])
            pull(client.fetcher(BOTH), open_cache(url), [channel.path])
            assert verify_cache(client.store, open_cache(url), contents=True, trust=BOTH, reporter=client.said)[1] == []
