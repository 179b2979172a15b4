"""Nodes on a real cluster: shared by two clients, tried again when a worker is lost, and failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.testing.clusters import TestCluster
from tests.cluster.conftest import WORKERS, Client
from vstore.cluster.client.events import NodeState
from vstore.errors import BuildError
from vstore.realise.model import Origin

pytestmark = pytest.mark.slow


def test_workers_build_over_what_others_built(client: Client) -> None:
    base = client.layers.layer("base")
    parts = [client.layers.layer(f"part{number}", base) for number in range(4)]
    stack = client.layers.stack(base, *parts)
    done = client.run(stack, base, *parts)
    assert not done.failures and len(done.done) == 7
    assert {done.done[one.key].origin for one in (base, *parts, stack)} == {Origin.BUILT}
    assert all(client.record(done, one).path == done.done[one.key].path for one in (base, *parts, stack))
    states = [event.state for event in client.events if event.name == "base"]
    assert states[0] == NodeState.WAITING and states[-1] == NodeState.DONE and NodeState.RUNNING in states
    assert {one.worker for one in client.events if one.state != NodeState.WAITING} <= set(WORKERS)
    assert (client.events[-1].done, client.events[-1].total) == (6, 6)
    again = client.executor(address="tcp://127.0.0.1:9")  # no scheduler is needed
    assert again.run(client.layers.nodes(stack, base, *parts)).done.keys() == done.done.keys()
    assert not again.answers and len(again.found.cached) == 7


def test_independent_nodes_are_realised_at_the_same_time(client: Client, cluster: TestCluster) -> None:
    names = ("beside-one", "beside-two")
    for name in names:
        (cluster.control / f"{name}.wait").touch()
    recipes = [client.layers.layer(name) for name in names]
    running = client.start(*recipes)
    cluster.wait_for(lambda: all((cluster.control / f"{name}.started").exists() for name in names))
    for name in names:
        (cluster.control / f"{name}.wait").unlink()
    assert {one.key for one in recipes} <= running.result().done.keys()


def test_two_clients_share_the_work(client: Client, other: Client, cluster: TestCluster) -> None:
    wait = cluster.control / "shared.wait"
    wait.touch()
    recipes = [one.layers.layer("shared", one.layers.layer("under")) for one in (client, other)]
    unders = [one.layers.layer("under") for one in (client, other)]
    first, second = client.start(recipes[0], unders[0]), other.start(recipes[1], unders[1])
    cluster.wait_for((cluster.control / "shared.started").exists)
    cluster.wait_for(lambda: any(event.name == "shared" for one in (client, other) for event in one.events))
    wait.unlink()
    done = [first.result(), second.result()]
    assert done[0].done[recipes[0].key] == done[1].done[recipes[1].key]  # also the seconds: it was built once
    assert done[0].done[recipes[0].key].origin == Origin.BUILT


def test_a_failed_build_is_told_and_what_does_not_need_it_is_built_with_keep_going(client: Client) -> None:
    broken = client.layers.broken("broken")
    above, beside = client.layers.layer("above", broken), client.layers.layer("beside")
    done = client.run(above, broken, beside, keep_going=True)
    assert set(done.failures) == {broken.key} and beside.key in done.done and above.key not in done.done
    assert "gone-1-py3-none-any.whl" in str(done.failures[broken.key])


def test_a_build_that_fails_on_a_worker_is_told_with_its_name(client: Client, cluster: TestCluster) -> None:
    fails = client.layers.layer("fails")
    (cluster.control / "fails.fails").write_text("the compiler stopped")
    error = client.run(fails).failures[fails.key]
    assert isinstance(error, BuildError) and error.message == "the compiler stopped"
    assert error.details[-1].startswith("on worker ")


def test_the_node_of_a_lost_worker_is_built_by_another(client: Client, cluster: TestCluster) -> None:
    wait, started = cluster.control / "lost.wait", cluster.control / "lost.started"
    wait.touch()
    lost = client.layers.layer("lost")
    running = client.start(lost)
    cluster.wait_for(lambda: started.exists() and started.read_text())
    name = started.read_text()
    started.unlink()
    cluster.kill(name)
    wait.unlink()
    done = running.result().done[lost.key]
    assert done.origin == Origin.BUILT and (other := started.read_text()) != name
    assert f"worker {name} was lost: {other} starts lost again" in client.reports.warnings
    cluster.start_workers(name)


def test_what_runs_when_a_client_ends_is_found_done_by_the_next_run(client: Client, cluster: TestCluster) -> None:
    wait, started = cluster.control / "ended.wait", cluster.control / "ended.started"
    wait.touch()
    low = client.layers.layer("ended")
    high = client.layers.layer("never", low)
    session = client.layers.session()
    executor = client.executor(client.cluster_run(session))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(executor.run, client.layers.nodes(high, low))
        cluster.wait_for(started.exists)
        session.cancel.set()
        assert not running.result().failures and high.key not in running.result().done
    wait.unlink()
    cluster.wait_for(lambda: client.executor().run(client.layers.nodes(low)).done)
    assert not (cluster.control / "never.started").exists()
    started.unlink()
    assert client.run(high, low).done[high.key].origin == Origin.BUILT
    assert not started.exists()


def test_a_node_whose_workers_are_lost_again_and_again_is_a_failure(client: Client, cluster: TestCluster) -> None:
    """What only waits for the lost workers is built."""
    client.limit_seconds = 120.0  # three workers have to start again
    wait, started = cluster.control / "kills.wait", cluster.control / "kills.started"
    wait.touch()
    low = client.layers.layer("kills")
    others = [client.layers.layer(f"beside-{number}") for number in range(6)]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, client.layers.layer("over", low), low, *others, keep_going=True)
        for _ in WORKERS:
            cluster.wait_for(lambda: started.exists() and started.read_text())
            name = started.read_text()
            started.unlink()
            cluster.kill(name)
        cluster.start_workers(*WORKERS)
        done = running.result()
    wait.unlink()
    assert {key: str(error) for key, error in done.failures.items()} == {
        low.key: "3 workers were lost while building kills"
    }
    assert {one.key for one in others} <= done.done.keys()


@pytest.mark.usefixtures("two_must_agree")
def test_another_key_signs_if_a_worker_does_not_come_back(client: Client, cluster: TestCluster) -> None:
    client.limit_seconds = 10.0  # so a key is lost after 5
    wait, started = cluster.control / "left.wait", cluster.control / "left.started"
    wait.touch()
    left = client.layers.layer("left")
    running = client.start(client.layers.layer("over-left", left), left)
    cluster.wait_for(lambda: started.exists() and started.read_text())
    name = started.read_text()
    cluster.kill(name)
    wait.unlink()
    try:
        assert left.key in running.result().done
    finally:
        cluster.start_workers(name)
    assert {one.key for one in client.record(running.result(), left).signatures} == set(WORKERS) - {name}
