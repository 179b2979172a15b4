"""What many nodes on many workers cost the client and the scheduler: processor time, memory, connections.

Usage: .venv/bin/python scripts/bench/many_workers.py [--workers N] [--nodes N] [--seconds S] [--work DIR] [--json].
Client and scheduler are the real ones. The workers are those of Dask, 125 in a process, and answer each node with a
made-up object after S seconds, without a store and a cache.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.testing.clusters import TestCluster
from vstore.build.recipe import InterpreterRecipe, LayerRecipe, Recipe
from vstore.cancel import CancelToken
from vstore.cluster.client.connection import ClusterClient
from vstore.cluster.client.execution import Execution
from vstore.cluster.client.inputs import Inputs
from vstore.cluster.client.run import ClusterRun
from vstore.cluster.tasks import AnswerState, ClusterAnswer, ClusterTask
from vstore.objects import Kind, StorePath
from vstore.realise.execute.messages import NodeOutcome
from vstore.realise.model import Origin, RealisedLayer
from vstore.remote import SecretKey, Signer, Trust, open_cache
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import sign
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.target import Target

KEY = SecretKey("bench", b"b" * 32)
INTERPRETER = InterpreterRecipe(
    name="cpython-3.12.1", target=str(Target.host()), implementation="cpython", version="3.12.1", source="managed"
)
_IN_A_PROCESS = 125
TICKS = os.sysconf("SC_CLK_TCK")
_WORKERS = """
import asyncio, sys
from scripts.bench.many_workers import run_workers
asyncio.run(run_workers(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
"""


class MadeUpWorker:
    """Answers tasks as a `NodeWorker` does, after some seconds, with objects that do not exist."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def realise(self, text: str, below: tuple[str, ...]) -> ClusterAnswer:
        answers = [ClusterAnswer.parse(one) for one in below]
        objects = {one.outcome.key: one.realisation.path for one in answers if one.realisation}
        node = ClusterTask.parse(text, objects).work.node
        digest = node.recipe.over({key: node.objects[key] for key in node.recipe.all_dependencies}).digest
        path = StorePath.make(digest, node.recipe.name)
        time.sleep(self._seconds)
        layer = RealisedLayer(
            name=node.recipe.name, kind=node.recipe.kind, path=path, origin=Origin.BUILT, seconds=self._seconds
        )
        return ClusterAnswer(
            state=AnswerState.DONE,
            outcome=NodeOutcome(key=node.recipe.key, layer=layer, size_bytes=1 << 20),
            worker="made-up",
            host="localhost",
            key=str(KEY.public),
            realisation=sign(Realisation(recipe=digest, path=path, digest=digest, size_bytes=1 << 20), (KEY,)),
            requests=10,
        )


async def run_workers(address: str, name: str, number: int, seconds: float) -> None:
    """Run so many workers in this process, and print a line when all have joined."""
    import asyncio

    from distributed import Worker

    from vstore.cluster.dask_settings import configure_dask
    from vstore.cluster.resources import RELEASE_RESOURCE, key_resource
    from vstore.cluster.worker.work import serve

    configure_dask(log=False)
    serve(MadeUpWorker(seconds))  # type: ignore[arg-type]
    offered = dict.fromkeys((str(Target.host()), RELEASE_RESOURCE, key_resource(KEY.name)), 1.0)
    workers = [
        Worker(
            address,
            name=f"{name}-{one}",
            nthreads=1,
            resources=offered,
            memory_limit=0,
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
        for one in range(number)
    ]
    for worker in workers:
        await worker
    print("joined", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))  # type: ignore[no-untyped-call]


def graph(nodes: int, width: int) -> tuple[LayerRecipe, ...]:
    """Return layers in rows of `width`, each over two of the row below it."""
    interpreter = INTERPRETER.key
    made: list[LayerRecipe] = []
    for number in range(nodes):
        row = number // width
        below = [made[(row - 1) * width + (number + step) % width] for step in (0, 1)] if row else []
        made.append(
            LayerRecipe(
                name=f"layer-{number}",
                kind=Kind.FRAMEWORK if below else Kind.RUNTIME,
                target=str(Target.host()),
                python=INTERPRETER.version,
                interpreter=interpreter,
                dependencies=tuple(one.key for one in below),
            )
        )
    return tuple(made)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def memory_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Return the number of open files and connections of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def carried_bytes() -> int:
    """Return the bytes that this process, a scheduler, has sent and received over its open connections."""
    import gc
    from socket import IPPROTO_TCP, TCP_INFO

    from tornado.iostream import IOStream

    info = b"".join(
        one.socket.getsockopt(IPPROTO_TCP, TCP_INFO, 136)[120:136]  # tcpi_bytes_acked, tcpi_bytes_received
        for one in gc.get_objects()
        if isinstance(one, IOStream) and one.socket
    )
    return sum(struct.unpack(f"{len(info) // 8}Q", info))


@contextmanager
def joined(folder: Path, workers: int, seconds: float) -> Iterator[TestCluster]:
    """Yield a cluster whose workers have joined."""
    cluster = TestCluster(folder)
    try:
        cluster.start_scheduler(worker_seconds=120)
        for first in range(0, workers, _IN_A_PROCESS):
            name, number = f"workers-{first}", min(_IN_A_PROCESS, workers - first)
            process = cluster.start(name, _WORKERS, cluster.address.url, name, str(number), str(seconds))
            while "joined" not in cluster.log(name):  # a hundred take a minute where other work wants the cores
                assert process.poll() is None, cluster.log(name)
                time.sleep(0.2)
        yield cluster
    finally:
        cluster.close()


@dataclass
class Measured:
    """The measures of one run. Bytes of memory are those that the run added."""

    nodes: int
    workers: int
    wall_seconds: float
    client_seconds: float
    submit_seconds: float
    scheduler_seconds: float
    idle_scheduler_seconds: float  # of one second without work
    client_bytes: int
    scheduler_bytes: int
    scheduler_files: int
    carried_bytes: int


def measure(work: Path, workers: int, nodes: int, seconds: float) -> Measured:
    """Carry out made-up nodes."""
    layers = graph(nodes, max(workers * 2, 10))
    interpreter = StorePath.make(INTERPRETER.digest, INTERPRETER.name)
    known = {
        INTERPRETER.key: RealisedLayer(
            name=INTERPRETER.name, kind=Kind.INTERPRETER, path=interpreter, origin=Origin.PRESENT, seconds=0
        )
    }
    recipes: Mapping[StorePath, Recipe] = {one.key: one for one in layers}
    with joined(work / "cluster", workers, seconds) as cluster, Store.open(work / "client") as store:
        pid = cluster.process("scheduler").pid
        before_idle = cpu_seconds(pid)
        time.sleep(5)
        idle = (cpu_seconds(pid) - before_idle) / 5
        trust = Trust(keys=(KEY.public,))
        run = ClusterRun(
            store=store,
            cache=open_cache((work / "cache").as_uri()),
            signer=Signer((), trust),
            trust=trust,
            makers={},
            cancel=CancelToken(),
            reporter=NullReporter(),
            on_event=lambda event: None,
        )
        with ClusterClient.connected(cluster.address.url, None, limit_seconds=60) as client:
            client.workers()
            own, started, cpu, memory = os.getpid(), time.monotonic(), time.process_time(), memory_bytes(pid)
            own_memory, scheduler_cpu = memory_bytes(own), cpu_seconds(pid)
            carried = client._client.run_on_scheduler(carried_bytes)
            execution = Execution(client, run, recipes, known, Inputs())
            submitting = timed(execution)
            execution.run()
            assert len(execution.done) == nodes and not execution.failures, execution.failures
            return Measured(
                nodes=nodes,
                workers=workers,
                wall_seconds=time.monotonic() - started,
                client_seconds=time.process_time() - cpu,
                submit_seconds=sum(submitting),
                scheduler_seconds=cpu_seconds(pid) - scheduler_cpu,
                idle_scheduler_seconds=idle,
                client_bytes=memory_bytes(own) - own_memory,
                scheduler_bytes=memory_bytes(pid) - memory,
                scheduler_files=open_files(pid),
                carried_bytes=client._client.run_on_scheduler(carried_bytes) - carried,
            )


def timed(execution: Execution) -> list[float]:
    """Return a list to which each turn of an execution adds the processor time of submitting."""
    found: list[float] = []
    submit = execution._submit

    def timed_submit() -> bool:
        begun = time.thread_time()
        try:
            return submit()
        finally:
            found.append(time.thread_time() - begun)

    execution._submit = timed_submit  # type: ignore[method-assign]
    return found


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work, prefix="bench-workers-") as work:
        found = measure(Path(work), given.workers, given.nodes, given.seconds)
    if given.json:
        print(json.dumps(asdict(found), indent=2))
        return
    per, kib = 1000 / found.nodes, 1 / found.nodes / 1024
    print(f"{found.nodes} nodes on {found.workers} workers, load {os.getloadavg()[0]:.1f}: {found.wall_seconds:.1f} s")
    print(f"client: {found.client_seconds * per:.2f} ms of processor time a node", end=", ")
    print(f"{found.submit_seconds * per:.2f} ms of it to submit, {found.client_bytes * kib:.1f} KiB a node")
    print(f"scheduler: {found.scheduler_seconds * per:.2f} ms of processor time a node", end=", ")
    print(f"{found.scheduler_bytes * kib:.1f} KiB a node, {found.scheduler_files} open files")
    print(f"scheduler without work: {1000 * found.idle_scheduler_seconds:.1f} ms of processor time a second")
    print(f"over the scheduler: {found.carried_bytes * kib:.1f} KiB a node")


if __name__ == "__main__":
    main()
