"""Spoilt caches, images and bundles against pull, substitution, SBOM and unpack: a miss or an error, no wrong byte.

    python -m scripts.reliability.hostile.spoilt COUNT SEED FOLDER

Prints as JSON how many were tried, taken and refused, and the peak of memory in MiB.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts.reliability.hostile.spoil import spoil
from scripts.reliability.hostile.tries import bring, library, print_tries, run_tries
from scripts.testing.machine import KEY, TRUST, Machine, folder_cache, machine
from scripts.testing.memory_registry import MemoryRepository
from scripts.testing.trees import recipe
from vstore.oci import EMPTY_DESCRIPTOR, ImageManifest, Reference
from vstore.publish import BundleOptions, BundleOutput, members_of_objects, unpack_bundle
from vstore.remote import Cache, FileCache, Pusher, Signer, Trust, fetch_sbom, pull
from vstore.remote.records.annotations import annotations_of
from vstore.remote.registry_cache import ImageCache, RegistryCache
from vstore.remote.registry_cache.repository import layer_of
from vstore.remote.transport.memory import MemoryTransport
from vstore.sbom_format import Sbom, SbomFormat
from vstore.values import replace

IMAGE = Reference(host="memory.test", repository="repository", tag="image")


class Spoilt:
    """Three objects, an SBOM, and a delta between two others, in caches and a bundle. One file is spoilt at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with machine(folder / "builder") as builder:
            self.paths = builder.add_three()
            builder.push(folder_cache(folder / "cache"), *self.paths)
            old, self.newer = (builder.add("versioned", library(version)) for version in (0, 1))
            builder.push(folder_cache(folder / "cache"), old, self.newer)
            self.sbom = Sbom(self.paths[2], SbomFormat.SPDX, b"an SBOM")
            self.repository = MemoryRepository()
            builder.push(RegistryCache(self.repository), *self.paths, old, self.newer)
            for cache in (folder_cache(folder / "cache"), RegistryCache(self.repository)):
                pusher = Pusher(builder.store, cache, Signer((KEY,)), reporter=builder.said)
                assert pusher.push_deltas([self.newer], old), "deltas are tried too"
                pusher.push_sbom(self.sbom)
            self._put_image(RegistryCache(self.repository))
            self.bundle = folder / "bundle"
            output = BundleOutput(store=builder.store, file=self.bundle, options=BundleOptions(keys=(KEY,)))
            output.write(members_of_objects(builder.store, self.paths), jobs=1, reporter=builder.said)
        files = sorted(path for path in (folder / "cache").rglob("*") if path.is_file())
        self.files = {path.relative_to(folder / "cache").as_posix(): path.read_bytes() for path in files}

    def cache(self, chance: random.Random, only: str = "") -> Cache:
        """The cache with one file spoilt, whose key has `only` in it; what it holds otherwise stays."""
        key = chance.choice([key for key in self.files if only in key])
        place = MemoryTransport(f"memory://{chance.random()}")  # of which no miss is known
        for name, data in self.files.items():
            place.put(name, spoil(data, chance) if name == key else data)
        return FileCache(place)

    def _put_image(self, cache: Cache) -> None:
        """Put an image with the three objects into the repository of the cache."""
        layers = []
        for path in self.paths:
            record, realisation = cache.object(path, TRUST), cache.realisation(recipe(path.name), TRUST)
            assert record is not None and realisation is not None
            layers.append(replace(layer_of(record), annotations=annotations_of(record, [realisation])))
        image = ImageManifest(config=EMPTY_DESCRIPTOR, layers=tuple(layers))
        self.repository.put(f"manifests/{IMAGE.tag}", image.encode())

    def spoilt_repository(self, chance: random.Random, *, image: bool = False) -> MemoryRepository:
        """The repository with one manifest or blob spoilt, or with the manifests of two tags swapped."""
        made = MemoryRepository(f"oci://memory.test/{chance.getrandbits(64)}")
        made.tagged, made.contents = dict(self.repository.tagged), dict(self.repository.contents)
        tags = sorted(tag for tag in made.tagged if (tag == IMAGE.tag) == image)
        if not image and chance.random() < 0.1:
            one, other = chance.sample(tags, 2)
            made.tagged[one], made.tagged[other] = made.tagged[other], made.tagged[one]
            return made
        blobs = sorted(key for key in made.contents if key.startswith("blobs/"))
        key = chance.choice([*blobs, *(f"manifests/{made.tagged[tag]}" for tag in tags)])
        made.contents[key] = spoil(made.contents[key], chance)
        return made

    def fetch_sbom(self, client: Machine, cache: Cache) -> None:
        """Fetch the SBOM of an object; it is that which was pushed."""
        assert fetch_sbom(client.store, cache, self.sbom.path, self.sbom.format, TRUST) == self.sbom

    def registry_cache(self, chance: random.Random) -> Cache:
        return RegistryCache(self.spoilt_repository(chance))

    def image_cache(self, chance: random.Random) -> Cache:
        return ImageCache(self.spoilt_repository(chance, image=True), IMAGE)

    def spoilt_bundle(self, chance: random.Random) -> Path:
        file = self._folder / "spoilt"
        file.write_bytes(spoil(self.bundle.read_bytes(), chance))
        return file


def run(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Try so many; AssertionError for a wrong byte, any odd error as it is."""
    world = Spoilt(folder)
    return run_tries(count, seed, folder, partial(attempt, world))


def attempt(world: Spoilt, client: Machine, chance: random.Random, number: int) -> bool:
    """Bring the objects in one of the ways; whatever is there afterwards is right."""
    ways: tuple[Callable[[], object], ...] = (
        lambda: pull(client.fetcher(Trust()), world.cache(chance), [world.paths[2]]),
        lambda: client.substituter(world.cache(chance)).substitute(recipe("top")),
        lambda: unpack_bundle(client.store, world.spoilt_bundle(chance), trust=TRUST, reporter=client.said),
        lambda: pull(client.fetcher(), world.cache(chance, "delta"), [world.newer]),
        lambda: pull(client.fetcher(Trust()), world.registry_cache(chance), [world.paths[2]]),
        lambda: client.substituter(world.registry_cache(chance)).substitute(recipe("top")),
        lambda: pull(client.fetcher(), world.registry_cache(chance), [world.newer]),
        lambda: world.fetch_sbom(client, world.cache(chance, "sboms")),
        lambda: world.fetch_sbom(client, world.registry_cache(chance)),
        lambda: pull(client.fetcher(Trust()), world.image_cache(chance), [world.paths[2]]),
        lambda: client.substituter(world.image_cache(chance)).substitute(recipe("top")),
    )
    there = bring(client, ways[number % len(ways)], (*world.paths, world.newer))
    assert number % len(ways) != 1 or len(client.said.warnings) <= 1, client.said.warnings
    return there


if __name__ == "__main__":
    print_tries(run)
