"""Measures images of one application, made from a Dockerfile and by vstore, on one base: build, push, pull by a node.

    python -m scripts.bench.containers [--work DIR] [--base DIR] [--wheels DIR] [--requirement R …] [--compression C]

Each way goes through the same changes: the first image, one line of the application, one small package more, and
the first change again on a machine without any cache. The bytes of a push are what the storage of the registry
grew by, those of a pull the layers that the node did not have. All packages come from one folder of wheels, so no
download is measured; it is filled once with pip, from the index that pip knows. `--base` is a root file system with
Python and pip, by default made by debootstrap. Needs root, podman, runc and docker-registry.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scripts.bench.environment import ENVIRONMENT
from scripts.testing.images import RUN
from scripts.testing.registries import LocalRegistry, docker_registry
from vstore.target import Target

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
COMMANDS_ENVIRONMENT = {**ENVIRONMENT, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
SMALL = "click"
LINE = "# changed\n"
FRESH = "no change, on a new build machine"
APPLICATION = """\
import {module}

print("hello from", {module}.__name__, {module}.__version__)
"""
PLAIN = """\
FROM {base}
COPY project /app
RUN python3 -m pip install --root-user-action ignore --no-index --find-links /wheels -r /app/requirements.txt
USER 65532:65532
ENTRYPOINT ["python3", "/app/hello.py"]
"""
ORDERED = """\
FROM {base}
COPY project/requirements.txt /app/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \\
    python3 -m pip install --root-user-action ignore --no-index --find-links /wheels -r /app/requirements.txt
COPY project /app
USER 65532:65532
ENTRYPOINT ["python3", "/app/hello.py"]
"""
SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]

[[frameworks]]
name = "framework"
runtime = "python"
requirements = {requirements}

[[applications]]
name = "hello"
launch_module = "project/hello.py"
frameworks = ["framework"]
requirements = {own}
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Return the output of a command; its errors are shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=COMMANDS_ENVIRONMENT, cwd=cwd)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return done.stdout


@dataclass(frozen=True)
class Engine:
    """podman with images of its own, as the build machine or as a node."""

    place: Path
    run_root: str = field(default_factory=partial(tempfile.mkdtemp, prefix="run-"))  # 50 characters at most

    def podman(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Return what podman printed."""
        places = ("--root", self.place / "root", "--runroot", self.run_root, "--tmpdir", f"{self.run_root}/libpod")
        return run("podman", *places, "--events-backend", "file", "--runtime", "runc", *arguments, cwd=cwd)

    def remove(self) -> None:
        """Delete all images and files."""
        if self.place.exists():
            self.podman("system", "reset", "--force")
        for folder in (self.place, self.run_root):
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class World:
    """The project, its wheels and the base, in one folder, with a running registry."""

    work: Path
    registry: LocalRegistry
    requirements: tuple[str, ...]
    compression: str

    @property
    def base(self) -> str:
        """The reference of the base."""
        return f"{self.registry.host}/base:1"

    def write(self, *, line: str = "", own: Sequence[str] = ()) -> None:
        """Write the project, with this line at the end of its code, and requirements of its own."""
        project, module = self.work / "project", self.requirements[0]
        project.mkdir(exist_ok=True)
        (project / "hello.py").write_text(APPLICATION.format(module=module) + line)
        (project / "requirements.txt").write_text("\n".join((*self.requirements, *own, "")))
        values = {"requirements": json.dumps(self.requirements), "own": json.dumps(own)}
        (self.work / "spec.toml").write_text(SPEC.format(version=VERSION, target=Target.host(), **values))


@dataclass
class Dockerfile:
    """Images made by `podman build`."""

    name: str
    text: str
    world: World
    machines: int = 0
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.fresh_machine()

    def fresh_machine(self) -> None:
        """Go on with a machine that has the base and nothing else."""
        if self.machines:
            self.engine.remove()
        self.machines += 1
        self.engine = Engine(self.world.work / f"{self.name}-{self.machines}")
        self.engine.podman("pull", "--tls-verify=false", self.world.base)

    def build(self, reference: str) -> None:
        """Make the image of the project as it is."""
        file = self.world.work / "Dockerfile"
        file.write_text(self.text.format(base=self.world.base))
        wheels = f"{self.world.work / 'wheels'}:/wheels:ro"
        options = ("--isolation", "chroot", "--layers", "--pull-never", "--network", "host", "--volume", wheels)
        self.engine.podman("build", *options, "-f", file, "-t", reference, ".", cwd=self.world.work)

    def push(self, reference: str) -> None:
        """Push what was built."""
        how = ("--tls-verify=false", "--compression-format", self.world.compression)
        self.engine.podman("push", *how, reference)

    def finish(self) -> None:
        """Delete all images of the build machine."""
        self.engine.remove()


@dataclass
class Stack:
    """Images made by `vstore realise` and `vstore image`."""

    world: World
    name: str = "vstore"
    machines: int = 0

    def fresh_machine(self) -> None:
        """Go on with an empty store."""
        self.finish()
        self.machines += 1

    def vstore(self, *arguments: str | Path) -> str:
        """Return what vstore printed."""
        root = self.world.work / f"store-{self.machines}"
        command = (sys.executable, "-m", "vstore", "--no-progress", "-q", "--root", root)
        return run(*command, *arguments, cwd=self.world.work)

    def build(self, reference: str) -> None:
        """Lock and build what is stale or new."""
        self.vstore("realise", "spec.toml", "--profile", "hello", "--no-index", "--local-wheels", "wheels")

    def push(self, reference: str) -> None:
        """Pack and push the image."""
        self.vstore("image", "hello", "--push", reference, "--base", self.world.base)

    def finish(self) -> None:
        """Delete the store."""
        store = self.world.work / f"store-{self.machines}"
        if store.exists():
            run("chmod", "-R", "u+w", store)
            shutil.rmtree(store)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def disk_bytes(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def image_layers(registry: LocalRegistry, reference: str) -> dict[str, int]:
    """Return the digests and compressed bytes of the layers of an image."""
    text = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    return {layer["digest"]: layer["size"] for layer in json.loads(text)["layers"]}


def pull_and_run(node: Engine, reference: str) -> float:
    """Return the seconds of a pull, and see that the image runs."""
    seconds = timed(lambda: node.podman("pull", "--tls-verify=false", reference))
    assert node.podman(*RUN, "--read-only", "--cap-drop", "all", reference).startswith("hello from")
    return seconds


def measure(way: Dockerfile | Stack, world: World, count: int) -> None:
    """Go through so many of the changes in one way, and print a row of the table for each."""
    node = Engine(world.work / f"node-{way.name}")
    node.podman("pull", "--tls-verify=false", world.base)
    changes = (
        ("first image", "", ()),
        ("one line changed", LINE, ()),
        (f"`{SMALL}` added", LINE, (SMALL,)),
        (FRESH, LINE, (SMALL,)),
    )
    had = set(image_layers(world.registry, world.base))
    for number, (change, line, own) in enumerate(changes[:count], start=1):
        world.write(line=line, own=own)
        if change == FRESH:
            way.fresh_machine()
        reference = f"{world.registry.host}/{way.name}:{number}"
        build = timed(partial(way.build, reference))
        before = disk_bytes(world.registry.storage)
        push = timed(partial(way.push, reference))
        pushed = (disk_bytes(world.registry.storage) - before) / 1e6
        layers = image_layers(world.registry, reference)
        pull = pull_and_run(node, reference)
        pulled = sum(size for digest, size in layers.items() if digest not in had) / 1e6
        had |= set(layers)
        row = (f"{build:.1f} s", f"{push:.1f} s", f"{pushed:,.2f} MB", f"{pull:.1f} s", f"{pulled:,.2f} MB")
        print(f"| {change} | {way.name} | {' | '.join(row)} |", flush=True)
    way.finish()
    node.remove()


def make_base(options: argparse.Namespace, world: World) -> None:
    """Push an image of a root file system with Python and pip, as `python` of Docker's library is one."""
    folder = options.base or world.work / "base"
    if not options.base:
        run("debootstrap", "--variant=minbase", "--include=python3,python3-pip", "bookworm", folder)
    engine = Engine(world.work / "base-engine")
    archive = world.work / "base.tar"
    run("tar", "-C", folder, "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", "-cf", archive, ".")
    managed = "ENV PIP_BREAK_SYSTEM_PACKAGES=1"  # Debian's pip refuses to install; that of the library's image does not
    engine.podman("import", "--change", managed, archive, world.base)
    engine.podman("push", "--tls-verify=false", world.base)
    archive.unlink()
    engine.remove()


def find_wheels(options: argparse.Namespace, world: World) -> None:
    """Fill the folder of wheels, or link the given one."""
    if options.wheels:
        shutil.copytree(options.wheels, world.work / "wheels", copy_function=os.link)
        return
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest")
    run(*command, world.work / "wheels", *options.requirement, SMALL)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--base", type=Path, help="a root file system with Python and pip")
    parser.add_argument("--wheels", type=Path, help="a folder with the wheels of all packages")
    parser.add_argument("--requirement", nargs="+", default=["torch"], help="the first is imported")
    parser.add_argument("--compression", choices=("gzip", "zstd"), default="gzip", help="that of podman's layers")
    parser.add_argument("--only", nargs="+", choices=("plain", "ordered", "vstore"), help="these ways only")
    parser.add_argument("--changes", type=int, default=4, help="so many of the changes, the first image being one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-containers-", dir=options.work) as name:
        work = Path(name)
        with docker_registry(work / "registry") as registry:
            world = World(work, registry, tuple(options.requirement), options.compression)
            find_wheels(options, world)
            make_base(options, world)
            base = sum(image_layers(registry, world.base).values()) / 1e6
            print(f"base: {base:.1f} MB\n\n| change | image | build | push | pushed | pull | pulled |")
            print("|---|---|---|---|---|---|---|", flush=True)
            ways: dict[str, Callable[[], Dockerfile | Stack]] = {
                "plain": lambda: Dockerfile("plain", PLAIN, world),
                "ordered": lambda: Dockerfile("ordered", ORDERED, world),
                "vstore": lambda: Stack(world),
            }
            for one in options.only or ways:
                measure(ways[one](), world, options.changes)


if __name__ == "__main__":
    main()
