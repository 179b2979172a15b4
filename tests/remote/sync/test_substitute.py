"""Whatever is wrong with a cache is a miss with one warning, soon; never an error, never litter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, fail_fast, folder_cache, machine
from scripts.testing.trees import recipe
from tests.remote.liar import Liar, liar
from vstore.cancel import CancelToken
from vstore.gc import collect_garbage
from vstore.objects import StorePath
from vstore.remote import FileCache, Trust
from vstore.remote.records.channels import trust_hint
from vstore.remote.sync.negative_cache import NegativeCache
from vstore.remote.transport.folder import FolderTransport
from vstore.remote.transport.protocol import PATIENT

MODES = ["500", "truncate", "stall", "drip", "wrong", "other range"]


@dataclass
class World:
    builder: Machine
    server: Liar
    client: Machine
    paths: tuple[StorePath, StorePath, StorePath]
    folder: Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A builder that has pushed three objects, a web server in front of them, and a machine with nothing."""
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        paths = builder.add_three()
        builder.push(folder_cache(tmp_path / "cache"), *paths)
        with liar(tmp_path / "cache") as server:
            yield World(builder, server, client, paths, tmp_path / "cache")


def test_the_closure_comes_with_it_and_is_what_it_was(world: World) -> None:
    found = world.client.substituter(fail_fast(world.server.url)).substitute(recipe("top"))
    assert found is not None
    assert found == world.paths[2]
    store = world.client.store
    for path in world.paths:
        assert store.is_valid(path)
        assert store.manifest(path)[0] == world.builder.store.manifest(path)[0]
    assert store.objects_with_wheel(b"part of low") == [world.paths[0]]
    assert store.realisation(recipe("top")) == world.paths[2]
    assert store.realisation(recipe("low")) is None, "only what was asked for was verified"
    assert world.client.said.warnings == []


def test_a_server_that_ignores_ranges_is_good_enough(world: World) -> None:
    world.server.lie("no ranges")
    assert world.client.substituter(fail_fast(world.server.url)).substitute(recipe("top")) is not None
    assert world.client.said.warnings == []


@pytest.mark.parametrize("about", ["", "realisations", "objects", "archives"])
@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_lies_is_a_miss_with_one_warning(world: World, mode: str, about: str) -> None:
    world.server.lie(mode, about)
    substituter = world.client.substituter(fail_fast(world.server.url))
    answers = [substituter.substitute(recipe(name)) for name in ("top", "top")]
    if mode == "other range" and about != "archives" and about:
        assert None not in answers, "records are not asked for by range"
        return
    assert answers == [None, None]
    assert len(world.client.said.warnings) == 1, world.client.said.warnings
    store = world.client.store
    left = [place.name for place in store.layout.tmp.glob("fetch-*")]
    assert not [name for name in left if world.paths[0].short in name], "what was wrong itself leaves nothing"
    collect_garbage(store, None, reporter=world.client.said)
    assert world.client.is_clean()
    asked = len(world.server.requests)
    assert world.client.substituter(fail_fast(world.server.url)).substitute(recipe("top")) is None
    assert len(world.server.requests) == asked, "asked again too soon"


def test_an_unreachable_cache_does_not_hide_the_next(world: World) -> None:
    dead, good = fail_fast("http://127.0.0.1:9/x"), fail_fast(world.server.url)
    assert world.client.substituter(dead, good).substitute(recipe("top")) is not None
    assert len(world.client.said.warnings) == 1


def test_a_bad_archive_is_taken_from_the_next_cache(world: World, tmp_path: Path) -> None:
    world.server.lie("wrong", "archives")
    found = world.client.substituter(fail_fast(world.server.url), folder_cache(world.folder)).substitute(recipe("top"))
    assert found is not None
    assert len(world.client.said.warnings) == 1


def test_all_caches_are_asked_at_once(world: World) -> None:
    """No cache answers before all are asked."""
    all_asked = threading.Barrier(8)

    class Meeting(FolderTransport):
        def get(self, key: str, *, limit: int) -> bytes | None:
            if key.startswith("realisations/"):
                all_asked.wait(timeout=60)
            return super().get(key, limit=limit)

    substituter = world.client.substituter(
        *(FileCache(Meeting(f"file://{world.folder}", {}, PATIENT, CancelToken())) for _ in range(8))
    )
    assert substituter.find([recipe("top")])


def test_the_records_of_two_caches_are_read_at_once(world: World, tmp_path: Path) -> None:
    """Each cache holds half of what is wanted, and answers no question about objects before both are asked."""
    other = world.builder.add("other")
    world.builder.push(folder_cache(tmp_path / "second"), other)
    both = threading.Barrier(2)

    class Meeting(FolderTransport):
        def get(self, key: str, *, limit: int) -> bytes | None:
            if key.startswith("objects/") and key.endswith(("-top.json", "-other.json")):
                both.wait(timeout=60)
            return super().get(key, limit=limit)

    caches = [
        FileCache(Meeting(f"file://{folder}", {}, PATIENT, CancelToken()))
        for folder in (world.folder, tmp_path / "second")
    ]
    with closing(world.client.substituter(*caches)) as substituter:
        substituter.start([recipe("top"), recipe("other")])
        assert substituter.result(recipe("top")) == world.paths[2]
        assert substituter.result(recipe("other")) == other
    assert not both.broken
    assert world.client.said.warnings == []


def test_a_miss_is_remembered_but_not_for_ever(world: World, tmp_path: Path) -> None:
    cache = fail_fast(world.server.url)
    assert world.client.substituter(cache).substitute(recipe("nobody has it")) is None
    asked = len(world.server.requests)
    assert world.client.substituter(cache).substitute(recipe("nobody has it")) is None
    assert len(world.server.requests) == asked
    assert world.client.said.warnings == [], "that a cache has not everything is no news"
    misses = NegativeCache(tmp_path / "misses")
    misses.add("url", "key", -1.0)
    assert ("url", "key") not in misses
    misses.add("url", "key", 60.0)
    assert ("url", "key") in misses


def test_who_is_not_trusted_is_not_believed(world: World) -> None:
    for trust in (Trust(keys=(OTHER.public,)), Trust(keys=(KEY.public, OTHER.public), require=2)):
        with machine(world.folder.parent / f"client {trust.require}") as client:
            assert client.substituter(folder_cache(world.folder), trust=trust).substitute(recipe("top")) is None
            assert len(client.said.warnings) == 1
            assert client.is_clean()


def test_nothing_is_taken_while_no_key_is_trusted(world: World) -> None:
    assert world.client.substituter(folder_cache(world.folder), trust=Trust()).substitute(recipe("top")) is None
    assert world.client.said.warnings == ["caches: not used, because no key is trusted"]
    layout = world.client.store.layout
    assert "vstore key list" not in trust_hint(layout)
    layout.keys.mkdir(exist_ok=True)
    (layout.keys / "own.secret").write_text("")
    assert "`vstore config set trusted_keys --append $(vstore key list)`" in trust_hint(layout)


def test_two_builders_that_agree_are_two(world: World, tmp_path: Path) -> None:
    """Their signatures may lie in one cache or in two."""
    both = Trust(keys=(KEY.public, OTHER.public), require=2)
    with machine(tmp_path / "second builder") as second:
        assert second.add_three() == world.paths
        second.push(folder_cache(tmp_path / "elsewhere"), *world.paths, keys=(OTHER,))
        caches = folder_cache(world.folder), folder_cache(tmp_path / "elsewhere")
        assert world.client.substituter(*caches, trust=both).substitute(recipe("top")) is not None
        second.push(folder_cache(world.folder), *world.paths, keys=(OTHER,))
    with machine(tmp_path / "one cache") as client:
        assert client.substituter(folder_cache(world.folder), trust=both).substitute(recipe("top")) is not None


def test_builders_that_disagree_are_noticed(world: World, tmp_path: Path) -> None:
    with machine(tmp_path / "second builder") as second:
        other = second.add("top", {"a": b"something else"})
        second.push(folder_cache(world.folder), other, keys=(OTHER,))
        assert "builders disagree" in second.said.warnings[0]
    found = world.client.substituter(folder_cache(world.folder), trust=TRUST).find([recipe("top")])
    assert found == {recipe("top"): world.paths[2]}, "what is there is not replaced"
