"""A cache that changes while it is read: archives replaced, records rewritten, objects deleted and pushed again."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, Machine, fail_fast, folder_cache, machine, put_file
from scripts.testing.servers import nginx
from vstore.errors import ArchiveError, CacheError
from vstore.objects import StorePath
from vstore.remote import (
    CachePolicy,
    FileCache,
    Pusher,
    PushOptions,
    Signer,
    collect_cache,
    plan_cache_gc,
    pull,
)
from vstore.remote.file_cache.layout import archive_key, object_key
from vstore.reporter import NullReporter
from vstore.store.health.verify import verify

_PULLS = 12


@contextmanager
def changing(builder: Machine, cache: FileCache, tops: tuple[StorePath, ...]) -> Iterator[None]:
    """Someone pushes at other levels, collects everything, and deletes and cuts archives, again and again."""
    over, chance = threading.Event(), random.Random(1)

    def change() -> None:
        while not over.is_set():
            path = chance.choice(tops)
            match chance.randrange(5):
                case 0:
                    cache.writer.delete([object_key(path)])
                case 1:
                    cache.writer.delete([archive_key(path), object_key(path)])
                case 2:
                    found = cache.transport.get(archive_key(path), limit=1 << 26)
                    if found is not None:
                        put_file(cache, archive_key(path), found[: chance.randrange(len(found))])
                        cache.writer.delete([object_key(path)])
                case 3:
                    policy = CachePolicy(age=timedelta(), grace=timedelta(), keep=1)
                    plan = plan_cache_gc(cache.inventory(), policy, now=datetime.now(UTC))
                    collect_cache(cache, plan, policy, reporter=NullReporter())
                case _:
                    pass
            options = PushOptions(level=chance.randint(1, 9))
            Pusher(builder.store, cache, Signer((KEY,)), options, reporter=NullReporter()).push(tops)

    def run() -> None:
        while not over.is_set():
            with suppress(CacheError):  # as of a record that goes between two looks
                change()

    changer = threading.Thread(target=run)
    changer.start()
    try:
        yield
    finally:
        over.set()
        changer.join()


@pytest.mark.parametrize("way", ["folder", "nginx"])
def test_a_pull_gives_what_was_asked_for_or_an_error(tmp_path: Path, way: str) -> None:
    cache = folder_cache(tmp_path / "cache")
    with machine(tmp_path / "builder") as builder:
        tops = builder.add_three()
        builder.push(cache, *tops)
        url = f"file://{tmp_path}/cache"
        with ExitStack() as held:
            asked = f"{held.enter_context(nginx(tmp_path / 'nginx', tmp_path))}/cache" if way == "nginx" else url
            held.enter_context(changing(builder, cache, tops))
            for number in range(_PULLS):
                _pulled(tmp_path / f"client-{number}", asked, tops)
        builder.push(cache, *tops)
        assert _pulled(tmp_path / "last", url, tops)


def _pulled(root: Path, url: str, tops: tuple[StorePath, ...]) -> bool:
    """Whether all came; in any case all that is there is whole."""
    with machine(root) as client:
        done = False
        with suppress(CacheError, ArchiveError):
            pull(client.fetcher(), fail_fast(url), tops)
            done = True
        assert verify(client.store, contents=True, reporter=NullReporter())[1] == []
        assert not done or all(client.store.is_valid(path) for path in tops)
        left = [path for path in client.store.layout.tmp.iterdir() if not path.name.startswith(("fetch-", "trash"))]
        assert left == []
    return done
