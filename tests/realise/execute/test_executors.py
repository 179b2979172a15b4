"""The contract of executors: each kind carries out real recipes of small layers over a real interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass

import pytest

from scripts.testing.clusters import TestCluster, give_keys
from scripts.testing.small_layers import Listening, SmallLayers, object_builder
from scripts.testing.world import World
from tests.cluster.conftest import Client
from vstore.build.recipe import Recipe
from vstore.cluster.client.executor import DaskExecutor
from vstore.cluster.client.realise import fetch
from vstore.cluster.client.run import ClusterRun
from vstore.errors import BuildError
from vstore.objects import StorePath
from vstore.realise.execute.executor import Executed, Executor, ThreadExecutor
from vstore.realise.execute.nodes import NodeRealiser
from vstore.realise.execute.processes import BuildProcesses, ProcessBuilder
from vstore.realise.execute.statement import read_builds
from vstore.realise.model import Origin
from vstore.realise.session import Session
from vstore.store.build_logs import read_log

PATIENCE_SECONDS = 60


@contextmanager
def in_threads(bench: Bench, session: Session, keep_going: bool) -> Iterator[Executor]:
    with closing(object_builder(session)) as builder:
        yield ThreadExecutor(NodeRealiser(session, builder).realise, 2, session.cancel, keep_going=keep_going)


@contextmanager
def in_processes(bench: Bench, session: Session, keep_going: bool) -> Iterator[Executor]:
    with BuildProcesses(session.store.layout.root) as processes, closing(object_builder(session)) as here:
        realiser = NodeRealiser(session, ProcessBuilder(here, processes))
        yield ThreadExecutor(realiser.realise, 2, session.cancel, keep_going=keep_going)


@dataclass
class FetchingExecutor:
    """Carries nodes out on workers, and fetches their objects."""

    executor: DaskExecutor
    cluster_run: ClusterRun

    def run(self, nodes: Mapping[StorePath, Recipe]) -> Executed:
        executed = self.executor.run(nodes)
        fetch(self.cluster_run, nodes, executed.done, executed.done)
        return executed


@contextmanager
def on_workers(bench: Bench, session: Session, keep_going: bool) -> Iterator[Executor]:
    assert bench.cluster is not None
    client = Client(bench.cluster, bench.layers)
    run = client.cluster_run(session, keep_going=keep_going)
    yield FetchingExecutor(client.executor(run), run)


EXECUTORS: dict[str, Callable[[Bench, Session, bool], AbstractContextManager[Executor]]] = {
    "threads": in_threads,
    "processes": in_processes,
    "workers": on_workers,
}
KINDS = ["threads", "processes", pytest.param("workers", marks=pytest.mark.slow)]


@dataclass
class Bench:
    """One kind of executor, and a store of its own."""

    kind: str
    layers: SmallLayers
    cluster: TestCluster | None = None

    def run(self, session: Session, *recipes: Recipe, keep_going: bool = False) -> Executed:
        """Realise these nodes and their interpreter."""
        with EXECUTORS[self.kind](self, session, keep_going) as executor:
            return executor.run(self.layers.nodes(*recipes))


@pytest.fixture(scope="module", params=KINDS)
def bench(request: pytest.FixtureRequest, realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    world = realised.copy(tmp_path_factory.mktemp("executors") / "w")
    with ExitStack() as held:
        cluster = None
        if request.param == "workers":
            cluster = held.enter_context(closing(TestCluster(world.folder / "cluster")))
            cluster.keys = give_keys([world.root, cluster.root("one"), cluster.root("two")])
            cluster.start_scheduler()
            cluster.start_workers("one", "two")
        layers = held.enter_context(SmallLayers.opened(world))
        yield Bench(request.param, layers, cluster)


@pytest.fixture(scope="module")
def objects() -> set[StorePath | None]:
    """The objects of one recipe, as each kind of executor made it."""
    return set()


def test_a_node_is_realised_over_the_objects_of_its_dependencies(bench: Bench) -> None:
    layers = bench.layers
    base = layers.layer("base")
    low = layers.layer("low", base)
    high = layers.layer("high", low, base)
    stack = layers.stack(base, low, high)
    reporter = Listening()
    executed = bench.run(layers.session(reporter), stack, high, low, base)
    assert not executed.failures and len(executed.done) == 5
    built = [name for name, outcome in reporter.outcomes if outcome.startswith("built") and name != stack.name]
    assert built == ["base", "low", "high"]
    assert executed.done[layers.interpreter.key].origin == Origin.PRESENT
    paths = {key: one.path for key, one in executed.done.items()}
    references = {one.key: layers.store.objects.info(paths[one.key]).references for one in (low, high, stack)}  # type: ignore
    assert paths[base.key] in references[low.key] and paths[low.key] in references[high.key]
    assert set(references[stack.key]) == {paths[one.key] for one in (base, low, high)}
    (build,) = read_builds(layers.store, paths[high.key])  # type: ignore[arg-type]
    assert build.recipe == high.over(paths).digest  # type: ignore[arg-type]
    assert read_log(layers.store.layout, build.recipe) or bench.kind == "workers"  # where the log stays
    again = bench.run(layers.session(), base, low, high, stack)
    assert {one.origin for one in again.done.values()} == {Origin.PRESENT}
    assert {key: one.path for key, one in again.done.items()} == paths


def test_objects_are_those_of_every_other_executor(bench: Bench, objects: set[StorePath | None]) -> None:
    node = bench.layers.layer("equal")
    objects.add(bench.run(bench.layers.session(), node).done[node.key].path)
    assert len(objects) == 1


def test_independent_nodes_are_realised_at_the_same_time(bench: Bench) -> None:
    """Neither build goes on before both have begun."""
    if bench.kind == "workers":
        pytest.skip(
            "reports do not hold the builds of workers: tests/cluster/client/test_execution.py has two that wait"
        )
    layers = bench.layers
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    begun: set[str] = set()

    def wait(subject: str, activity: str) -> None:
        if subject not in begun:
            begun.add(subject)
            both.wait()

    one, other = layers.layer("one"), layers.layer("other")
    reporter = Listening()
    reporter.on_progress = wait
    executed = bench.run(layers.session(reporter), one, other)
    assert not executed.failures and begun == {"one", "other"}


def test_nodes_above_a_failure_are_not_realised(bench: Bench) -> None:
    layers = bench.layers
    base = layers.layer("steady")
    broken = layers.broken("broken", base)
    above = layers.layer("above", broken, base)
    beside = layers.layer("beside", base)
    executed = bench.run(layers.session(), base, broken, above, beside, keep_going=True)
    (error,) = executed.failures.values()
    assert executed.failures.keys() == {broken.key} and type(error) is BuildError
    assert "gone-1-py3-none-any.whl" in str(error) and error.hint
    assert {base.key, beside.key} <= executed.done.keys() and above.key not in executed.done
    assert layers.is_clean()


def test_the_first_failure_cancels_what_runs_beside_it(bench: Bench) -> None:
    """Cancelled work is no failure. The node beside goes on only when it is cancelled."""
    layers = bench.layers
    session = layers.session(reporter := Listening())

    def wait(subject: str, activity: str) -> None:
        if subject == "patient":
            session.cancel.wait(PATIENCE_SECONDS)

    reporter.on_progress = wait
    patient, broken = layers.layer("patient"), layers.broken("hasty")
    executed = bench.run(session, patient, broken)
    assert executed.failures.keys() == {broken.key} and patient.key not in executed.done
    assert layers.is_clean()


def test_cancelled_work_ends_and_leaves_nothing(bench: Bench) -> None:
    layers = bench.layers
    session = layers.session(reporter := Listening())
    reporter.on_progress = lambda subject, activity: session.cancel.set()
    first = layers.layer("first")
    executed = bench.run(session, first, layers.layer("second", first))
    assert not executed.failures and executed.done.keys() <= {layers.interpreter.key}
    assert layers.is_clean()
