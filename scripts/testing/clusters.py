"""A cluster for tests: a scheduler and workers as real processes, each worker with a store and a key of its own.

Files in the folder `control` steer the workers: while NAME.wait is there, the build of NAME waits; NAME.started appears
when it begins; with NAME.fails it fails with that text, with NAME.full for
want of space; while WORKER.lies is there, that worker builds other objects. A worker adds a line to `builds` after each
build.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vstore.cluster.address import SchedulerAddress
from vstore.remote import SecretKey, write_key
from vstore.store import Store, StoreLayout

PATIENCE_SECONDS = 60.0
SOURCE = Path(__file__).parents[2]

_SCHEDULER = """
import sys
from pathlib import Path
from vstore.cli.progress import Progress
from vstore.cluster.scheduler import SchedulerOptions, run_scheduler
options = SchedulerOptions(port=0, file=Path(sys.argv[1]), worker_seconds=float(sys.argv[2]))
run_scheduler(options, Progress(live=False, verbosity=0))
"""
_WORKER = """
import sys, time
from pathlib import Path
from vstore.build.builder import Builder
from vstore.cli.progress import Progress
from vstore.cluster.address import SchedulerAddress
from vstore.cluster.worker.service import WorkerOptions, run_worker
from vstore.errors import BuildError, StoreError

root, name, address, control = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
honest = Builder.build

def build(self, recipe, staging, python):
    (control / f"{recipe.name}.started").write_text(name)
    while (control / f"{recipe.name}.wait").exists():
        time.sleep(0.02)
    if (failure := control / f"{recipe.name}.fails").exists():
        raise BuildError(failure.read_text())
    if (control / f"{recipe.name}.full").exists():
        raise StoreError("no space left")
    log = honest(self, recipe, staging, python)
    if (control / f"{name}.lies").exists():
        (staging / "lie.txt").write_text(name)
    with (control / "builds").open("a") as builds:
        print(name, recipe.digest, file=builds)
    return log

Builder.build = build
options = WorkerOptions(scheduler=SchedulerAddress.of(address), name=name, jobs=int(sys.argv[5]))
run_worker(root, options, Progress(live=False, verbosity=0))
"""


class Processes:
    """Processes of Python by name, each with its output in a log. Files in the folder `control` steer them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "control"
        self.control.mkdir(parents=True)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, code: str, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a process that runs a text of Python, with these changes of the environment."""
        keep = {key: value for key, value in os.environ.items() if not key.startswith("VSTORE")}
        environment = {**keep, "PYTHONPATH": str(SOURCE), "UV_PYTHON_DOWNLOADS": "never", **changes}
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-c", code, *arguments]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=SOURCE, env=environment)
        self._started.append(process)
        return process

    def log(self, name: str) -> str:
        """Return the output of a process since it was started last."""
        return (self.folder / f"{name}.log").read_text()

    def wait_for(self, happened: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until something happened. AssertionError if it does not, or if the process ends before."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            ended = process is not None and process.poll() is not None
            assert time.monotonic() < ends and not ended, self._logs()
            time.sleep(0.02)

    def _logs(self) -> str:
        return "".join(f"\n{log.name}: {log.read_text()}" for log in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        """Kill all processes that still run."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
        for process in self._started:
            process.wait()


class TestCluster(Processes):
    """The processes of a cluster below one folder. `roots` are the stores of the workers, by name."""

    __test__ = False

    def __init__(self, folder: Path, *, jobs: int = 2) -> None:
        super().__init__(folder)
        self.jobs = jobs  # of each worker
        self.cache = folder / "cache"
        self.file = folder / "scheduler.json"
        self.keys: list[str] = []  # the public keys of all machines
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_scheduler(self, *, worker_seconds: float = 30.0) -> SchedulerAddress:
        """Start a scheduler; return its address once it answers."""
        self.file.unlink(missing_ok=True)
        self._processes["scheduler"] = self.start("scheduler", _SCHEDULER, str(self.file), str(worker_seconds))
        self.wait_for(self.file.exists)
        return self.address

    @property
    def address(self) -> SchedulerAddress:
        """The address of the scheduler."""
        return SchedulerAddress.of(str(self.file))

    def start_workers(self, *names: str) -> None:
        """Start workers with the stores of these names, and wait until they have joined."""
        for name in names:
            self.start_worker(name)
        for name in names:
            self.wait_for(lambda name=name: self.has_joined(name), self.process(name))  # type: ignore[misc]

    def start_worker(self, name: str) -> None:
        """Start a worker with the store of this name."""
        words = (str(self.root(name)), name, self.address.url, str(self.control), str(self.jobs))
        self._processes[name] = self.start(name, _WORKER, *words)

    def has_joined(self, name: str) -> bool:
        """Whether a worker has joined since it was started last."""
        return " joined " in self.log(name)

    def root(self, name: str) -> Path:
        """The store of a worker."""
        return self.folder / name

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process of a worker, or of the ``scheduler``."""
        return self._processes[name]

    def builds(self) -> list[tuple[str, str]]:
        """The worker and the recipe of each build that has ended, also of those whose objects were lost."""
        log = self.control / "builds"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(worker, recipe) for worker, _, recipe in (line.partition(" ") for line in lines)]

    def kill(self, name: str) -> None:
        """Kill a process as if its machine was lost."""
        self._processes[name].kill()
        self._processes[name].wait()


def give_keys(roots: Iterable[Path]) -> list[str]:
    """Give each store a key of its own, and let all of them trust all keys. Stores that are missing are made.

    Return the public keys.
    """
    roots = list(roots)
    public = []
    for root in roots:
        Store.open(root).close()
        key = SecretKey.generate(root.name)
        write_key(StoreLayout(root).keys, key)
        public.append(str(key.public))
    for root in roots:
        set_trust(root, public)
    return public


def set_trust(root: Path, keys: Iterable[str], *, require: int = 1) -> None:
    """Let a store trust these keys only, so many of which must sign."""
    names = ", ".join(f'"{key}"' for key in keys)
    StoreLayout(root).config_file.write_text(f"trusted_keys = [{names}]\nrequire = {require}\n")
