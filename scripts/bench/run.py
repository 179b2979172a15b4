"""What vstore promises in numbers: ratios to a baseline measured in the same run, medians.

Usage: scripts/bench/run [--only NAME …] [--json]. Everything happens in a temporary folder (``--work DIR`` to choose
its file system). `first` needs the package registry once, the others none. `registry` needs docker-registry.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import tomli_w

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from scripts.bench.environment import ENVIRONMENT  # noqa: E402
from scripts.testing.wheels import make_wheel  # noqa: E402
from vstore import gc  # noqa: E402
from vstore.digest import Digest, hash_bytes  # noqa: E402
from vstore.fs.trees.scan import scan  # noqa: E402
from vstore.lock import Project  # noqa: E402
from vstore.lock.wheels import select_wheels  # noqa: E402
from vstore.objects import Kind, ObjectInfo, StorePath  # noqa: E402
from vstore.reporter import NullReporter  # noqa: E402
from vstore.spec import load  # noqa: E402
from vstore.store import Provenance, Store  # noqa: E402
from vstore.target import Target  # noqa: E402

PYTHON = sys.executable
VSTORE = [str(Path(PYTHON).parent / "vstore"), "--no-progress", "-q"]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def timed(command: Sequence[str | Path], **options: object) -> float:
    """Wall seconds of one process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, **options)  # type: ignore[call-overload]
    return time.perf_counter() - started


def alternating(runs: int, *measures: Callable[[], float]) -> list[float]:
    """Medians of several measures, taken in turns so that noise hits all alike."""
    samples: list[list[float]] = [[] for _ in measures]
    for measure in measures:
        measure()
    for _ in range(runs):
        for sample, measure in zip(samples, measures, strict=True):
            sample.append(measure())
    return [statistics.median(sample) for sample in samples]


def row(name: str, value: float, baseline: float, goal: str, what: str) -> dict[str, object]:
    return {
        "name": name,
        "seconds": value,
        "baseline_seconds": baseline,
        "ratio": value / baseline,
        "goal": goal,
        "what": what,
    }


def spec_text(layers: str) -> str:
    runtime = f'[[runtimes]]\nname = "python"\npython_implementation = "cpython@{VERSION}"\nrequirements = []\n'
    return f'{runtime}platforms = ["{Target.host()}"]\n{layers}'


def framework(name: str, requirement: str) -> str:
    return f'[[frameworks]]\nname = "{name}"\nruntime = "python"\nrequirements = ["{requirement}"]\n'


def application(name: str, frameworks: Sequence[str]) -> str:
    return (
        f'[[applications]]\nname = "{name}"\nlaunch_module = "{name}.py"\nrequirements = []\n'
        f"frameworks = {json.dumps(list(frameworks))}\n"
    )


def project(folder: Path, layers: str, wheels: Path) -> list[str | Path]:
    """Write a project and give the command that realises it from local wheels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.toml").write_text(spec_text(layers))
    root = folder.parent / "root"
    return [*VSTORE, "--root", root, "realise", folder / "spec.toml", "--no-index", "--local-wheels", wheels]


def bench_noop(work: Path) -> list[dict[str, object]]:
    """A no-op realise of six layers, and a rollback."""
    wheels = work / "wheels"
    wheels.mkdir(parents=True)
    for name in ("one", "two", "three"):
        make_wheel(wheels, name, "1", {f"{name}/__init__.py": ""})
    layers = "".join(framework(name, name) for name in ("one", "two", "three"))
    layers += application("first", ["one", "two"]) + application("second", ["three"])
    command = project(work / "project", layers, wheels)
    for name in ("first", "second"):
        (work / "project" / f"{name}.py").write_text("print('hello')\n")
    timed(command)
    (work / "project" / "first.py").write_text("print('hello again')\n")
    timed(command)
    root = ["--root", str(work / "root")]
    imports = [PYTHON, "-c", "import click, tomllib, sqlite3, blake3"]
    state = {"to": 1}

    def switch() -> float:
        state["to"] = 3 - state["to"]
        return timed([*VSTORE, *root, "rollback", "project", "--to", str(state["to"])])

    noop, baseline, version, back = alternating(
        15, lambda: timed(command), lambda: timed(imports), lambda: timed([*VSTORE, "--version"]), switch
    )
    return [
        row("no-op realise", noop, baseline, "<= 3", "against importing click, tomllib, sqlite3, blake3"),
        row("rollback", back, version, "<= 1.5", "against vstore --version"),
    ]


def bench_application(work: Path) -> list[dict[str, object]]:
    """One more application on a framework of 20 and of 20,000 files."""
    wheels = work / "wheels"
    wheels.mkdir(parents=True)
    make_wheel(wheels, "small", "1", {f"small/m{n}.py": f"x = {n}\n" for n in range(20)})
    make_wheel(wheels, "large", "1", {f"large/p{n % 100}/m{n}.py": f"x = {n}\n" for n in range(20_000)})
    layers = framework("small", "small") + framework("large", "large")
    command = project(work / "project", layers, wheels)
    timed(command)
    count = {"apps": 0}

    def one_more(on: str) -> float:
        nonlocal layers
        count["apps"] += 1
        name = f"app{count['apps']}"
        layers += application(name, [on])
        (work / "project" / f"{name}.py").write_text("print('hello')\n")
        return timed(project(work / "project", layers, wheels))

    small, large = alternating(5, lambda: one_more("small"), lambda: one_more("large"))
    return [
        row(
            "one more application",
            large,
            small,
            "~ 1, < 1 s",
            "on top of 20,000 files, compared with on top of 20 files",
        )
    ]


def bench_first(work: Path) -> list[dict[str, object]]:
    """The example with warm wheel caches, against uv with all the same packages in one environment."""
    shutil.copytree(REPOSITORY / "examples" / "sklearn", work / "project")
    spec_file = work / "project" / "spec.toml"
    root = work / "root"
    command = [*VSTORE, "--root", str(root), "realise", str(spec_file)]
    timed(command)
    spec = load(spec_file)
    locked = {one.env_name: one for one in Project(spec).locks}
    wheels = {
        w.name: w
        for layer in spec.layers
        for w in select_wheels(locked[layer.env_name], layer, Target.host(), "3.11.0")
    }
    pins = work / "pylock.all.toml"
    packages = [
        {
            "name": w.name,
            "version": w.version,
            "index": w.index,
            "wheels": [{"name": w.filename, "url": w.location, "hashes": {"sha256": w.sha256}}],
        }
        for w in wheels.values()
    ]
    pins.write_text(tomli_w.dumps({"lock-version": "1.0", "created-by": "bench", "packages": packages}))
    uv = [str(Path(PYTHON).parent / "uv")]
    interpreter = next((root / "store").glob("*-cpython-*")) / "bin" / "python3"
    copied = work / "interpreter"
    shutil.copytree(interpreter.parents[1], copied, symlinks=True)
    cache = work / "uv-cache"
    shutil.copytree(root / "cache" / "uv", cache, symlinks=True)

    def by_uv() -> float:
        shutil.rmtree(work / "venv", ignore_errors=True)
        options = ["--cache-dir", str(cache)]
        taken = timed([*uv, "venv", *options, "--python", str(copied / "bin/python3"), str(work / "venv")])
        install = ["pip", "install", *options, "--python", str(work / "venv"), "--compile-bytecode", "--no-deps"]
        return taken + timed([*uv, *install, "--link-mode", "hardlink", "-r", str(pins)])

    def by_vstore(keep_interpreter: bool) -> float:
        aside = work / "aside"
        shutil.move(root, aside)
        (root / "cache").mkdir(parents=True)
        shutil.move(aside / "cache" / "uv", root / "cache" / "uv")
        if keep_interpreter:
            only = work / "interpreter-only.toml"
            only.write_text(spec_text("").replace(VERSION, "3.11"))
            timed([*VSTORE, "--root", str(root), "realise", str(only), "--profile", "interpreter"])
        taken = timed(command)
        subprocess.run(["chmod", "-R", "u+w", aside], check=True)
        shutil.rmtree(aside)
        return taken

    uv_time, whole, layers = alternating(3, by_uv, lambda: by_vstore(False), lambda: by_vstore(True))
    what = "against uv venv + uv pip install --compile-bytecode"
    return [
        row(
            "first realise, warm cache", layers, uv_time, "<= 1.1", what + "; both start with the interpreter installed"
        ),
        row(
            "first realise, empty store",
            whole,
            uv_time,
            "",
            what + "; includes copying this machine's Python into the store",
        ),
    ]


def bench_gc(work: Path) -> list[dict[str, object]]:
    """Marking and un-indexing 10,000 objects, half of them dead; unlinking 300 of 50 files against rm -rf."""
    marking = [_mark(work / f"mark{number}") for number in range(3)]
    unlinking, removing = [], []
    for number in range(3):
        trees = [work / f"{kind}{number}" for kind in ("ours", "rm")]
        for tree in trees:
            _many_files(tree)
        subprocess.run(["sync"], check=True)
        with Store.open(work / f"root{number}") as store:
            for place in trees[0].iterdir():
                place.rename(store.layout.trash / place.name)
            started = time.perf_counter()
            gc.collect_garbage(store, reporter=NullReporter())
            unlinking.append(time.perf_counter() - started)
        removing.append(timed(["rm", "-rf", str(trees[1])]))
    what = "300 trees of 50 files, against rm -rf of equal ones"
    return [
        row(
            "marking 10,000 objects",
            statistics.median(marking),
            0.3,
            "<= 1",
            "find the dead among 10,000 objects and delete their 5,000 rows of the index, against 0.3 s",
        ),
        row("unlinking", statistics.median(unlinking), statistics.median(removing), "<= 1.2", what),
    ]


def _mark(root: Path) -> float:
    """Seconds to mark and un-index; chains of ten, every second chain with a root."""
    with Store.open(root) as store:
        now = datetime.now(UTC)
        previous: StorePath | None = None
        infos = []
        for number in range(10_000):
            digest = hash_bytes("bench", str(number).encode())
            path = StorePath.make(digest, "x")
            infos.append((_info(path, digest, previous if number % 10 else None, now), Provenance()))
            store.layout.object(path).mkdir()
            if number % 20 == 9:
                (store.layout.gcroots / f"r{number}").symlink_to(f"../store/{path}")
            previous = path
        store.objects.register_all(infos)
        started = time.perf_counter()
        plan = gc.plan_collection(store)
        store.objects.forget(plan.dead)
        taken = time.perf_counter() - started
        assert len(plan.dead) == 5_000
        return taken


def _many_files(tree: Path) -> None:
    for number in range(300):
        for place in range(5):
            folder = tree / f"t{number}" / f"d{place}"
            folder.mkdir(parents=True)
            for file in range(10):
                (folder / f"f{file}").write_text("some text\n" * 10)


def _info(path: StorePath, digest: Digest, below: StorePath | None, now: datetime) -> ObjectInfo:
    return ObjectInfo(
        path=path,
        digest=digest,
        kind=Kind.FRAMEWORK,
        size_bytes=1,
        files=1,
        references=(below,) if below else (),
        recipe=None,
        registered_at=now,
    )


def bench_hash(work: Path) -> list[dict[str, object]]:
    """Hashing a warm tree of 1 GiB: 20,000 small files and some large ones."""
    for number in range(20_000):
        folder = work / "tree" / f"p{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_bytes(os.urandom(10_000))
    for number in range(8):
        (work / "tree" / f"big{number}").write_bytes(os.urandom(105 << 20))
    code = "import sys, pathlib; from vstore.fs.trees.scan import scan; scan(pathlib.Path(sys.argv[1]))"
    subprocess.run(["sync"], check=True)
    size_bytes = scan(work / "tree").size_bytes
    samples = []
    for _ in range(5):
        started = time.perf_counter()
        scan(work / "tree")
        samples.append(time.perf_counter() - started)
    taken = statistics.median(samples)
    subprocess.run([PYTHON, "-c", code, str(work / "tree")], check=True, cwd=REPOSITORY)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    what = f"{size_bytes / taken / 1e9:.2f} GB/s, against 1 GB/s; peak memory {peak:.0f} MiB of 150"
    return [row("hashing 1 GiB", taken, size_bytes / 1e9, "<= 1", what)]


def bench_registry(work: Path) -> list[dict[str, object]]:
    """An image of a stack that is pushed, and a pull of the stack, with a registry. More in scripts.bench.registry."""
    from scripts.bench.registry import bench_pulls, bench_pushes, make_stack
    from scripts.testing.registries import docker_registry

    with docker_registry(work / "registry") as registry, redirect_stdout(sys.stderr):
        world = make_stack(work / "builder", 256)
        image = bench_pushes(world, registry, work)
        pipe, pull = bench_pulls(world, registry, work, 3)
    what = "a stack of 256 MiB from a registry, against `curl | zstd -d | tar x` of the same blobs"
    return [
        row("image of what is pushed", image.taken.wall_seconds, 1.0, "<= 1", "against 1 s"),
        row("pull from a registry", pull.wall_seconds, pipe.wall_seconds, "<= 1.25", what),
    ]


BENCHES = {
    "hash": bench_hash,
    "noop": bench_noop,
    "application": bench_application,
    "gc": bench_gc,
    "first": bench_first,
    "registry": bench_registry,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--work", type=Path, help="folder to work in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in options.only:
        work = Path(tempfile.mkdtemp(prefix=f"bench-{name}-", dir=options.work))
        try:
            rows += BENCHES[name](work)
        finally:
            subprocess.run(["rm", "-rf", str(work)], check=True)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print("| what | measured | baseline | ratio | goal | |\n|---|---|---|---|---|---|")
    for one in rows:
        print(
            f"| {one['name']} | {one['seconds']:.3f} s | {one['baseline_seconds']:.3f} s"
            f" | **{one['ratio']:.2f}** | {one['goal']} | {one['what']} |"
        )


main()
