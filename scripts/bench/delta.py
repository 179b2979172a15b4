"""Measures what the next version of a package costs: the whole archive, ranges, and a delta.

    python -m scripts.bench.delta numpy==2.3.4 numpy==2.3.5

Takes the wheels from the package index. Needs the extra ``delta``.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.remote.small import KEY, Machine, Said, folder_cache
from vstore.objects import Kind, StorePath
from vstore.remote import Cache, Pusher, pull
from vstore.store import Store


def add(machine: Machine, requirement: str, place: Path) -> StorePath:
    folder = place / requirement
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
        requirement,
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with machine.store.staging("bench") as staged, zipfile.ZipFile(wheel) as archive:
        archive.extractall(staged / "site-packages")
        return machine.store.add(staged, name="bench", kind=Kind.FRAMEWORK).path


def main() -> None:
    before, after = sys.argv[1:3]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        place = Path(name)
        cache = folder_cache(place / "cache")
        with Store.open(place / "builder") as store:
            builder = Machine(store)
            old, new = add(builder, before, place), add(builder, after, place)
            builder.push(cache, old, new)
            record = cache.object(new)
            assert record is not None
            whole = record.archive.size_bytes
            print(f"{before} -> {after}: whole archive {whole / 1e6:.2f} MB")
            show("ranges", cache, old, new, place / "ranges", whole)
            started = time.perf_counter()
            size = Pusher(store, cache, keys=(KEY,), report=Said(), level=None).push_deltas([new], old)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"delta: {size / 1e6:.2f} MB, made in {time.perf_counter() - started:.1f} s, peak memory {peak:.0f} MiB"
            )
            show("with the delta", cache, old, new, place / "delta", whole)


def show(how: str, cache: Cache, old: StorePath, new: StorePath, root: Path, whole: int) -> None:
    with Store.open(root) as store:
        client = Machine(store)
        pull(client.fetcher(), cache, [old])
        started = time.perf_counter()
        moved = pull(client.fetcher(), cache, [new]).moved_bytes
        seconds = time.perf_counter() - started
        print(
            f"{how}: {moved / 1e6:.2f} MB moved, {moved / whole:.1%} of the archive, {seconds:.1f} s",
            *client.said.warnings,
        )


if __name__ == "__main__":
    main()
