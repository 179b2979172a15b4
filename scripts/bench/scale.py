"""What a node costs on a real cluster, and whether the costs of one run predict the time of another.

Usage: .venv/bin/python scripts/bench/scale.py [--workers N] [--nodes N N] [--depths N N] [--own-keys] [--work DIR]
[--json]. A scheduler, workers with stores of their own, and a cache in a folder, all on this machine. All machines have
the same key, or each its own. Each node is a layer with one module. The first run gives the costs of a node; with them
a model predicts the second one, of another size and depth. Processor time is that of /proc, and the cores are those
that other processes left in the second run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench.counting import Counts
from scripts.bench.many_workers import TICKS, carried_bytes, cpu_seconds
from scripts.testing.clusters import TestCluster, give_keys, set_trust
from scripts.testing.registries import docker_registry
from scripts.testing.small_layers import SmallLayers
from scripts.testing.world import make_world
from vstore.build.recipe import LayerRecipe
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.execution import Execution
from vstore.cluster.client.executor import DaskExecutor
from vstore.cluster.client.inputs import InputMaker, Inputs
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import ClusterAnswer
from vstore.objects import StorePath
from vstore.realise.execute.interpreters import Interpreters
from vstore.realise.model import Origin, RealisedLayer
from vstore.remote import SecretKey, Signer, open_cache, signing_keys, trust_of, write_key
from vstore.store import Store, StoreLayout

_WORKER = """
import sys
from scripts.bench.counting import run_counting_worker
run_counting_worker(*sys.argv[1:])
"""


def busy_seconds() -> float:
    """Return the processor time of all processes of this machine."""
    user, nice, system, _, _, *others = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / TICKS


def process_with(word: str) -> int:
    """Return the id of the process that was started with a word."""
    files = [one for one in Path("/proc").glob("[0-9]*/cmdline") if word.encode() in one.read_bytes().split(b"\0")]
    return int(files[0].parent.name)


@dataclass
class Costs:
    """What one run took. Seconds are processor time, except for `wall_seconds` and those of a node.

    `node_seconds` pass from the start of a node to its answer, on average. The scheduler carries `carried_bytes`;
    workers fetch and push archives. `cores` were left by other processes.
    """

    nodes: int
    depth: int
    wall_seconds: float
    client_seconds: float
    scheduler_seconds: float
    worker_seconds: float
    registry_seconds: float
    node_seconds: float
    carried_bytes: int
    fetched_bytes: int
    pushed_bytes: int
    cores: float
    client: dict[str, int]
    workers: dict[str, int]

    def a_node(self, total: float) -> float:
        """Return the part of one node in milliseconds, of a total in seconds."""
        return 1000 * total / self.nodes


def predict(costs: Costs, nodes: int, depth: int, *, cores: float) -> float:
    """Return the seconds of a run on one machine with so many cores: the longest of what cannot be divided.

    These are the work of the client, that of the scheduler, all work over the cores, and the longest path.
    """
    all_seconds = costs.client_seconds + costs.scheduler_seconds + costs.worker_seconds
    each = (costs.client_seconds, costs.scheduler_seconds, all_seconds / cores)
    alone = costs.worker_seconds / costs.nodes  # of one node with a core of its own
    return max(*(one / costs.nodes * nodes for one in each), alone * depth)


class Bench:
    """A cluster, and a client whose store makes layers."""

    def __init__(self, folder: Path, layers: SmallLayers, counts: Counts) -> None:
        self._cluster = TestCluster(folder)
        self._layers = layers
        self._counts = counts
        self._cache = str(self._cluster.cache)
        self._pids: dict[str, int] = {}
        self.close = self._cluster.close

    def start(self, workers: Sequence[str], *, own_keys: bool) -> None:
        """Start a scheduler, and make the stores of workers, which have one key or `own_keys`."""
        roots = [self._layers.store.layout.root, *map(self._cluster.root, workers)]
        if own_keys:
            give_keys(roots)
        else:
            key = SecretKey.generate("bench")
            for root in roots:
                Store.open(root).close()
                write_key(StoreLayout(root).keys, key)
                set_trust(root, [str(key.public)])
        self._cluster.start_scheduler(worker_seconds=120)
        self._pids["scheduler"] = self._cluster.process("scheduler").pid

    def join(self, workers: Sequence[str]) -> None:
        """Start workers, and wait until they have joined."""
        for name in workers:
            counts = self._cluster.control / f"{name}.counts"
            words = (str(self._cluster.root(name)), name, self._cluster.address.url, str(counts))
            process = self._cluster.start(name, _WORKER, *words)
            self._cluster.wait_for(lambda name=name: self._cluster.has_joined(name), process)  # type: ignore[misc]
            self._pids[name] = process.pid

    @contextmanager
    def registry(self, folder: Path) -> Iterator[None]:
        """Use a registry as the cache in a block."""
        with docker_registry(folder) as registry:
            self._cache, cache = registry.url("bench"), self._cache
            self._pids["registry"] = process_with(str(folder / "config.yml"))
            yield
            self._cache = cache
            del self._pids["registry"]

    def graph(self, name: str, nodes: int, depth: int) -> tuple[LayerRecipe, ...]:
        """Return layers in rows, each over two of the row below it."""
        width = -(-nodes // depth)
        made: list[LayerRecipe] = []
        for number in range(nodes):
            first = (number // width - 1) * width
            below = {made[first + (number + step) % width] for step in (0, 1)} if first >= 0 else ()
            made.append(self._layers.layer(f"{name}-{number}", *sorted(below, key=lambda one: one.name)))
        return tuple(made)

    def run(self, recipes: Sequence[LayerRecipe], depth: int) -> Costs:
        """Realise layers on the cluster, as a client does: it asks the cache first, and pushes the modules."""
        executor = DaskExecutor(self._connect, self._run(recipes))

        def action() -> Mapping[StorePath, ClusterAnswer]:
            found = executor.run(self._layers.nodes(*recipes))
            assert all(one.key in found.done for one in recipes), found.failures
            return {key: one for key, (one,) in executor.answers.items()}

        return self._measured(len(recipes), depth, action)

    def run_tasks(self, recipes: Sequence[LayerRecipe], depth: int) -> Costs:
        """Let workers realise layers that the cache has: the client neither asks nor pushes."""
        interpreter = self._layers.interpreter
        path = self._layers.store.realisation(interpreter.digest)
        known = {
            interpreter.key: RealisedLayer(
                name=interpreter.name, kind=interpreter.kind, path=path, origin=Origin.PRESENT, seconds=0
            )
        }

        def action() -> Mapping[StorePath, ClusterAnswer]:
            with self._connect() as client:
                nodes = {one.key: one for one in recipes}
                execution = Execution(client, self._run(recipes), nodes, known, Inputs())
                execution.run()
            assert len(execution.done) == len(recipes), execution.failures
            return {key: one for key, (one,) in execution.answers.items()}

        return self._measured(len(recipes), depth, action)

    def _run(self, recipes: Sequence[LayerRecipe]) -> ClusterRun:
        store, session = self._layers.store, self._layers.session()
        trust = trust_of(store.config)
        maker = InputMaker(interpreters=Interpreters(session), import_sources=lambda recipe: None)
        return ClusterRun(
            store=store,
            cache=open_cache(self._cache, reporter=self._counts),
            signer=Signer(signing_keys(store.layout.keys), trust),
            trust=trust,
            makers=dict.fromkeys(self._layers.nodes(*recipes), maker),
            cancel=session.cancel,
            reporter=session.reporter,
            on_event=lambda event: None,
        )

    def _connect(self) -> AbstractContextManager[ClusterClient]:
        return ClusterClient.connected(self._cluster.address.url, None, limit_seconds=60)

    def _measured(self, nodes: int, depth: int, action: Callable[[], Mapping[StorePath, ClusterAnswer]]) -> Costs:
        carried, counted, client = self._carried(), self._worker_counts(), Counter(self._counts.found)
        before, busy, started = self._seconds(), busy_seconds(), time.monotonic()
        answers = action()
        wall, busy = time.monotonic() - started, busy_seconds() - busy
        spent = {name: seconds - before[name] for name, seconds in self._seconds().items()}
        return Costs(
            nodes=nodes,
            depth=depth,
            wall_seconds=wall,
            client_seconds=spent["client"],
            scheduler_seconds=spent["scheduler"],
            worker_seconds=sum(seconds for name, seconds in spent.items() if name.startswith("worker")),
            registry_seconds=spent.get("registry", 0.0),
            node_seconds=sum(one.outcome.result().seconds for one in answers.values()) / max(len(answers), 1),
            carried_bytes=self._carried() - carried,
            fetched_bytes=sum(one.fetched_bytes for one in answers.values()),
            pushed_bytes=sum(one.pushed_bytes for one in answers.values()),
            cores=(os.cpu_count() or 1) - (busy - sum(spent.values())) / wall,
            client=dict(self._counts.found - client),
            workers=dict(self._worker_counts() - counted),
        )

    def _seconds(self) -> dict[str, float]:
        return {"client": time.process_time(), **{name: cpu_seconds(pid) for name, pid in self._pids.items()}}

    def _worker_counts(self) -> Counter[str]:
        files = self._cluster.control.glob("*.counts")
        return sum((Counter(json.loads(one.read_text())) for one in files), Counter[str]())

    def _carried(self) -> int:
        with self._connect() as client:
            return int(client._client.run_on_scheduler(carried_bytes))


def show(what: str, costs: Costs) -> None:
    """Print the costs of a node."""
    print(f"{what}: {costs.nodes} nodes in {costs.depth} rows took {costs.wall_seconds:.1f} s", end="")
    print(f", {costs.cores:.2f} cores were free, load {os.getloadavg()[0]:.1f}")
    spent = {
        name: costs.a_node(getattr(costs, f"{name}_seconds")) for name in ("client", "scheduler", "worker", "registry")
    }
    print("  ms a node:", *(f"{name} {milliseconds:.1f}," for name, milliseconds in spent.items()), end=" ")
    print(f"wall {costs.a_node(costs.wall_seconds):.1f}")
    sizes = (("scheduler", costs.carried_bytes), ("fetched", costs.fetched_bytes), ("pushed", costs.pushed_bytes))
    print("  bytes a node:", ", ".join(f"{name} {size / costs.nodes:.0f}" for name, size in sizes))
    for name, counts in (("client", costs.client), ("worker", costs.workers)):
        each = [f"{what} {count / costs.nodes:.2f}" for what, count in sorted(counts.items())]
        print(f"  {name}, a node: {', '.join(each) or 'nothing'}")


def measure(work: Path, given: argparse.Namespace) -> Iterator[tuple[str, Costs]]:
    """Yield the costs of each run."""
    world = make_world(work / "world")
    world.realise()
    counts = Counts()
    counts.count_signatures()
    names = [f"worker-{number}" for number in range(given.workers)]
    with SmallLayers.opened(world) as layers, closing(Bench(work / "cluster", layers, counts)) as bench:
        bench.start(names, own_keys=given.own_keys)
        bench.join(names[:1])
        recipes = bench.graph("one", 200, 1)
        bench.run(recipes, 1)
        yield "in the cache", bench.run(recipes, 1)
        yield "in the cache and on the worker", bench.run_tasks(recipes, 1)
        with bench.registry(work / "registry"):
            bench.run(bench.graph("warm", 2, 1), 1)
            yield "built, with a registry as the cache", bench.run(bench.graph("registry", 50, 1), 1)
        bench.join(names[1:])
        bench.run_tasks(recipes, 1)  # so that each worker has the interpreter
        for name, size, depth in zip(("first", "second"), given.nodes, given.depths, strict=True):
            yield name, bench.run(bench.graph(name, size, depth), depth)


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--nodes", type=int, nargs=2, default=[300, 600])
    parser.add_argument("--depths", type=int, nargs=2, default=[6, 10])
    parser.add_argument("--own-keys", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: dict[str, Costs] = {}
    with tempfile.TemporaryDirectory(dir=given.work, prefix="bench-scale-") as work:
        for name, costs in measure(Path(work), given):
            found[name] = costs
            if not given.json:
                show(name, costs)
        subprocess.run(["chmod", "-R", "u+w", work], check=True)
    second = found["second"]
    predicted = predict(found["first"], second.nodes, second.depth, cores=second.cores)
    if given.json:
        print(json.dumps({name: asdict(costs) for name, costs in found.items()} | {"predicted": predicted}, indent=2))
        return
    print(f"second: predicted {predicted:.1f} s, {predicted / second.wall_seconds:.2f} times what it took")


if __name__ == "__main__":
    main()
