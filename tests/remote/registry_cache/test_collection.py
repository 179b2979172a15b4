"""The registry's own collection loses nothing of a cache, and gives the disk back that `cache gc` has freed."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, machine
from scripts.testing.registries import DOCKER_REGISTRY, LocalRegistry, docker_registry
from vstore.errors import CacheError
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, ImageManifest, Sha256
from vstore.remote import (
    CachePolicy,
    Pusher,
    Signer,
    collect_cache,
    open_cache,
    plan_cache_gc,
    publish_channel,
    pull,
    verify_cache,
)
from vstore.remote.registry_cache.repository import layer_of
from vstore.remote.transport.protocol import in_registry
from vstore.remote.transport.schemes import open_transport

pytestmark = pytest.mark.slow
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def collect(place: Path) -> None:
    """As an administrator does while the registry is stopped, in the strictest way."""
    assert DOCKER_REGISTRY is not None
    command = [DOCKER_REGISTRY, "garbage-collect", "-m", str(place / "config.yml")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def disk_bytes(registry: LocalRegistry) -> int:
    return sum(file.stat().st_size for file in registry.storage.rglob("*") if file.is_file())


def test_nothing_is_lost_and_the_disk_is_freed(tmp_path: Path) -> None:
    place = tmp_path / "registry"
    with machine(tmp_path / "a") as builder, machine(tmp_path / "b") as client:
        old = builder.add("old", {"large": random.Random(1).randbytes(2 << 20)})
        low, mid, top = builder.add_three()
        with docker_registry(place) as registry:
            cache = open_cache(registry.url("team/cache"))
            builder.push(cache, old, top)
            cache.writer.pin(top)
        collect(place)
        with docker_registry(place) as registry:
            cache = open_cache(registry.url("team/cache"))
            assert set(cache.inventory().items) == {old, low, mid, top}
            checked = verify_cache(client.store, cache, contents=True, trust=TRUST, reporter=client.said)
            assert checked == (4, [])
            plan = plan_cache_gc(cache.inventory(), CachePolicy(), now=LATER)
            (deleted,) = collect_cache(cache, plan, CachePolicy(), reporter=client.said)
            assert deleted.path == old
            before = disk_bytes(registry)
        collect(place)
        with docker_registry(place) as registry:
            assert before - disk_bytes(registry) > 2 << 20
            cache = open_cache(registry.url("team/cache"))
            pull(client.fetcher(), cache, [top])
            builder.push(cache, old)
            assert set(cache.inventory().items) == {old, low, mid, top}


def test_a_registry_that_refuses_to_delete_keeps_all_and_says_why(tmp_path: Path) -> None:
    """Records are replaced there all the same, and channels get their numbers."""
    with (
        machine(tmp_path / "a") as builder,
        machine(tmp_path / "b") as client,
        docker_registry(tmp_path / "registry", deletes=False) as registry,
    ):
        cache, old, top = open_cache(registry.url("team/cache")), builder.add("old"), builder.add("top")
        builder.push(cache, old, top)
        signer, now = Signer([KEY]), datetime.now(UTC)
        for number, path in enumerate((old, top), 1):
            info = builder.store.objects.info(path)
            assert info is not None
            made = publish_channel(cache, "stable", info, signer=signer, lifetime=timedelta(days=1), now=now)
            assert made.record.number == number
        policy = CachePolicy(keep=1)
        plan = plan_cache_gc(cache.inventory(), policy, now=LATER)
        assert [item.path for item in plan.dead] == [old]
        with pytest.raises(CacheError, match=r"refuses to delete manifests/sha256:.*: HTTP status 405") as caught:
            collect_cache(cache, plan, policy, reporter=builder.said)
        assert "storage.delete.enabled" in str(caught.value.hint)
        pull(client.fetcher(), open_cache(registry.url("team/cache")), [old, top])


def test_a_blob_that_an_image_has_is_not_uploaded_again_and_survives_its_record(tmp_path: Path) -> None:
    place = tmp_path / "registry"
    with machine(tmp_path / "a") as builder, machine(tmp_path / "b") as client, docker_registry(place) as registry:
        low = builder.add("low", {"large": random.Random(1).randbytes(1 << 20)})
        first = open_cache(registry.url("other/place"))
        builder.push(first, low)
        record = first.object(low, TRUST)
        assert record is not None
        assert first.file(record).download(tmp_path / "archive", limit=2 << 20)
        layer = layer_of(record)
        transport = in_registry(open_transport(registry.url("team/cache")))
        transport.put(f"blobs/{layer.digest}", tmp_path / "archive")
        transport.put(f"blobs/{EMPTY_DESCRIPTOR.digest}", EMPTY_BLOB)
        image = ImageManifest(config=EMPTY_DESCRIPTOR, layers=(layer,)).encode()
        transport.put("manifests/image", image)
        blobs = registry.storage / "docker/registry/v2/blobs/sha256"
        data = blobs / layer.digest.hexadecimal[:2] / layer.digest.hexadecimal / "data"
        links = registry.storage / "docker/registry/v2/repositories/team/cache/_layers/sha256"
        link = links / layer.digest.hexadecimal / "link"
        written = data.stat().st_mtime_ns, link.stat().st_mtime_ns
        cache = open_cache(registry.url("team/cache"))
        pushed = Pusher(builder.store, cache, Signer([KEY]), reporter=builder.said).push([low])
        assert (pushed.pushed, pushed.archive_bytes) == ((low,), 0)
        assert (data.stat().st_mtime_ns, link.stat().st_mtime_ns) == written, "the blob was uploaded"
        plan = plan_cache_gc(cache.inventory(), CachePolicy(age=timedelta(0)), now=LATER)
        assert [one.path for one in collect_cache(cache, plan, CachePolicy(), reporter=client.said)] == [low]
        assert transport.get(f"manifests/{Sha256.of(image)}", limit=1 << 20) == image
        stat = transport.head(f"blobs/{layer.digest}")
        assert stat is not None and stat.size_bytes == layer.size_bytes
