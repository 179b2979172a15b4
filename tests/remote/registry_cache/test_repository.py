"""A manifest is a record only under its own tag, with its own file, and with its own content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, OTHER, TRUST, Machine, machine
from scripts.testing.registries import LocalRegistry
from scripts.testing.trees import recipe
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.oci import EMPTY_DESCRIPTOR, ImageIndex, ImageManifest
from vstore.remote import Pusher, PushOptions, Signer, Trust, open_cache, verify_cache
from vstore.remote.records.encoding import decode_object, decode_realisation
from vstore.remote.registry_cache import RegistryCache
from vstore.remote.registry_cache.repository import RECORD, TAG, RecordRepository
from vstore.remote.registry_cache.tags import RecordTag, object_subject, recipe_subject, signer_of

LIMIT = 4 << 20


@dataclass
class World:
    builder: Machine
    client: Machine
    cache: RegistryCache
    repository: RecordRepository
    path: StorePath

    @property
    def object_tag(self) -> RecordTag:
        return RecordTag(object_subject(self.path), signer_of(KEY.public))

    @property
    def recipe_tag(self) -> RecordTag:
        return RecordTag(recipe_subject(recipe("low")), signer_of(KEY.public))

    def manifest(self, tag: RecordTag) -> ImageManifest:
        data = self.repository.transport.get(f"manifests/{tag}", limit=LIMIT)
        assert data is not None
        return ImageManifest.decode(data)

    def put(self, tag: RecordTag, data: bytes) -> None:
        self.repository.transport.put(f"manifests/{tag}", data)


@pytest.fixture
def world(url: str, repository: RecordRepository, tmp_path: Path) -> Iterator[World]:
    cache = open_cache(url)
    assert isinstance(cache, RegistryCache)
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        path = builder.add("low")
        builder.push(cache, path)
        yield World(builder, client, cache, repository, path)


def swapped(world: World) -> bytes:
    return world.manifest(world.object_tag).encode()


def another_record(world: World) -> bytes:
    """Names the right tag, but carries the record of another recipe."""
    other = world.builder.add("other")
    world.builder.push(world.cache, other)
    record = world.manifest(RecordTag(recipe_subject(recipe("other")), signer_of(KEY.public))).annotations[RECORD]
    manifest = world.manifest(world.recipe_tag)
    return replace(manifest, annotations={**manifest.annotations, RECORD: record}).encode()


def without_record(world: World) -> bytes:
    return replace(world.manifest(world.recipe_tag), annotations={TAG: str(world.recipe_tag)}).encode()


def too_large(world: World) -> bytes:
    manifest = world.manifest(world.recipe_tag)
    return replace(manifest, annotations={**manifest.annotations, RECORD: " " * (2 << 20)}).encode()


def an_index(world: World) -> bytes:
    return ImageIndex(manifests=(), annotations={TAG: str(world.recipe_tag)}).encode()


def with_an_archive(world: World) -> bytes:
    manifest = world.manifest(world.object_tag)
    recipe_of = world.manifest(world.recipe_tag)
    return replace(recipe_of, layers=manifest.layers).encode()


BAD = [swapped, another_record, without_record, too_large, an_index, with_an_archive]


@pytest.mark.parametrize("make", BAD)
def test_a_malformed_manifest_is_a_miss_and_a_push_replaces_it(world: World, make: object) -> None:
    world.put(world.recipe_tag, make(world))  # type: ignore[operator]
    with pytest.raises(CacheError):
        world.repository.read_record(world.recipe_tag, decode_realisation)
    with closing(world.client.substituter(world.cache)) as substituter:
        assert substituter.substitute(recipe("low")) is None
    assert len(world.client.said.warnings) == 1
    store, said = world.builder.store, world.builder.said
    problems = verify_cache(store, world.cache, contents=True, trust=TRUST, reporter=said)[1]
    assert str(world.recipe_tag) in {problem.key for problem in problems}
    with pytest.raises(CacheError):
        world.cache.inventory()
    world.builder.push(world.cache, world.path)
    assert "is replaced" in world.builder.said.warnings[-1]
    assert verify_cache(store, world.cache, contents=True, trust=TRUST, reporter=said)[1] == []


def test_a_record_whose_archive_the_registry_would_collect_is_pushed_again(world: World) -> None:
    manifest = world.manifest(world.object_tag)
    world.put(world.object_tag, replace(manifest, layers=(EMPTY_DESCRIPTOR,)).encode())
    with pytest.raises(CacheError, match="does not list the file of its record"):
        world.repository.read_record(world.object_tag, decode_object)
    world.builder.push(world.cache, world.path)
    assert world.manifest(world.object_tag).layers == manifest.layers


def test_a_malformed_record_of_one_key_hides_none_of_another(world: World) -> None:
    with machine(world.builder.store.layout.root.parent / "other") as other:
        assert other.add("low") == world.path
        other.push(world.cache, world.path, keys=(OTHER,))
    world.put(world.recipe_tag, swapped(world))
    both = Trust(keys=(KEY.public, OTHER.public))
    with closing(world.client.substituter(world.cache, trust=both)) as substituter:
        assert substituter.substitute(recipe("low")) == world.path


def test_the_manifest_of_another_tag_is_none(world: World) -> None:
    """Of the same object, so that only the tag is wrong."""
    other = RecordTag(object_subject(world.path), signer_of(OTHER.public))
    world.put(other, world.manifest(world.object_tag).encode())
    with pytest.raises(CacheError, match="contains the manifest of something else"):
        world.repository.read_record(other, decode_object)


def test_a_builder_with_other_metadata_pushes_its_own_archive_and_signs_no_archive_that_it_has_not_read(
    world: World,
) -> None:
    with machine(world.builder.store.layout.root.parent / "other") as other:
        assert other.add("low", parts=(b"x",)) == world.path
        signer = Signer([OTHER], TRUST)
        pushed = Pusher(other.store, world.cache, signer, PushOptions(level=9), reporter=other.said).push([world.path])
        assert pushed.pushed == (world.path,)
        again = Pusher(other.store, world.cache, signer, PushOptions(level=9), reporter=other.said).push([world.path])
        assert again.present == (world.path,)
    records = [world.cache.object(world.path, Trust(keys=(key.public,))) for key in (KEY, OTHER)]
    first, second = (record for record in records if record is not None)
    assert [one.key for one in first.signatures] == [KEY.name] and first.parts == ()
    assert [one.key for one in second.signatures] == [OTHER.name] and second.parts == (b"x",)
    item = world.cache.inventory().items[world.path]
    assert len({one.fingerprint for one in (item.record, *item.others)}) == 2


def test_an_old_record_is_written_again_by_a_push_and_nothing_else(world: World, registry: LocalRegistry) -> None:
    before = world.repository.read(str(world.object_tag))
    assert before is not None
    world.builder.push(world.cache, world.path)
    assert world.repository.read(str(world.object_tag)) == before
    world.repository.write(str(world.object_tag), before.text, before.layer, at=datetime(2020, 1, 1, tzinfo=UTC))
    world.builder.push(world.cache, world.path)
    after = world.repository.read(str(world.object_tag))
    assert after is not None and (after.text, after.layer) == (before.text, before.layer)
    assert after.written_at >= before.written_at
    name = world.cache.url.rpartition("/")[2]
    folder = registry.storage / "docker/registry/v2/repositories/team" / name
    revisions = list(folder.glob("_manifests/revisions/sha256/*/link"))
    assert len(revisions) == len(world.repository.tags()), "a manifest that was replaced is deleted"


def test_a_collection_deletes_the_manifest_that_it_saw_and_no_newer_one(world: World) -> None:
    item = world.cache.inventory().items[world.path]
    record = world.cache.object(world.path, TRUST)
    assert record is not None
    world.cache.writer.put_object(replace(record, signatures=()), Signer([KEY]))
    world.cache.writer.delete(item.keys)
    assert world.repository.read(str(world.object_tag)) is not None
    assert world.repository.read(str(world.recipe_tag)) is None


def test_the_tags_of_images_in_the_repository_are_left_alone(world: World) -> None:
    world.repository.transport.put("manifests/latest", ImageManifest(config=EMPTY_DESCRIPTOR, layers=()).encode())
    inventory = world.cache.inventory()
    assert (set(inventory.items), inventory.orphans) == ({world.path}, ())
