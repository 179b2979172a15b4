"""Measures caches: a pull from nginx beside `curl | zstd -d | tar x` of the same bytes, and a push of what is there.

    python -m scripts.bench.cache [MiB | wheels] [ROUNDS]

``wheels`` installs real ones, 1.1 GiB, from the index that uv knows. Both sides take turns and end flushed to disk;
processor time is what the load of other work distorts least. A round leaves two trees
until the end. Needs nginx, curl, zstd and tar.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from scripts.testing.machine import Machine, folder_cache
from scripts.testing.servers import nginx
from vstore.objects import Kind, StorePath
from vstore.remote.file_cache.layout import archive_key
from vstore.store import Store

PULL = """
import sys
from pathlib import Path
from scripts.testing.machine import TRUST, Said
from scripts.testing.memory import peak_mebibytes
from vstore.objects import StorePath
from vstore.remote import Fetcher, open_cache, pull
from vstore.store import Store
with Store.open(Path(sys.argv[2])) as store:
    fetcher = Fetcher(store, trust=TRUST, reporter=Said())
    pull(fetcher, open_cache(sys.argv[1]), map(StorePath.parse, sys.argv[3:]))
print(f"peak memory of a pull: {peak_mebibytes()} MiB")
"""
WHEELS = {  # 1 GiB of content
    "qt": ("PySide6-Essentials==6.9.1", "PySide6-Addons==6.9.1", "shiboken6==6.9.1"),
    "arrow": ("pyarrow==20.0.0", "polars==1.31.0"),
    "science": ("numpy==2.3.1", "scipy==1.16.0", "pandas==2.3.0", "scikit-learn==1.7.0"),
}
FILE_BYTES = (2_000, 8_000, 30_000, 120_000, 1_000_000)


def content(seed: int, size: int) -> bytes:
    """Half noise, half repetition: compresses about as code does."""
    noise = random.Random(seed)
    return b"".join(noise.randbytes(200) + bytes(400) for _ in range(size // 600 + 1))[:size]


def fill(builder: Machine, mebibytes: int) -> list[StorePath]:
    """Four objects of files of mixed sizes."""
    paths = []
    for part in range(4):
        files, size, number = {}, 0, 0
        while size < mebibytes * (1 << 20) // 4:
            length = FILE_BYTES[number % len(FILE_BYTES)]
            files[f"lib/package{number // 50}/file{number}.py"] = content(part * 1_000_000 + number, length)
            size, number = size + length, number + 1
        paths.append(builder.add(f"object{part}", files))
    return paths


def install(builder: Machine) -> list[StorePath]:
    """Objects made of real wheels."""
    paths = []
    for name, wheels in WHEELS.items():
        with builder.store.staging(name) as staged:
            folder = staged / "lib" / "python3.11" / "site-packages"
            command = [
                find_uv_bin(),
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--python-version=3.11",
            ]
            subprocess.run([*command, "--link-mode=copy", "--target", str(folder), *wheels], check=True)
            paths.append(builder.store.add(staged, name=name, kind=Kind.FRAMEWORK).path)
    return paths


@dataclass(frozen=True)
class Timing:
    """Until everything is on the disk, and what processes took of the cores."""

    wall_seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.wall_seconds:.2f} s, processor {self.cpu_seconds:.2f} s"


def timed(work: Callable[[], object], *, flush: bool = True) -> Timing:
    if flush:
        os.sync()
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    if flush:
        os.sync()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(time.perf_counter() - started, cpu)


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "1024"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        place = Path(name)
        with Store.open(place / "builder") as store:
            builder = Machine(store)
            paths = install(builder) if what == "wheels" else fill(builder, int(what))
            cache = folder_cache(place / "cache")
            size = sum(store.manifest(path)[0].size_bytes for path in paths) >> 20
            print(f"push of {size} MiB: {timed(lambda: builder.push(cache, *paths)).wall_seconds:.2f} s")
            many = [builder.add(f"small{n}") for n in range(200)]
            builder.push(cache, *many)
            print(f"push of 200 objects that are there: {timed(lambda: builder.push(cache, *many)).wall_seconds:.2f} s")
        with nginx(place / "nginx", place) as url:
            turns = [turn(f"{url}/cache", paths, place, number) for number in range(rounds)]
        walls = [statistics.median(one[side].wall_seconds for one in turns) for side in (0, 1)]
        cpus = [statistics.median(one[side].cpu_seconds for one in turns) for side in (0, 1)]
        print(f"medians: {walls[0] / walls[1]:.0%} of its speed, {cpus[1] / cpus[0]:.0%} of its processor time")


def turn(url: str, paths: list[StorePath], place: Path, number: int) -> tuple[Timing, Timing]:
    baseline = timed(lambda: plain(url, paths, place / f"plain{number}"))
    ours = timed(lambda: fetch(url, paths, place / f"client{number}"))
    print(
        f"curl | zstd -d | tar x: {baseline}; pull: {ours}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return baseline, ours


def plain(url: str, paths: list[StorePath], target: Path) -> None:
    target.mkdir()
    for path in paths:
        command = f"curl -sf {url}/{archive_key(path)} | zstd -dc | tar x -C {target}"
        subprocess.run(command, shell=True, check=True)


def fetch(url: str, paths: list[StorePath], root: Path) -> None:
    """In a process of its own, as `vstore pull` is, whose memory is then known."""
    subprocess.run([sys.executable, "-c", PULL, url, str(root), *map(str, paths)], check=True)


if __name__ == "__main__":
    main()
