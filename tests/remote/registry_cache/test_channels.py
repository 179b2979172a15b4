"""A number of a channel has one publisher, also when others stop between their claim and their record."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, machine
from scripts.testing.memory_registry import MemoryRepository
from scripts.testing.trees import run_in_child
from vstore.errors import CacheError
from vstore.remote import Signer, open_cache, publish_channel, read_channel
from vstore.remote.registry_cache.channels import ChannelClaims, Claim
from vstore.remote.registry_cache.repository import RecordRepository
from vstore.remote.registry_cache.tags import claimed_number, is_claim, new_claim
from vstore.remote.registry_cache.writer import RegistryCacheWriter
from vstore.remote.transport.protocol import TransportError

PUBLISH = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from scripts.testing.machine import KEY, machine
from vstore.remote import Signer, open_cache, publish_channel
with machine(Path(sys.argv[1])) as builder:
    info = builder.store.objects.info(builder.add(f"top{sys.argv[3]}"))
    cache = open_cache(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    now, lifetime = datetime.now(UTC), timedelta(days=1)
    print(publish_channel(cache, "stable", info, signer=Signer([KEY]), lifetime=lifetime, now=now).record.number)
"""


def claims(repository: RecordRepository, patience_seconds: float = 0.3, limit_seconds: float = 60.0) -> ChannelClaims:
    return ChannelClaims(
        repository, "the cache", "stable", patience_seconds=patience_seconds, limit_seconds=limit_seconds
    )


def put_claim(repository: RecordRepository, number: int) -> Claim:
    tag = new_claim("stable", number)
    repository.write(tag, b"{}", at=datetime.now(UTC))
    return Claim(repository=repository, number=number, tag=tag)


def test_the_claim_of_a_killed_publisher_is_passed_over(repository: RecordRepository) -> None:
    put_claim(repository, 1)
    claim = claims(repository).claim(above=0)
    assert claim.number == 2
    claim.withdraw()
    assert {claimed_number("stable", tag) for tag in repository.tags()} == {1}


def test_a_number_that_is_claimed_is_waited_for(repository: RecordRepository) -> None:
    other = put_claim(repository, 1)
    threading.Timer(0.5, other.withdraw).start()
    assert claims(repository, patience_seconds=30).claim(above=0).number == 1


def test_a_killed_publisher_is_listed_as_unfinished_and_collected(
    repository: RecordRepository, url: str, tmp_path: Path
) -> None:
    cache = open_cache(url)
    with machine(tmp_path / "a") as builder:
        builder.push(cache, builder.add("low"))
    left = put_claim(repository, 1)
    (found,) = cache.inventory().unfinished
    assert found.key.startswith(f"{left.tag}@sha256:")
    cache.writer.delete([found.key])
    assert not any(map(is_claim, repository.tags()))


def test_a_claim_that_others_never_give_up_is_an_error(repository: RecordRepository) -> None:
    put_claim(repository, 1)
    with pytest.raises(CacheError, match="is being published by others"):
        claims(repository, patience_seconds=30, limit_seconds=0.5).claim(above=0)


class ForgetfulRegistry(MemoryRepository):
    """Deletes a manifest, and fails before it deletes the tag."""

    failures = 1

    def delete(self, keys: Iterable[str]) -> None:
        if self.failures:
            self.failures -= 1
            for key in keys:
                del self.contents[key]
            raise TransportError("HTTP status 500, UNKNOWN")
        super().delete(keys)


def test_a_claim_is_withdrawn_from_a_registry_that_deletes_half_of_it() -> None:
    repository = RecordRepository(ForgetfulRegistry(), "the cache")
    put_claim(repository, 1).withdraw()
    assert not repository.tags()


def test_a_record_is_deleted_from_a_registry_that_deletes_half_of_it() -> None:
    repository = RecordRepository(ForgetfulRegistry(), "the cache")
    put_claim(repository, 1)
    [tag] = repository.tags()
    stored = repository.read(tag)
    assert stored is not None
    RegistryCacheWriter(repository, "the cache", lambda: True).delete([stored.key])
    assert repository.read(tag) is None


@pytest.mark.slow
def test_claims_that_are_withdrawn_at_once_leave_no_tag(repository: RecordRepository) -> None:
    def claim_and_withdraw(_: int) -> None:
        for number in range(20):
            put_claim(repository, number).withdraw()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(claim_and_withdraw, range(16)))
    assert not repository.tags()


@pytest.mark.slow
def test_sixteen_processes_publish_sixteen_numbers(repository: RecordRepository, url: str, tmp_path: Path) -> None:
    """None is published twice. One is passed over only if a claim to it was there for too long, on a busy machine."""
    with machine(tmp_path / "first") as builder:
        builder.push(open_cache(url), builder.add("top"))
    running = [run_in_child(PUBLISH, tmp_path / f"builder-{number}", url, str(number)) for number in range(16)]
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    numbers = sorted(int(one.communicate(timeout=120)[0]) for one in running)
    assert len(set(numbers)) == 16 and numbers[-1] <= 18
    assert not any(map(is_claim, repository.tags()))


def test_a_client_follows_the_newest_number_whose_record_is_complete(
    repository: RecordRepository, url: str, tmp_path: Path
) -> None:
    cache, now, lifetime = open_cache(url), datetime.now(UTC), timedelta(days=1)
    with machine(tmp_path / "a") as builder:
        info = builder.store.objects.info(builder.add("top"))
        assert info is not None
        builder.push(cache, info.path)
        publish_channel(cache, "stable", info, signer=Signer([KEY]), lifetime=lifetime, now=now)
        put_claim(repository, 2)
        assert read_channel(builder.store, cache, "stable", trust=TRUST, now=now).number == 1
