"""The executor over workers in this process: which answers count, and what is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scripts.testing.machine import Said
from scripts.testing.small_layers import SmallLayers
from scripts.testing.world import World
from tests.cluster.in_process import BOTH, ONE, THREE, TRUST, TWO, Client, InProcess, run_of, worker
from vstore.build.recipe import LayerRecipe
from vstore.cluster.client.executor import DaskExecutor
from vstore.cluster.tasks import AnswerState, ClusterAnswer
from vstore.cluster.worker.work import NodeWorker
from vstore.errors import BuildError, ClusterError, StoreError
from vstore.objects import StorePath
from vstore.realise.execute.messages import NodeOutcome
from vstore.realise.model import Origin
from vstore.remote.records.trust import sign
from vstore.values import replace

Change = Callable[[ClusterAnswer], ClusterAnswer]


@pytest.fixture(scope="module")
def client(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("executor")
    with SmallLayers.opened(realised.copy(folder / "client")) as layers:
        yield Client(layers, folder)


@pytest.fixture(scope="module")
def workers(client: Client) -> dict[str, NodeWorker]:
    return {key.name: worker(client, key) for key in (ONE, TWO, THREE)}


def unavailable(answer: ClusterAnswer) -> ClusterAnswer:
    outcome = NodeOutcome(key=answer.outcome.key, failure=StoreError("no space"))
    return replace(answer, state=AnswerState.UNAVAILABLE, outcome=outcome, realisation=None)


def test_an_answer_counts_with_the_signature_of_a_trusted_key(client: Client, workers: dict[str, NodeWorker]) -> None:
    def unsigned(answer: ClusterAnswer) -> ClusterAnswer:
        assert answer.realisation is not None
        return replace(answer, realisation=replace(answer.realisation, signatures=()))

    def of_another(answer: ClusterAnswer) -> ClusterAnswer:
        assert answer.realisation is not None
        record = replace(answer.realisation, recipe=client.layers.interpreter.digest, signatures=())
        return replace(answer, realisation=sign(record, (ONE,)))

    for number, (change, said) in enumerate(
        ((unsigned, "signs with a key that this store does not trust"), (of_another, "for another recipe"))
    ):
        node = client.layers.layer(f"untrusted{number}")
        executor = DaskExecutor(InProcess(workers, change=change).connected_here, run_of(client, TRUST))
        executed = executor.run(client.layers.nodes(node))
        assert said in str(executed.failures[node.key]) and node.key not in executed.done
        assert executor.unbuilt == {node.key}


def test_a_failed_build_is_not_tried_again_and_an_unfit_worker_is_not_asked_again(
    client: Client, workers: dict[str, NodeWorker]
) -> None:
    def failed(answer: ClusterAnswer) -> ClusterAnswer:
        outcome = NodeOutcome(key=answer.outcome.key, failure=BuildError("it stopped"))
        return replace(answer, state=AnswerState.FAILED, outcome=outcome, realisation=None)

    def full(answer: ClusterAnswer) -> ClusterAnswer:
        return unavailable(answer) if answer.worker == "one" else answer

    def realise(node: LayerRecipe, change: Change) -> tuple[list[str], DaskExecutor, object]:
        cluster = InProcess(workers, change=change)
        executor = DaskExecutor(cluster.connected_here, run_of(client, TRUST))
        executed = executor.run(client.layers.nodes(node))
        return cluster.answered, executor, executed.failures.get(node.key) or executed.done[node.key].origin

    answered, executor, found = realise(client.layers.layer("stops"), failed)
    assert answered == ["one"] and "it stopped" in str(found) and not executor.unbuilt
    assert realise(client.layers.layer("elsewhere"), full)[::2] == (["one", "two"], Origin.SUBSTITUTED)
    answered, executor, found = realise(client.layers.layer("nowhere"), unavailable)
    assert len(answered) == 3 and "no space" in str(found) and len(executor.unbuilt) == 1


def test_nodes_above_one_that_is_tried_again_are_tried_again_too(
    client: Client, workers: dict[str, NodeWorker]
) -> None:
    low = client.layers.layer("again-low")
    mid = client.layers.layer("again-mid", low)
    top, beside = client.layers.layer("again-top", mid, low), client.layers.layer("again-beside")
    tried: list[StorePath] = []

    def first_fails(answer: ClusterAnswer) -> ClusterAnswer:
        tried.append(answer.outcome.key)
        return unavailable(answer) if answer.outcome.key == low.key and tried.count(low.key) == 1 else answer

    executor = DaskExecutor(InProcess(workers, change=first_fails).connected_here, run_of(client, TRUST))
    executed = executor.run(client.layers.nodes(top, mid, beside, low))
    assert not executed.failures and {one.key for one in (low, mid, top, beside)} <= executed.done.keys()
    assert [one for one in tried if one != beside.key] == [low.key, mid.key, top.key] * 2
    assert tried.count(beside.key) == 1


def test_the_object_of_the_majority_counts_and_the_other_worker_is_named(
    client: Client, workers: dict[str, NodeWorker]
) -> None:
    lie = StorePath.parse(f"{'c' * 32}-lie")

    def lying(answer: ClusterAnswer) -> ClusterAnswer:
        if answer.worker != "two" or answer.realisation is None or answer.outcome.layer is None:
            return answer
        record = sign(replace(answer.realisation, path=lie, signatures=()), (TWO,))
        layer = replace(answer.outcome.layer, path=lie)
        return replace(answer, realisation=record, outcome=replace(answer.outcome, layer=layer))

    nodes = [client.layers.layer(f"lied{number}") for number in range(4)]
    nodes.append(client.layers.layer("above-lies", *nodes))  # waits until it is known who lied
    run, cluster = run_of(client, BOTH, reports := Said()), InProcess(workers, change=lying)
    executed = DaskExecutor(cluster.connected_here, run).run(client.layers.nodes(*nodes))
    assert not executed.failures and {one.key for one in nodes} <= executed.done.keys()
    assert lie not in {one.path for one in executed.done.values()}
    assert "two" in cluster.answered and any("worker two on" in text for text in reports.warnings)
    assert not any("worker one on" in text or "worker three on" in text for text in reports.warnings)
    recipe = nodes[0].over({client.layers.interpreter.key: client.interpreter}).digest
    record = run.cache.realisation(recipe, BOTH)
    assert record is not None and {one.key for one in record.signatures} == {"one", "three"}

    undecided = replace(run_of(client, replace(BOTH, keys=(ONE.public, TWO.public))), keep_going=True)
    node = client.layers.layer("undecided")
    executed = DaskExecutor(InProcess(workers, change=lying).connected_here, undecided).run(client.layers.nodes(node))
    error = executed.failures[node.key]
    assert isinstance(error, ClusterError) and "the workers disagree about undecided" in error.message
    assert ["by worker one" in str(error), "by worker two" in str(error)] == [True, True]
