"""What a client is told that gets no SBOM from a cache, and a builder that replaces one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, folder_cache, machine
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote import FileCache, Pusher, SecretKey, Signer, Trust, fetch_sbom
from vstore.sbom_format import Sbom, SbomFormat

CYCLONEDX, SPDX = SbomFormat.CYCLONEDX, SbomFormat.SPDX
BOTH = Trust(keys=(KEY.public, OTHER.public), require=2)


@dataclass
class World:
    builder: Machine
    cache: FileCache
    path: StorePath

    def attach(self, data: bytes, *keys: SecretKey) -> int:
        pusher = Pusher(self.builder.store, self.cache, Signer(keys), reporter=self.builder.said)
        return pusher.push_sbom(Sbom(self.path, CYCLONEDX, data))[1]

    def refusal(self, trust: Trust, form: SbomFormat = CYCLONEDX) -> tuple[str, str]:
        with pytest.raises(CacheError) as caught:
            fetch_sbom(self.builder.store, self.cache, self.path, form, trust)
        return caught.value.message, caught.value.hint or ""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with machine(tmp_path / "builder") as builder:
        cache = folder_cache(tmp_path / "cache")
        path = builder.add("low")
        builder.push(cache, path)
        yield World(builder, cache, path)


def test_the_hint_is_about_who_must_do_something(world: World) -> None:
    assert world.refusal(TRUST)[1].startswith(f"`vstore push {world.cache.name} WHAT --sbom cyclonedx`")
    world.attach(b"1")
    message, hint = world.refusal(TRUST)
    assert "it is not signed" in message and "`vstore key generate NAME`" in hint and "trusted_keys" not in hint
    world.attach(b"1", KEY)
    message, hint = world.refusal(BOTH)
    assert "1 of the 2 required keys" in message and hint == "2 builders must sign it: the other ones must push it too"
    assert "trusted_keys" in world.refusal(Trust(keys=(OTHER.public,)))[1]
    message, hint = world.refusal(TRUST, SPDX)
    assert message.endswith("as spdx, but one as cyclonedx") and hint == "give --format cyclonedx"
    world.attach(b"1", OTHER)
    assert fetch_sbom(world.builder.store, world.cache, world.path, CYCLONEDX, BOTH).data == b"1"


def test_a_malformed_record_is_told_with_a_hint(world: World) -> None:
    world.attach(b"1", KEY)
    (record,) = Path(world.cache.url.removeprefix("file://")).glob("sboms/*/*.record.json")
    record.write_text("{}")
    message, hint = world.refusal(TRUST)
    assert message.endswith("`format`: expected an integer from 0 to 2**50") and "`vstore cache verify" in hint


def test_a_warning_names_the_sbom_of_another_that_is_replaced(world: World) -> None:
    assert [world.attach(b"1", KEY), world.attach(b"1", OTHER), world.attach(b"1", OTHER)] == [1, 1, 0]
    assert world.attach(b"22", OTHER) == 2
    [text] = world.builder.said.warnings
    assert text.endswith(f"the SBOM of {world.path} as cyclonedx is replaced: {KEY.name} had signed another one")
    assert [world.attach(b"333", OTHER), len(world.builder.said.warnings)] == [3, 1]
