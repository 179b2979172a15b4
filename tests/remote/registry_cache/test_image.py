"""A repository that has only an image can be pulled and substituted from; what is wrong in it is a miss or an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scripts.testing.machine import OTHER, TRUST, Machine, machine
from scripts.testing.trees import recipe
from vstore.api import caches
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, Descriptor, ImageIndex, ImageManifest, media_types
from vstore.remote import Cache, Trust, open_cache, pull, verify_cache
from vstore.remote.records.annotations import OBJECT_PATH, OBJECT_RECORD, REALISATION_RECORDS, annotations_of
from vstore.remote.records.trust import NO_TRUST
from vstore.remote.registry_cache import ImageCache
from vstore.remote.registry_cache.repository import layer_of
from vstore.remote.transport.protocol import RepositoryTransport

BASE = Descriptor(media_type=media_types.GZIP_LAYER, digest=EMPTY_DESCRIPTOR.digest, size_bytes=2)


@dataclass
class World:
    """A builder whose three objects are the layers of an image, in a repository without records."""

    builder: Machine
    client: Machine
    transport: RepositoryTransport
    url: str
    paths: tuple[StorePath, ...]
    image: ImageManifest

    def put(self, image: ImageManifest | ImageIndex, tag: str = "v1") -> Cache:
        self.transport.put(f"manifests/{tag}", image.encode())
        return open_cache(f"{self.url}:{tag}")

    def with_annotation(self, name: str, text: str) -> ImageManifest:
        """The image with another annotation at its last layer."""
        *layers, last = self.image.layers
        return replace(self.image, layers=(*layers, replace(last, annotations={**last.annotations, name: text})))


@pytest.fixture
def world(url: str, transport: RepositoryTransport, tmp_path: Path) -> Iterator[World]:
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        paths = builder.add_three()
        elsewhere = open_cache(f"{url}-cache")
        builder.push(elsewhere, *paths)
        transport.put(f"blobs/{EMPTY_DESCRIPTOR.digest}", EMPTY_BLOB)
        layers = [BASE]
        for path in paths:
            record, realisation = elsewhere.object(path, TRUST), elsewhere.realisation(recipe(path.name), TRUST)
            assert record is not None and realisation is not None
            archive = tmp_path / path.name
            elsewhere.file(record).download(archive, limit=1 << 20)
            transport.put(f"blobs/{layer_of(record).digest}", archive)
            layers.append(replace(layer_of(record), annotations=annotations_of(record, [realisation])))
        image = ImageManifest(config=EMPTY_DESCRIPTOR, layers=tuple(layers))
        yield World(builder, client, transport, url, paths, image)


def test_an_image_is_substituted_from(world: World) -> None:
    cache = world.put(world.image)
    assert isinstance(cache, ImageCache) and cache.exists()
    with closing(world.client.substituter(cache)) as substituter:
        assert substituter.substitute(recipe("top")) == world.paths[2]
    assert world.client.said.warnings == []
    store, said = world.client.store, world.client.said
    assert verify_cache(store, cache, contents=True, trust=TRUST, reporter=said) == (3, [])


def test_an_image_is_pulled_from_by_tag_digest_and_index(world: World) -> None:
    world.put(world.image)
    manifest = Descriptor.of(media_types.MANIFEST, world.image.encode())
    for number, version in enumerate((f"@{manifest.digest}", ":index", ":v1")):
        if version == ":index":
            world.put(ImageIndex(manifests=(manifest,)), "index")
        with machine(world.client.store.layout.root.parent / f"client-{number}") as client:
            pull(client.fetcher(NO_TRUST), open_cache(world.url + version), [world.paths[2]])
            assert client.store.is_valid(world.paths[0])


def test_without_a_name_all_of_an_image_is_pulled(world: World) -> None:
    pulled = caches.pull(world.client.store, world.put(world.image), [])
    assert pulled.paths == world.paths[2:] and {one.path for one in pulled.fetched} == set(world.paths)
    with pytest.raises(CacheError, match=f"there is no cache at {world.url}:v2"):
        caches.pull(world.client.store, open_cache(f"{world.url}:v2"), [])


def test_signatures_of_others_are_not_believed(world: World) -> None:
    cache = world.put(world.image)
    with closing(world.client.substituter(cache, trust=Trust(keys=(OTHER.public,)))) as substituter:
        assert substituter.substitute(recipe("top")) is None
    assert "is not trusted" in world.client.said.warnings[0]


def test_an_image_is_read_only_and_has_no_channels(world: World) -> None:
    cache = world.put(world.image)
    with pytest.raises(CacheError, match="cannot write to an image"):
        world.builder.push(cache, *world.paths)
    assert (cache.channel("stable", TRUST), cache.channel_names()) == (None, set())
    assert cache.delta(world.paths[0], world.paths[1], TRUST) is None
    with pytest.raises(CacheError, match="there is no cache at"):
        open_cache(f"{world.url}:absent").inventory()


def test_the_record_of_another_layer_is_refused(world: World) -> None:
    low = world.image.layers[1].annotations[OBJECT_RECORD]
    cache = world.put(world.with_annotation(OBJECT_RECORD, low))
    with pytest.raises(CacheError, match="the record of another object"):
        cache.object(world.paths[2], TRUST)
    *layers, last = world.image.layers
    swapped = replace(layers[1], annotations=last.annotations)
    cache = world.put(replace(world.image, layers=(*layers, swapped)), "v2")
    with pytest.raises(CacheError, match="is for another layer"):
        cache.object(world.paths[2], TRUST)
    problems: dict[str, str] = {}
    assert set(cache.inventory(problems).items) == set(world.paths[:2])
    assert set(problems) == {str(world.paths[2])}


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]", '[{"format":1}]', "[" * 10_000])
def test_malformed_records_of_recipes_are_a_miss(world: World, text: str) -> None:
    cache = world.put(world.with_annotation(REALISATION_RECORDS, text))
    assert cache.realisation(recipe("top"), TRUST) is None
    assert cache.realisation(recipe("low"), TRUST) is not None


@pytest.mark.parametrize("text", ["", "{}", "x" * 100])
def test_a_malformed_record_of_an_object_is_an_error(world: World, text: str) -> None:
    cache = world.put(world.with_annotation(OBJECT_RECORD, text))
    with pytest.raises(CacheError, match="malformed record"):
        cache.object(world.paths[2], TRUST)
    with pytest.raises(CacheError):
        cache.inventory()


def test_a_layer_with_a_malformed_path_is_none_of_an_object(world: World) -> None:
    cache = world.put(world.with_annotation(OBJECT_PATH, "../../etc"))
    assert cache.object(world.paths[2], TRUST) is None
    assert set(cache.inventory().items) == set(world.paths[:2])


def test_an_index_of_indexes_is_refused(world: World) -> None:
    world.put(world.image)
    inner = ImageIndex(manifests=(Descriptor.of(media_types.MANIFEST, world.image.encode()),))
    world.put(inner, "inner")
    cache = world.put(ImageIndex(manifests=(Descriptor.of(media_types.INDEX, inner.encode()),)), "outer")
    with pytest.raises(CacheError, match="an index of indexes"):
        cache.exists()
