"""Two keys must sign: which keys are asked, which object counts, and a real worker that lies."""

from __future__ import annotations

import pytest

from scripts.testing.clusters import TestCluster, set_trust
from tests.cluster.conftest import WORKERS, Client
from vstore.cluster.client.agreement import agreed_object, choose_keys, dissenters
from vstore.errors import ClusterError
from vstore.objects import StorePath

A, B = (StorePath.parse(f"{letter * 32}-layer") for letter in "ab")
NODE = StorePath.parse(f"{'c' * 32}-layer.node")


def test_an_object_counts_once_enough_keys_state_it() -> None:
    assert agreed_object({}, 1) is None
    assert agreed_object({"one": A}, 1) == A
    assert agreed_object({"one": A}, 2) is None
    assert agreed_object({"one": A, "two": B}, 2) is None
    assert agreed_object({"one": A, "two": B, "three": A}, 2) == A
    assert agreed_object({"one": A, "two": B, "three": A, "four": B}, 2) is None


def test_keys_that_state_another_object_are_named() -> None:
    assert dissenters({"one": A, "two": B, "three": A}, A) == ("two",)
    assert dissenters({"one": A, "three": A}, A) == ()


def test_as_many_keys_are_asked_as_an_object_may_lack() -> None:
    keys = ("one", "two", "three", "four")
    first = choose_keys(NODE, {}, keys, 2)
    assert len(set(first)) == 2 and first == choose_keys(NODE, {}, keys[::-1], 2)
    third = choose_keys(NODE, {first[0]: A, first[1]: B}, keys, 2)
    assert len(third) == 1 and third[0] not in first
    assert choose_keys(NODE, {first[0]: A, first[1]: B}, first, 2) == ()
    assert set(choose_keys(NODE, {}, keys, 2, avoid=("one", "two"))) == {"three", "four"}


def test_the_keys_divide_the_nodes_among_them() -> None:
    nodes = [StorePath.parse(f"{letter * 32}-layer.node") for letter in "abcdfghijklmnpqrsvwxyz0123456789"]
    assert {choose_keys(node, {}, WORKERS, 1) for node in nodes} == {(name,) for name in WORKERS}


@pytest.mark.slow
@pytest.mark.usefixtures("two_must_agree")
def test_two_workers_build_each_node_and_both_sign(client: Client) -> None:
    low = client.layers.layer("agreed")
    high = client.layers.layer("above-agreed", low)
    executed = client.run(high, low)
    assert not executed.failures
    for recipe in (low, high):
        assert len(client.trust.signers(client.record(executed, recipe))) == 2
    assert client.executor().run(client.layers.nodes(high, low)).done.keys() >= {high.key, low.key}


@pytest.mark.slow
@pytest.mark.usefixtures("two_must_agree")
def test_a_worker_that_lies_is_named_and_the_object_of_the_others_counts(client: Client, cluster: TestCluster) -> None:
    lower = [client.layers.layer(f"lied{number}") for number in range(4)]
    upper = [client.layers.layer(f"above{number}", one) for number, one in enumerate(lower)]
    (cluster.control / "two.lies").touch()
    executed = client.run(*upper, *lower)
    (cluster.control / "two.lies").unlink()
    assert not executed.failures
    told = [text for text in client.reports.warnings if "worker two on" in text]
    assert told and not any("worker one on" in text or "worker three on" in text for text in client.reports.warnings)
    for recipe in (*lower, *upper):
        found = client.record(executed, recipe)
        assert found.path == executed.done[recipe.key].path
        assert len(client.trust.signers(found)) >= 2 and "two" not in {one.key for one in found.signatures}


@pytest.mark.slow
def test_too_few_keys_are_an_error_at_once(client: Client, cluster: TestCluster) -> None:
    root = cluster.root("client")
    set_trust(root, [cluster.keys[0], *cluster.keys[2:3]], require=2)
    try:
        with pytest.raises(ClusterError, match="2 keys must sign, and the workers of the cluster have 1 trusted key"):
            client.run(client.layers.layer("lonely"))
    finally:
        set_trust(root, cluster.keys)
