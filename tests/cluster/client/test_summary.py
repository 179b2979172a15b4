"""The summary of a run: who built what, what sharing spared, and the critical path."""

from __future__ import annotations

from vstore.build.recipe import Recipe
from vstore.cluster.client.summary import PathStep, summarise
from vstore.cluster.tasks import AnswerState, ClusterAnswer
from vstore.objects import Kind, StorePath
from vstore.profile import StackLayer
from vstore.realise.execute.messages import NodeOutcome
from vstore.realise.model import Origin, RealisedLayer
from vstore.realise.plan.graph import priorities
from vstore.realise.stack import StackRecipe


def node(name: str, *below: Recipe) -> StackRecipe:
    layers = tuple(StackLayer(name=one.name, kind=Kind.RUNTIME, path=one.key) for one in below)
    return StackRecipe(name=name, target="linux_x86_64", profile=name, layers=layers)


LOW = node("low")
LEFT, RIGHT = node("left", LOW), node("right", LOW)
FIRST, SECOND = node("first", LEFT, RIGHT), node("second", RIGHT)
NODES = {one.key: one for one in (LOW, LEFT, RIGHT, FIRST, SECOND)}
SECONDS = {LOW.key: 3.0, LEFT.key: 1.0, RIGHT.key: 4.0, FIRST.key: 0.5, SECOND.key: 0.25}


def answer(key: StorePath, worker: str, origin: Origin = Origin.BUILT) -> ClusterAnswer:
    layer = RealisedLayer(name=NODES[key].name, kind=Kind.RUNTIME, path=key, origin=origin, seconds=SECONDS[key])
    return ClusterAnswer(
        state=AnswerState.DONE,
        outcome=NodeOutcome(key=key, layer=layer, size_bytes=100),
        worker=worker,
        host="h",
        pushed_bytes=10,
        fetched_bytes=1,
        requests=2,
    )


def test_nodes_of_several_stacks_are_counted_as_spared() -> None:
    answers = {key: (answer(key, "w"),) for key in NODES}
    found = summarise(NODES, [FIRST.key, SECOND.key], answers, cached=0, seconds=9, pushed_bytes=5)
    assert (found.shared_seconds, found.shared_bytes) == (7.0, 200)  # low and right, once each


def test_the_critical_path_is_the_longest_chain() -> None:
    answers = {key: (answer(key, "w"),) for key in NODES}
    found = summarise(NODES, [FIRST.key, SECOND.key], answers, cached=0, seconds=9, pushed_bytes=5)
    assert [one.name for one in found.critical_path] == ["low", "right", "first"]
    assert found.critical_seconds == 7.5


def test_a_node_that_the_cache_had_takes_no_time() -> None:
    answers = {RIGHT.key: (answer(RIGHT.key, "w"),), SECOND.key: (answer(SECOND.key, "v", Origin.SUBSTITUTED),)}
    found = summarise(NODES, [SECOND.key], answers, cached=1, seconds=9, pushed_bytes=5)
    assert found.critical_path == tuple(
        PathStep(name=one.name, target="linux_x86_64", seconds=SECONDS[one.key]) for one in (RIGHT, SECOND)
    )
    assert [(one.worker, one.built, one.substituted) for one in found.workers] == [("v", (), 1), ("w", ("right",), 0)]
    assert found.cached == 1 and found.shared_bytes == 0


def test_the_work_of_all_that_had_to_agree_is_told() -> None:
    found = summarise(
        NODES,
        [SECOND.key],
        {RIGHT.key: (answer(RIGHT.key, "w"), answer(RIGHT.key, "v"))},
        cached=4,
        seconds=9,
        pushed_bytes=0,
    )
    assert [(one.worker, one.built, one.pushed_bytes) for one in found.workers] == [
        ("v", ("right",), 10),
        ("w", ("right",), 10),
    ]
    assert found.critical_seconds == SECONDS[RIGHT.key]


def test_nothing_was_done() -> None:
    found = summarise(NODES, [FIRST.key], {}, cached=5, seconds=0.1, pushed_bytes=0)
    assert found.workers == () and found.critical_path == () and found.critical_seconds == 0


def test_what_has_most_above_it_comes_first() -> None:
    found = priorities(NODES, lambda one: SECONDS[one.key])
    assert found[LOW.key] == 7.5 and found[RIGHT.key] == 4.5 and found[LEFT.key] == 1.5 and found[SECOND.key] == 0.25
    part = {key: one for key, one in NODES.items() if key != LOW.key}  # it is known
    assert priorities(part, lambda one: SECONDS[one.key])[RIGHT.key] == 4.5
