"""Measures what the next version of a package costs: the whole archive, ranges, a delta, and ``zstd --patch-from``.

    python -m scripts.bench.delta                                  # the table in docs/internals/cache.md
    python -m scripts.bench.delta numpy==2.3.4 numpy==2.3.5 [PLATFORM]

Takes the wheels from the package index (for PLATFORM, as pip calls it, if given; ``VSTORE_BENCH_WHEELS`` names a folder
to keep them in), for CPython 3.11. Needs the extra ``delta`` and the tools tar and zstd. Prints rows of Markdown.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scripts.testing.machine import KEY, TRUST, Machine, Said
from vstore.objects import Kind, StorePath
from vstore.remote import Cache, Pusher, Signer, open_cache, pull
from vstore.store import Store

PAIRS = (
    ("numpy==2.3.4", "numpy==2.3.5", None),
    ("scipy==1.16.2", "scipy==1.16.3", None),
    ("pandas==2.3.2", "pandas==2.3.3", None),
    ("PySide6_Essentials==6.9.2", "PySide6_Essentials==6.9.3", None),
    ("torch==2.9.0", "torch==2.9.1", "manylinux_2_28_aarch64"),  # without CUDA, as are those for Windows
    ("torch==2.9.0", "torch==2.9.1", "win_amd64"),
)
COLUMNS = (
    "",
    "whole archive",
    "files by range",
    "delta",
    "`zstd -15 --patch-from`",
    "making the delta / zstd's",
    "pulling whole / ranges / delta",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work gave, and took: `own` and `below` are the peaks of its process and of those it started."""

    size_bytes: int
    seconds: float
    own_mebibytes: float
    below_mebibytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {max(self.own_mebibytes, self.below_mebibytes):.0f} MiB"


def measured(work: Callable[[], int]) -> Cost:
    """Do it in a process of its own, whose memory is then known."""
    sys.stdout.flush()
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        started = time.perf_counter()
        size, seconds = work(), time.perf_counter() - started
        peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        os.write(there, f"{size} {seconds} {peaks[0]} {peaks[1]}".encode())
        os._exit(0)
    os.close(there)
    with open(here) as pipe:
        size_text, *rest = pipe.read().split()
    os.waitpid(child, 0)
    seconds, own, below = map(float, rest)
    return Cost(int(size_text), seconds, own, below)


@dataclass(frozen=True, slots=True)
class Bench:
    """Two versions in a builder's store, all in one folder, and a cache at a URL."""

    place: Path
    url: str

    def cache(self) -> Cache:
        return open_cache(self.url)

    def add(self, requirement: str, platform: str | None) -> int:
        wheel = fetch(requirement, platform, self.place)
        with Store.open(self.place / "builder") as store, store.staging("bench") as staged:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(staged / "site-packages")
            path = store.add(staged, name="bench", kind=Kind.FRAMEWORK).path
            Machine(store).push(self.cache(), path)
            (self.place / requirement).write_text(str(path))
        record = self.cache().object(path, TRUST)
        return record.archive.size_bytes if record else 0

    def path(self, requirement: str) -> StorePath:
        return StorePath.parse((self.place / requirement).read_text())

    def delta(self, before: str, after: str) -> int:
        with Store.open(self.place / "builder") as store:
            pusher = Pusher(store, self.cache(), Signer((KEY,)), reporter=Said())
            return pusher.push_deltas([self.path(after)], self.path(before))

    def client(self, name: str, requirement: str) -> int:
        """Pull it into a client's store; returns the bytes moved."""
        with Store.open(self.place / name) as store:
            client = Machine(store)
            moved = pull(client.fetcher(), self.cache(), [self.path(requirement)]).fetched_bytes
            assert not client.said.warnings, client.said.warnings
            return moved

    def zstd(self, before: str, after: str) -> int:
        """The size of zstd's own delta between both trees, each as one tar."""
        files = []
        for requirement in (before, after):
            files.append(self.place / f"{requirement}.tar")
            tree = self.place / "builder" / "store" / str(self.path(requirement))
            subprocess.run(["tar", "--sort=name", "-C", tree, "-cf", files[-1], "."], check=True)
        patch = self.place / "patch.zst"
        subprocess.run(
            ["zstd", "-q", "-f", "-15", "--long=31", f"--patch-from={files[0]}", files[1], "-o", patch], check=True
        )
        return patch.stat().st_size


def fetch(requirement: str, platform: str | None, place: Path) -> Path:
    folder = Path(os.environ.get("VSTORE_BENCH_WHEELS", place / "wheels")) / f"{requirement}-{platform}"
    if not folder.is_dir():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        if platform is not None:
            command += ["--platform", platform, "--python-version", "3.11"]
        subprocess.run([*command, requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def row(before: str, after: str, platform: str | None) -> str:
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        bench = Bench(Path(place), f"file://{place}/cache")
        measured(lambda: bench.add(before, platform))
        whole = measured(lambda: bench.add(after, platform)).size_bytes
        pulls = [measured(lambda: bench.client("whole", after))]
        for name in ("ranges", "delta"):
            measured(lambda name=name: bench.client(name, before))  # type: ignore[misc]
        pulls.append(measured(lambda: bench.client("ranges", after)))
        made = measured(lambda: bench.delta(before, after))
        pulls.append(measured(lambda: bench.client("delta", after)))
        zstd = measured(lambda: bench.zstd(before, after))
    name, _, old = before.partition("==")
    cells = [f"{name} {old} → {after.partition('==')[2]}" + (f", {platform}" if platform else "")]
    cells.append(f"{whole / 1e6:.2f} MB")
    cells += [f"{one.size_bytes / 1e6:.2f} MB ({one.size_bytes / whole:.1%})" for one in (*pulls[1:], zstd)]
    cells.append(f"{made} / {zstd}")
    cells.append(" / ".join(f"{one.seconds:.1f} s" for one in pulls[:2]) + f" / {pulls[2]}")
    return line(cells)


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    given = sys.argv[1:]
    pairs = ((given[0], given[1], given[2] if len(given) > 2 else None),) if given else PAIRS
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n")
    for pair in pairs:
        print(row(*pair), flush=True)


if __name__ == "__main__":
    main()
