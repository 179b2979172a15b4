"""Spoilt caches and bundles against pull, substitution and unpack: a miss or an error in one line, never a wrong byte.

    python -m scripts.reliability.hostile.spoilt COUNT SEED FOLDER

Prints as JSON how many were tried, taken and refused, and the peak of memory in MiB.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.reliability.hostile.spoil import spoil
from scripts.testing.machine import KEY, TRUST, Machine, folder_cache, machine
from scripts.testing.memory import peak_mebibytes
from scripts.testing.trees import recipe
from vstore.errors import ArchiveError, CacheError, UsageError
from vstore.fs.trees.scan import scan
from vstore.objects import StorePath
from vstore.publish import BundleOptions, BundleOutput, members_of_objects, unpack_bundle
from vstore.remote import Cache, FileCache, Pusher, Signer, Trust, pull
from vstore.remote.transport.memory import MemoryTransport


def library(version: int) -> dict[str, bytes]:
    """A file as it is linked again: every 200 bytes an address that has moved."""
    noise = random.Random(7)
    parts = [noise.randbytes(196) + (number * 4 + version * 4096).to_bytes(4, "big") for number in range(2000)]
    return {"lib/a.so": b"".join(parts)}


class Spoilt:
    """A cache and a bundle of three objects, and a delta between two, of which one file is spoilt at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with machine(folder / "builder") as builder:
            self.paths = builder.add_three()
            builder.push(folder_cache(folder / "cache"), *self.paths)
            old, self.newer = (builder.add("versioned", library(version)) for version in (0, 1))
            builder.push(folder_cache(folder / "cache"), old, self.newer)
            pusher = Pusher(builder.store, folder_cache(folder / "cache"), Signer((KEY,)), reporter=builder.said)
            assert pusher.push_deltas([self.newer], old), "deltas are tried too"
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

    def spoilt_bundle(self, chance: random.Random) -> Path:
        file = self._folder / "spoilt"
        file.write_bytes(spoil(self.bundle.read_bytes(), chance))
        return file


def run(count: int, seed: int, folder: Path) -> dict[str, int]:
    """Try so many; AssertionError for a wrong byte, any odd error as it is."""
    world, taken, number = Spoilt(folder), 0, 0
    while number < count:
        with machine(folder / f"client{number}") as client:
            client.add("versioned", library(0))
            while number < count:  # in one store until something is taken
                number += 1
                if attempt(world, client, random.Random(seed + number), number):
                    taken += 1
                    break
    return {"tried": count, "taken": taken, "refused": count - taken}


def attempt(world: Spoilt, client: Machine, chance: random.Random, number: int) -> bool:
    """Bring the objects in one of four ways; whatever is there afterwards is right."""
    ways: tuple[Callable[[], object], ...] = (
        lambda: pull(client.fetcher(Trust()), world.cache(chance), [world.paths[2]]),
        lambda: client.substituter(world.cache(chance)).substitute(recipe("top")),
        lambda: unpack_bundle(client.store, world.spoilt_bundle(chance), trust=TRUST, reporter=client.said),
        lambda: pull(client.fetcher(), world.cache(chance, "delta"), [world.newer]),
    )
    client.said.warnings.clear()
    try:
        ways[number % 4]()
    except (ArchiveError, CacheError, UsageError) as error:
        client.said.notes.append(error.message)
    assert all(said and "\n" not in said for said in (*client.said.warnings, *client.said.notes))
    assert number % 4 != 1 or len(client.said.warnings) <= 1, client.said.warnings
    there = [path for path in (*world.paths, world.newer) if client.store.is_valid(path)]
    for path in there:
        tree = scan(client.store.layout.object(path))
        assert StorePath.make(tree.digest, path.name) == path, "a wrong byte"
    return bool(there)


def main() -> None:
    found = run(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.write(json.dumps({**found, "peak": peak_mebibytes()}) + "\n")


if __name__ == "__main__":
    main()
