"""Measures a container registry as a cache and as the place of images, with Debian's docker-registry on loopback.

    python -m scripts.bench.registry [--mebibytes N] [--rounds N] [--delta OLD NEW [PLATFORM]]

A stack of N MiB is published, pushed to two repositories and written as images; each command is a process of its own,
whose memory and packings count. Then it is pulled, in turns with `curl | zstd -d | tar x` of the same blobs, both
flushed to disk. `--delta` names two releases in the package index. Needs docker-registry, curl, zstd and tar, and for
a delta the extra `delta`. Prints rows of Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.bench.cache import Timing, content, timed
from scripts.bench.delta import Bench, measured
from scripts.testing.registries import LocalRegistry, docker_registry
from scripts.testing.wheels import make_wheel
from scripts.testing.world import VERSION, World
from vstore.target import Target

FRAMEWORKS = ("one", "two", "three", "four")
FILE_BYTES = (2_000, 8_000, 30_000, 120_000, 1_000_000)
REPOSITORY = "bench/stack"
MEASURED = """
import os
import sys
from scripts.testing.memory import peak_mebibytes
from vstore.cli import main
end = os._exit
def told(code):
    print(f"peak {peak_mebibytes()} MiB", file=sys.stderr, flush=True)
    end(code)
os._exit = told
main()
"""


@dataclass(frozen=True)
class Ran:
    """One call of vstore: its time, the peak of its memory, and how often it packed an object."""

    taken: Timing
    peak_mebibytes: int
    packings: int


@dataclass
class MeasuredWorld(World):
    """A world whose calls of vstore state the peak of their memory."""

    def environment(self) -> dict[str, str]:
        return {key: value for key, value in super().environment().items() if key != "PYTHONDONTWRITEBYTECODE"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", MEASURED, "--root", str(self.root), "--no-progress", *arguments]

    def measured(self, *arguments: str) -> Ran:
        said: list[str] = []
        taken = timed(lambda: said.append(self.run("-v", *arguments)[1]), flush=False)
        (peak,) = re.findall(r"^peak (\d+) MiB$", said[0], re.MULTILINE)
        return Ran(taken, int(peak), said[0].count("packed, as"))


class Counter:
    """How many bytes clients sent to a server, heads of requests included."""

    sent_bytes = 0


@contextmanager
def counted(registry: LocalRegistry) -> Iterator[tuple[str, Counter]]:
    """The same registry behind a proxy that counts; yields its host with the port."""
    counter, loop = Counter(), asyncio.new_event_loop()
    host, _, port = registry.host.rpartition(":")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 18):
                counter.sent_bytes += len(data) if count else 0
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, there, count=True), pump(back, writer, count=False))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", counter
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def make_stack(place: Path, mebibytes: int) -> MeasuredWorld:
    """A machine that has realised a stack: four frameworks of files of mixed sizes, and an application."""
    world = MeasuredWorld(place, place / "root")
    world.wheels.mkdir(parents=True)
    layers = ""
    for part, name in enumerate(FRAMEWORKS):
        files, size, number = {}, 0, 0
        while size < (mebibytes << 20) // len(FRAMEWORKS):
            length = FILE_BYTES[number % len(FILE_BYTES)]
            files[f"{name}/package{number // 50}/file{number}.dat"] = content(part * 1_000_000 + number, length)
            size, number = size + length, number + 1
        make_wheel(world.wheels, name, "1", files)
        layers += f'[[frameworks]]\nname = "{name}"\nruntime = "python"\nrequirements = ["{name}"]\n'
    world.spec.parent.mkdir(parents=True)
    world.spec.write_text(
        f'[[runtimes]]\nname = "python"\npython_implementation = "cpython@{VERSION}"\nrequirements = []\n'
        f'platforms = ["{Target.host()}"]\n{layers}[[applications]]\nname = "demo"\nlaunch_module = "demo.py"\n'
        f"requirements = []\nframeworks = {list(FRAMEWORKS)}\n".replace("'", '"')
    )
    (world.spec.parent / "demo.py").write_text("print('hello')\n")
    world.realise()
    world.run("key", "generate", "bench")
    return world


def plain(host: str, digests: list[str], target: Path) -> None:
    target.mkdir()
    for digest in digests:
        command = f"curl -sf http://{host}/v2/{REPOSITORY}/blobs/{digest} | zstd -dc | tar x -C {target}"
        subprocess.run(command, shell=True, check=True)


def pull(client: MeasuredWorld, url: str, peaks: list[int]) -> None:
    peaks.append(client.measured("pull", url, "stable").peak_mebibytes)


def row(what: str, value: str, goal: str = "") -> None:
    print(f"| {what} | {value} | {goal} |", flush=True)


def bench_pushes(world: MeasuredWorld, registry: LocalRegistry, place: Path) -> Ran:
    """Publish, push twice and make images; count what is packed and sent. Return the call that made the last image."""
    local = ("--local-wheels", str(world.wheels), "--no-index")
    ran = {
        "publish": world.measured("publish", str(world.spec), *local, "--output-dir", str(place / "site")),
        "push": world.measured("push", registry.url(REPOSITORY), "project", "--channel", "stable"),
        "push to another repository": world.measured("push", registry.url("bench/other"), "project"),
        "image as a layout": world.measured("image", "project", "--output", str(place / "layout")),
    }
    with counted(registry) as (host, counter):
        images = [world.measured("image", "project", "--push", f"{host}/{REPOSITORY}:v{n}") for n in range(3)]
        sent = counter.sent_bytes / len(images)
    ran["image of what is pushed"] = sorted(images, key=lambda one: one.taken.wall_seconds)[1]
    for name, one in ran.items():
        goal = "under 1 s" if name == "image of what is pushed" else ""
        row(name, f"{one.taken}, {one.peak_mebibytes} MiB, {one.packings} packed", goal)
    row("bytes sent for an image of what is pushed", f"{sent / 1e3:.1f} kB", "manifests and config")
    return ran["image of what is pushed"]


def bench_pulls(world: MeasuredWorld, registry: LocalRegistry, place: Path, rounds: int) -> tuple[Timing, Timing]:
    """Pull the stack into an empty store, in turns with the plain pipe. Return medians: of the pipe, of the pull."""
    image = world.json("image", "project", "--push", f"{registry.host}/{REPOSITORY}:v0")
    digests = [layer["digest"] for layer in image["images"][0]["layers"]]
    public = (world.root / "keys" / "bench.public").read_text().strip()
    plains, pulls, peaks = [], [], list[int]()
    for number in range(rounds):
        plains.append(timed(partial(plain, registry.host, digests, place / f"plain{number}")))
        client = MeasuredWorld(place / f"client{number}", place / f"client{number}" / "root")
        client.root.mkdir(parents=True)
        (client.root / "config.toml").write_text(f'trusted_keys = ["{public}"]\n')
        pulls.append(timed(partial(pull, client, registry.url(REPOSITORY), peaks)))
    pipe, ours = median(plains), median(pulls)
    row("`curl`, `zstd -d`, `tar x` of the blobs", str(pipe))
    row("pull from the registry", f"{ours}, {max(peaks)} MiB", "memory at most 200 MiB")
    speed = f"{pipe.wall_seconds / ours.wall_seconds:.0%} at load {os.getloadavg()[0]:.0f}"
    row("speed of the pull", speed, "at least 80 %")
    row("its processor time", f"{ours.cpu_seconds / pipe.cpu_seconds:.0%}")
    return pipe, ours


def median(timings: list[Timing]) -> Timing:
    walls, cpus = ([getattr(one, name) for one in timings] for name in ("wall_seconds", "cpu_seconds"))
    return Timing(statistics.median(walls), statistics.median(cpus))


def bench_delta(registry: LocalRegistry, place: Path, old: str, new: str, platform: str | None) -> None:
    """What the next release of a package costs a client that has the one before."""
    bench = Bench(place / "delta", registry.url("bench/delta"))
    bench.place.mkdir()
    measured(lambda: bench.add(old, platform))
    whole = measured(lambda: bench.add(new, platform)).size_bytes
    measured(lambda: bench.client("client", old))
    made = measured(lambda: bench.delta(old, new))
    moved = measured(lambda: bench.client("client", new))
    name = f"{old} → {new.partition('==')[2]}" + (f", {platform}" if platform else "")
    row(f"{name}: archive", f"{whole / 1e6:.1f} MB")
    row(
        f"{name}: fetched with a delta",
        f"{moved.size_bytes / 1e6:.2f} MB, {moved.size_bytes / whole:.1%}",
        "at most 6 %",
    )
    row(f"{name}: making the delta, pulling", f"{made}; {moved}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delta", nargs="+", metavar="RELEASE")
    parser.add_argument("--work", type=Path, help="folder to work in")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}\n\n| what | measured | goal |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-registry-", dir=options.work, ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with docker_registry(place / "registry") as registry:
            if options.delta:  # first: it forks, and the peak of a child is at least that of its parent
                old, new, *platform = options.delta
                bench_delta(registry, place, old, new, platform[0] if platform else None)
            world = make_stack(place / "builder", options.mebibytes)
            bench_pushes(world, registry, place)
            bench_pulls(world, registry, place, options.rounds)
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)


if __name__ == "__main__":
    main()
