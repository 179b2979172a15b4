"""Which workers fit a node, and when a run in which nothing goes on ends."""

from __future__ import annotations

import pytest

from vstore.build.recipe import InterpreterRecipe
from vstore.cluster.client.connection import ClusterWorker
from vstore.cluster.client.fitting import Fitting, SignerKeys, Watchdog, signer_keys
from vstore.cluster.resources import RELEASE_RESOURCE
from vstore.errors import ClusterError
from vstore.remote import SecretKey, Trust
from vstore.target import Target

HOST = str(Target.host())
OTHER = next(str(one) for one in Target if one != HOST)
NODE = InterpreterRecipe(name="cpython-3.11.7", target=OTHER, implementation="cpython", version="3.11.7", source="x")


def worker(name: str, *resources: str, silent_seconds: float = 0.0, tasks: tuple[str, ...] = ()) -> ClusterWorker:
    return ClusterWorker(
        name=name, host="h", resources=dict.fromkeys(resources, 2.0), silent_seconds=silent_seconds, tasks=tasks
    )


def test_a_node_is_built_on_its_own_platform_if_a_worker_has_it() -> None:
    assert Fitting.of([worker("w", HOST)], {}).platform(NODE) == HOST
    assert Fitting.of([worker("w", HOST), worker("v", OTHER)], {}).platform(NODE) == OTHER


def test_a_task_asks_for_the_release_the_platform_its_key_and_what_is_configured() -> None:
    fitting = Fitting.of([worker("w", HOST)], {NODE.name: "memory=16, gpu=1"})
    assert fitting.resources(NODE, "k") == {RELEASE_RESOURCE: 1, HOST: 1, "key:k": 1, "memory": 16, "gpu": 1}
    assert fitting.resources(NODE, None).keys() == {RELEASE_RESOURCE, HOST, "memory", "gpu"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_trusted_keys_of_this_release_count() -> None:
    keys = tuple(SecretKey.generate(name).public for name in ("a", "b"))
    workers = [worker("v", RELEASE_RESOURCE, "key:a"), worker("w", "key:b"), worker("x", RELEASE_RESOURCE, "key:c")]
    assert signer_keys(workers, Trust(keys=keys)) == ("a",)
    with pytest.raises(ClusterError, match="2 keys must sign, and the workers of the cluster have 1 trusted key"):
        SignerKeys(workers, Trust(keys=keys, require=2), 10, Clock())


def test_a_key_is_lost_once_no_worker_has_it_for_the_limit() -> None:
    clock = Clock()
    trust = Trust(keys=tuple(SecretKey.generate(name).public for name in ("a", "b", "c")), require=2)
    workers = [worker(name, RELEASE_RESOURCE, f"key:{name}") for name in ("a", "b", "c")]
    keys = SignerKeys(workers[:2], trust, 10, clock)
    clock.now = 9
    assert not keys.update(workers) and list(keys.names) == ["a", "b", "c"]  # a worker that joins late
    clock.now = 18
    assert not keys.update(workers[1:])
    clock.now = 19
    assert keys.update(workers[1:]) == {"a"} and list(keys.names) == ["b", "c"]
    assert not keys.update(workers[1:])
    clock.now = 99
    assert not keys.update(workers[2:]) and list(keys.names) == ["b", "c"], "two must sign"


def test_a_task_that_no_worker_fits_ends_the_run_and_names_the_releases() -> None:
    clock = Clock()
    watchdog = Watchdog(10, clock)
    workers = [worker("old", "vstore-0-1", HOST)]
    ready = {"t": ("app", {RELEASE_RESOURCE: 1.0, HOST: 1.0})}
    watchdog.check(workers, ready)
    clock.now = 9.0
    watchdog.check(workers, ready)
    assert watchdog.left_seconds() == 1.0
    clock.now = 10
    with pytest.raises(ClusterError, match="no worker fitted app for 10 s") as caught:
        watchdog.check(workers, ready)
    assert f"the workers are of vstore-0-1, and this vstore is of {RELEASE_RESOURCE}" in caught.value.details


def test_a_worker_that_joins_in_time_ends_the_wait() -> None:
    clock = Clock()
    watchdog = Watchdog(10, clock)
    ready = {"t": ("app", {HOST: 1.0})}
    watchdog.check([], ready)
    clock.now = 9
    watchdog.check([worker("w", HOST, tasks=("t",))], ready)
    clock.now = 100
    watchdog.check([worker("w", HOST, tasks=("t",))], ready)  # it has had the task all the time


def test_workers_that_are_silent_do_not_count() -> None:
    clock = Clock()
    watchdog = Watchdog(10, clock)
    ready = {"t": ("app", {HOST: 1.0})}
    watchdog.check([worker("w", HOST, tasks=("t",))], ready)
    for clock.now in (5, 10):
        watchdog.check([worker("w", HOST, tasks=("t",), silent_seconds=clock.now - 1)], ready)
    clock.now = 11
    watchdog.check([worker("w", HOST, tasks=("t",), silent_seconds=10)], ready)
    clock.now = 21
    with pytest.raises(ClusterError, match="app"):
        watchdog.check([worker("w", HOST, tasks=("t",), silent_seconds=20)], ready)


def test_a_scheduler_that_gives_no_task_to_a_worker_that_fits_ends_the_run() -> None:
    clock = Clock()
    watchdog = Watchdog(10, clock)
    ready = {"t": ("app", {HOST: 1.0})}
    clock.now = 5
    watchdog.moved()
    watchdog.check([worker("w", HOST)], ready)
    clock.now = 15
    with pytest.raises(ClusterError, match="nothing happened for 10 s"):
        watchdog.check([worker("w", HOST)], ready)
