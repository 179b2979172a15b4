"""vstore beside venvstacks: one spec, one interpreter, one package index, warm caches, in turns, medians.

Usage: scripts/bench/venvstacks [--peer REQUIREMENT …] [--runs N] [--json]. A peer is anything that `uv pip install`
takes: ``venvstacks==0.7.0`` (the default), or the path of a source tree of another release. Needs the package index.

venvstacks uses an interpreter that it finds in its build folder instead of downloading one, so both get the one that
vstore has in its store. Runnable means: built, exported and compiled there, realised here.

Where pip's own settings name folders of wheels, take them away first (``PIP_FIND_LINKS= PIP_CONFIG_FILE=/dev/null``):
venvstacks 0.7 would look there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.target import Target

BIN = Path(sys.executable).parent
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
INTERPRETER = '[[runtimes]]\nname = "python"\npython_implementation = "cpython@{python}"\nplatforms = ["{target}"]\n'
SPEC = """\
requirements = ["numpy"]

[[frameworks]]
name = "maths"
runtime = "python"
requirements = ["scipy"]

[[frameworks]]
name = "client"
runtime = "python"
requirements = ["httpx=={httpx}"]

[[applications]]
name = "solve"
launch_module = "solve.py"
frameworks = ["maths"]
requirements = []

[[applications]]
name = "fetch"
launch_module = "fetch.py"
frameworks = ["client"]
requirements = []
"""
ONE_MORE = """
[[applications]]
name = "{name}"
launch_module = "solve.py"
frameworks = ["maths"]
requirements = []
"""
SOLVE = "import numpy, scipy.linalg\nprint(scipy.linalg.det(numpy.eye(3)))\n"
FETCH = "import httpx\nprint(httpx.URL('https://example.org').host)\n"
XZ = ("--no-bytecode", "--format", "xz")
PUBLISH = ((), ("--no-bytecode",), ("--best", "--no-bytecode"), XZ)
OLD, NEW = "0.27.2", "0.28.1"


@dataclass
class Cost:
    """The cost of a command: wall seconds, and the memory of its largest process."""

    seconds: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, max(self.peak_bytes, other.peak_bytes))


def run(command: Sequence[str | Path], **environment: str) -> Cost:
    """Run a command, which must succeed."""
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**ENVIRONMENT, **environment})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}\n{log.read().decode()[-4000:]}")
    return Cost(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def allocated(*folders: Path) -> int:
    """Bytes on disk, hard links counted once."""
    seen = set()
    total = 0
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            status = path.lstat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def put_aside(folder: Path) -> None:
    """Away, but not deleted before the end: making files soon after deleting many is slow on ext4, for whoever does."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=folder.parent))
        folder.rename(aside / folder.name)


def remove(folder: Path) -> None:
    if folder.exists():
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)


def write_project(folder: Path, python: str, httpx: str = OLD, applications: Iterable[str] = ()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = (INTERPRETER + SPEC).format(python=python, target=Target.host(), httpx=httpx)
    (folder / "stack.toml").write_text(text + "".join(ONE_MORE.format(name=name) for name in applications))
    (folder / "solve.py").write_text(SOLVE)
    (folder / "fetch.py").write_text(FETCH)


@dataclass
class Ours:
    """vstore: one root, one project."""

    work: Path
    python: str
    name: str = "vstore"
    applications: list[str] = field(default_factory=list)

    @property
    def command(self) -> list[str | Path]:
        return [BIN / "vstore", "--no-progress", "-q", "--root", self.work / "root"]

    @property
    def spec(self) -> Path:
        return self.work / "project" / "stack.toml"

    def prepare(self) -> None:
        write_project(self.spec.parent, self.python)
        run([*self.command, "realise", self.spec])

    def interpreter(self) -> Path:
        return next((self.work / "root/store").glob(f"*-cpython-{self.python}"))

    def runnable(self, *, with_interpreter: bool = False) -> Cost:
        """Everything but uv's cache of wheels is made anew, and the interpreter too if asked for."""
        root, cache = self.work / "root", self.work / "cache"
        shutil.move(root / "cache", cache)
        put_aside(root)
        root.mkdir()
        shutil.move(cache, root / "cache")
        if with_interpreter:
            return self.no_op()
        only = self.work / "only" / "interpreter.toml"
        only.parent.mkdir(exist_ok=True)
        only.write_text(INTERPRETER.format(python=self.python, target=Target.host()) + "requirements = []\n")
        run([*self.command, "realise", only, "--profile", "interpreter"])
        return self.no_op()

    def no_op(self) -> Cost:
        return run([*self.command, "realise", self.spec])

    def one_more(self) -> Cost:
        self.applications.append(f"more{len(self.applications)}")
        write_project(self.spec.parent, self.python, applications=self.applications)
        return self.no_op()

    def publish(self, *options: str) -> tuple[Cost, int]:
        output = self.work / "published"
        put_aside(output)
        cost = run([*self.command, "publish", self.spec, "--output-dir", output, *options])
        return cost, sum(file.stat().st_size for file in output.glob("*.tar.*"))

    def two_versions(self) -> tuple[int, int]:
        """Bytes on disk with one version of the spec, and with two."""
        store = self.work / "root" / "store"
        one = allocated(store)
        write_project(self.spec.parent, self.python, NEW, self.applications)
        self.no_op()
        return one, allocated(store)


@dataclass
class Peer:
    """A release of venvstacks in an environment of its own."""

    work: Path
    python: str
    requirement: str
    interpreter: Path
    name: str = ""
    applications: list[str] = field(default_factory=list)

    @property
    def spec(self) -> Path:
        return self.work / "project" / "stack.toml"

    @property
    def build_folder(self) -> Path:
        return self.spec.parent / "_build"

    def prepare(self) -> None:
        tool = self.work / "tool"
        run([BIN / "uv", "venv", "-q", "--python", sys.executable, tool])
        run([BIN / "uv", "pip", "install", "-q", "--python", tool, self.requirement, "uv", "pip"])
        code = "from importlib.metadata import version; print(version('venvstacks'))"
        self.name = "venvstacks " + subprocess.check_output([tool / "bin/python", "-c", code], text=True).strip()
        write_project(self.spec.parent, self.python)
        self._place_interpreter()
        self._run("lock")
        self._run("build")

    def _run(self, command: str, *options: str) -> Cost:
        cache = self.work / "cache"
        tool = self.work / "tool/bin"
        environment = {"UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
        path = f"{tool}{os.pathsep}{ENVIRONMENT['PATH']}"
        return run([tool / "venvstacks", command, *options, self.spec], **environment, PATH=path)

    def _place_interpreter(self) -> None:
        place = self.build_folder / f"cpython@{self.python}"
        shutil.copytree(self.interpreter, place, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["chmod", "-R", "u+w", place], check=True)
        (place / f"lib/python{self.python.rpartition('.')[0]}/site-packages").mkdir(exist_ok=True)

    def runnable(self) -> Cost:
        put_aside(self.build_folder)
        put_aside(self.spec.parent / "_export")
        self._place_interpreter()
        return self._run("build") + self._run("local-export")

    def no_op(self) -> Cost:
        return self._run("build")

    def one_more(self) -> Cost:
        self.applications.append(f"more{len(self.applications)}")
        write_project(self.spec.parent, self.python, applications=self.applications)
        return self._run("build", "--lock-if-needed") + self._run("local-export")

    def publish(self) -> tuple[Cost, int]:
        output = self.spec.parent / "_artifacts"
        put_aside(output)
        cost = self._run("publish")
        return cost, sum(file.stat().st_size for file in output.glob("*.tar.xz"))

    def one_version(self) -> int:
        return allocated(self.build_folder, self.spec.parent / "_export")


def alternating(runs: int, measures: Sequence[Callable[[], Cost]]) -> list[Cost]:
    """Medians of several measures, taken in turns so that noise hits all alike."""
    samples: list[list[Cost]] = [[] for _ in measures]
    for _ in range(runs):
        for sample, measure in zip(samples, measures, strict=True):
            sample.append(measure())
    middle = [statistics.median(cost.seconds for cost in sample) for sample in samples]
    return [Cost(one, max(x.peak_bytes for x in sample)) for one, sample in zip(middle, samples, strict=True)]


@dataclass
class Table:
    """Rows of the result; `peak_bytes` is the largest process of vstore's so far."""

    rows: list[dict[str, object]] = field(default_factory=list)
    peak_bytes: int = 0

    def seconds(self, what: str, goal: float, ours: Cost, peers: Iterable[tuple[Peer, Cost]]) -> None:
        self.peak_bytes = max(self.peak_bytes, ours.peak_bytes)
        for peer, cost in peers:
            self.add(
                what,
                peer.name,
                f"{ours.seconds:.2f} s",
                f"{cost.seconds:.2f} s",
                cost.seconds / ours.seconds,
                f">= {goal:g}",
            )

    def add(self, what: str, peer: str, ours: str, theirs: str, ratio: float, goal: str) -> None:
        self.rows.append(
            {"what": what, "peer": peer, "vstore": ours, "venvstacks": theirs, "ratio": ratio, "goal": goal}
        )
        print(f"{what} ({peer}): {ours} against {theirs}, {ratio:.2f}, goal {goal}", file=sys.stderr)


def compare(work: Path, requirements: Sequence[str], runs: int) -> Table:
    python = ".".join(map(str, sys.version_info[:3]))
    ours = Ours(work / "vstore", python)
    ours.prepare()
    interpreter = shutil.copytree(ours.interpreter(), work / "interpreter", symlinks=True)
    peers = [Peer(work / f"peer{number}", python, one, interpreter) for number, one in enumerate(requirements)]
    for peer in peers:
        peer.prepare()
    table = Table()

    def row(what: str, goal: float, times: int, mine: Callable[[], Cost], theirs: Sequence[Callable[[], Cost]]) -> None:
        cost, *others = alternating(times, [mine, *theirs])
        table.seconds(what, goal, cost, zip(peers, others, strict=True))

    everything = [peer.runnable for peer in peers]
    row("runnable environments with bytecode", 3, runs, ours.runnable, everything)
    row(
        "the same, and copying the interpreter into the store",
        0,
        1,
        lambda: ours.runnable(with_interpreter=True),
        everything,
    )
    row("nothing to do", 10, 2 * runs + 1, ours.no_op, [peer.no_op for peer in peers])
    row("one more application", 3, runs, ours.one_more, [peer.one_more for peer in peers])
    published(table, ours, peers)
    one, two = ours.two_versions()
    table.add("bytes on disk, two versions of a spec", "one version", mib(two), mib(one), two / one, "<= 1.1")
    for peer in peers:
        theirs = peer.one_version()
        table.add("bytes on disk, one version", peer.name, mib(one), mib(theirs), one / theirs, "")
    table.add("largest process", "150 MB", mib(table.peak_bytes), mib(150_000_000), table.peak_bytes / 150e6, "< 1")
    return table


def published(table: Table, ours: Ours, peers: Sequence[Peer]) -> None:
    """Once each: it takes venvstacks minutes. Its archives hold no bytecode."""
    mine = {options: ours.publish(*options) for options in PUBLISH}
    mine[XZ][0].peak_bytes = 0  # it takes what liblzma takes, 95 MiB a job
    for peer in peers:
        theirs, there = peer.publish()
        for options, (cost, size) in mine.items():
            what = " ".join(("publish", *options))
            best = options[:1] == ("--best",)
            table.seconds(what, 10 if best else 0 if options else 20, cost, [(peer, theirs)])
            table.add(f"size of {what}", peer.name, mib(size), mib(there), size / there, "<= 1" if best else "")


def mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", metavar="REQUIREMENT", help="a release (default: venvstacks==0.7.0)")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--work", type=Path, help="folder to work in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-venvstacks-", dir=options.work))
    try:
        table = compare(work, options.peer or ["venvstacks==0.7.0"], options.runs)
    finally:
        remove(work)
    if options.json:
        print(json.dumps(table.rows, indent=2))
        return
    print("| what | against | vstore | there | ratio | goal |\n|---|---|---|---|---|---|")
    for row in table.rows:
        cells = (row["what"], row["peer"], row["vstore"], row["venvstacks"], f"**{row['ratio']:.2f}**", row["goal"])
        print("| " + " | ".join(map(str, cells)) + " |")


main()
