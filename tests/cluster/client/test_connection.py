"""Waits of a client have a limit: no scheduler, one that is stopped or killed, and no worker that fits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from scripts.testing.clusters import TestCluster
from tests.cluster.conftest import Client
from vstore.cluster.client.channels import move_channel
from vstore.cluster.client.connection import ClusterClient
from vstore.errors import ClusterError
from vstore.values import replace

pytestmark = pytest.mark.slow
LIMIT_SECONDS = 2.0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    """A scheduler without workers."""
    made = TestCluster(tmp_path_factory.mktemp("alone"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def client_alone(client: Client, alone: TestCluster) -> Client:
    if not alone.file.exists():
        alone.start_scheduler()
    alone.cache = client.cluster.cache
    return Client(alone, client.layers, LIMIT_SECONDS)


def test_no_worker_fits(client_alone: Client) -> None:
    with pytest.raises(ClusterError, match="no worker fitted unfit for 2 s: the cluster has no worker") as caught:
        client_alone.run(client_alone.layers.layer("unfit"))
    assert "`vstore worker SCHEDULER`" in str(caught.value)


def test_a_stopped_scheduler_is_an_error_within_the_limit(client_alone: Client, alone: TestCluster) -> None:
    with ClusterClient.connected(alone.address.url, None, limit_seconds=LIMIT_SECONDS) as client:
        assert client.workers() == ()
        alone.process("scheduler").send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ClusterError, match="did not answer within 2 s"):
                client.workers()
        finally:
            alone.process("scheduler").send_signal(signal.SIGCONT)


@pytest.mark.usefixtures("client_alone")
def test_a_scheduler_that_is_stopped_before_is_an_error_within_the_limit(alone: TestCluster) -> None:
    alone.process("scheduler").send_signal(signal.SIGSTOP)
    try:
        with (
            pytest.raises(ClusterError, match=r"no scheduler answers at tcp://.* within 2 s"),
            ClusterClient.connected(alone.address.url, None, limit_seconds=LIMIT_SECONDS),
        ):
            pass
    finally:
        alone.process("scheduler").send_signal(signal.SIGCONT)


def test_a_lost_scheduler_is_an_error_at_once(client_alone: Client, alone: TestCluster) -> None:
    running = client_alone.start(client_alone.layers.layer("orphan"))
    alone.wait_for(lambda: client_alone.events)
    alone.kill("scheduler")
    assert "connection to the scheduler" in str(running.exception())
    alone.file.unlink()


@pytest.mark.usefixtures("two_must_agree")
def test_another_worker_signs_for_one_that_is_stopped(client: Client, cluster: TestCluster) -> None:
    low = client.layers.layer("signed")
    stack = client.layers.stack(low)
    executed = client.run(low, stack)
    record, run = client.record(executed, stack), client.cluster_run()
    trust = replace(run.trust, keys=tuple(key for key in run.trust.keys if key.name in ("one", "two", "three")))
    connect = partial(ClusterClient.connected, cluster.address.url, None, limit_seconds=4 * LIMIT_SECONDS)

    def move(name: str, *stopped: str) -> set[str]:
        """Move a channel while workers are stopped. Return the names of the keys that have signed."""
        for worker in stopped:
            cluster.process(worker).send_signal(signal.SIGSTOP)
        try:
            moved = move_channel(replace(run, trust=trust), connect, name, record.path, record.recipe, timedelta(1))
        finally:
            for worker in stopped:
                cluster.process(worker).send_signal(signal.SIGCONT)
        return {one.key for one in moved.record.signatures}

    assert move("signed", "one") == {"client", "two", "three"}
    with pytest.raises(ClusterError, match="channel late was not moved: 1 of the 2 required keys") as caught:
        move("late", "one", "two")
    told = f"{caught.value.details}"
    assert "worker one on" in told and "worker two on" in told and told.count("did not answer within 2 s") == 2


def test_nothing_answers_at_the_address(client: Client) -> None:
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://.* within 1 s"),
        ClusterClient.connected("tcp://127.0.0.1:9", None, limit_seconds=1),
    ):
        pass
