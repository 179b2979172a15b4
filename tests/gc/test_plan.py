from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scripts.testing.trees import WHEN, info
from vstore.gc import CollectionPlan, CollectionPolicy, plan_victims
from vstore.gc.plan import ByteLimits, exclusive_objects
from vstore.graph import shortest_path
from vstore.objects import StorePath
from vstore.store import ObjectGraph


@st.composite
def graphs(draw: st.DrawFn) -> tuple[ObjectGraph, list[StorePath]]:
    """A graph in which each object refers to earlier ones, and some of its objects as roots."""
    size = draw(st.integers(0, 12))
    references = tuple(
        tuple(sorted(draw(st.sets(st.integers(0, number - 1), max_size=4)))) if number else () for number in range(size)
    )
    graph = make_graph(references, sizes=[draw(st.integers(0, 9)) for _ in range(size)])
    roots = draw(st.lists(st.sampled_from(graph.paths), max_size=4)) if size else []
    return graph, roots


def make_graph(references: Sequence[Sequence[int]], sizes: Sequence[int] | None = None) -> ObjectGraph:
    return ObjectGraph(
        names=tuple(str(info(f"n{number}").path) for number in range(len(references))),
        sizes=tuple(sizes or [1] * len(references)),
        registered_at=tuple((WHEN + timedelta(days=number)).isoformat() for number in range(len(references))),
        edges=tuple(map(tuple, references)),
        used_on=tuple((WHEN + timedelta(days=number)).date().isoformat() for number in range(len(references))),
        used_by=("",) * len(references),
        build_seconds=(None,) * len(references),
    )


def kept_by(graph: ObjectGraph, roots: Sequence[StorePath]) -> set[StorePath]:
    """Reachability said another way: a fixed point of sets."""
    kept = set(roots)
    while True:
        more = {graph.paths[low] for n, path in enumerate(graph.paths) if path in kept for low in graph.edges[n]} - kept
        if not more:
            return kept
        kept |= more


@given(graphs())
def test_dead_is_exactly_what_no_root_reaches(case: tuple[ObjectGraph, list[StorePath]]) -> None:
    graph, roots = case
    plan = plan_victims(graph, roots)
    assert set(plan.dead) == set(graph.paths) - kept_by(graph, roots)
    assert len(plan.dead) == len(set(plan.dead)) == len(graph.paths) - plan.live - plan.spared
    sizes = dict(zip(graph.paths, graph.sizes, strict=True))
    assert plan.freed_bytes == sum(sizes[path] for path in plan.dead)


@given(graphs(), st.none() | st.integers(0, 40), st.none() | st.integers(0, 12))
def test_any_plan_can_be_carried_out_and_spares_the_reachable(
    case: tuple[ObjectGraph, list[StorePath]], max_freed: int | None, days: int | None
) -> None:
    graph, roots = case
    before = WHEN + timedelta(days=days) if days is not None else None
    plan = plan_victims(graph, roots, CollectionPolicy(fresh_since=before), limit=max_freed)
    gone: set[StorePath] = set()
    referrers = {path: set[StorePath]() for path in graph.paths}
    for number, references in enumerate(graph.edges):
        for low in references:
            referrers[graph.paths[low]].add(graph.paths[number])
    for path in plan.dead:
        assert referrers[path] <= gone, "a referrer is still there"
        gone.add(path)
    assert not gone & kept_by(graph, roots)
    if max_freed is not None and plan.dead:
        last = graph.sizes[graph.paths.index(plan.dead[-1])]
        assert plan.freed_bytes - last < max_freed
    if days is not None:
        assert not gone & kept_by(graph, graph.paths[days:])


def test_stops_when_enough_is_freed_oldest_first() -> None:
    graph = make_graph([(), (), (), (1,)], sizes=[10, 10, 10, 1])
    assert [path.name for path in plan_victims(graph, []).dead] == ["n0", "n2", "n3", "n1"]
    assert [path.name for path in plan_victims(graph, [], limit=11).dead] == ["n0", "n2"]
    assert plan_victims(graph, [], limit=0).dead == ()
    assert [path.name for path in plan_victims(make_graph([(), (0,), (), ()]), []).dead] == ["n1", "n0", "n2", "n3"]


def test_what_was_registered_lately_stays_with_what_it_refers_to() -> None:
    graph = make_graph([(), (), (0,)])
    plan = plan_victims(graph, [], CollectionPolicy(fresh_since=WHEN + timedelta(days=2)))
    assert [path.name for path in plan.dead] == ["n1"]


def test_a_root_that_is_not_in_the_index_keeps_nothing() -> None:
    plan = plan_victims(make_graph([()]), [info("elsewhere").path])
    assert [path.name for path in plan.dead] == ["n0"]


@given(graphs())
def test_exclusive_bytes_are_what_taking_the_root_away_frees(case: tuple[ObjectGraph, list[StorePath]]) -> None:
    graph, roots = case
    all_kept = plan_victims(graph, roots).freed_bytes
    without = [plan_victims(graph, [*roots[:n], *roots[n + 1 :]]).freed_bytes for n in range(len(roots))]
    sizes = dict(zip(graph.names, graph.sizes, strict=True))
    exclusive = [sum(sizes[name] for name in names) for names in exclusive_objects(graph, roots)]
    assert exclusive == [freed - all_kept for freed in without]


def aged(
    references: Sequence[Sequence[int]], days: Sequence[int], sizes: Sequence[int], seconds: Sequence[int]
) -> ObjectGraph:
    graph = make_graph(references, sizes)
    used_on = tuple((WHEN + timedelta(days=day)).date().isoformat() for day in days)
    return replace(graph, used_on=used_on, build_seconds=tuple(map(float, seconds)))


def names(plan: CollectionPlan) -> list[str]:
    return [path.name for path in plan.dead]


def test_the_longest_unused_goes_first_then_what_gives_most_for_its_cost() -> None:
    graph = aged([(), (), (), ()], [3, 1, 2, 2], [1, 1, 10, 100], [0, 0, 1, 1000])
    assert names(plan_victims(graph, [])) == ["n1", "n2", "n3", "n0"]


def test_a_dependency_is_not_younger_for_a_dead_referrer() -> None:
    """The pair of an old layer and its lately used, dead referrer: the layer goes right after it, before others."""
    graph = aged([(), (0,), ()], [1, 8, 5], [1, 1, 1], [0, 0, 0])
    assert names(plan_victims(graph, [])) == ["n2", "n1", "n0"]
    graph = aged([(), (0,), ()], [1, 4, 5], [1, 1, 1], [0, 0, 0])
    assert names(plan_victims(graph, [], limit=2)) == ["n1", "n0"]


def test_what_was_used_lately_is_spared_with_all_it_refers_to() -> None:
    graph = aged([(), (0,), (), ()], [1, 8, 5, 9], [1, 1, 1, 1], [0, 0, 0, 0])
    plan = plan_victims(graph, [graph.paths[3]], CollectionPolicy(used_since=(WHEN + timedelta(days=8)).date()))
    assert names(plan) == ["n2"] and (plan.live, plan.spared) == (1, 2)


def test_goals_and_limits_combine() -> None:
    graph = aged([(), (), (), (), ()], [1, 2, 3, 4, 5], [10] * 5, [0] * 5)
    for policy, count in (
        (CollectionPolicy(max_size=50), 0),
        (CollectionPolicy(max_size=49), 1),
        (CollectionPolicy(max_size=0), 5),
        (CollectionPolicy(until_free=125), 3),
        (CollectionPolicy(max_size=40, until_free=125), 3),
        (CollectionPolicy(max_size=0, until_free=125, max_freed=11), 2),
        (CollectionPolicy(max_size=0, fresh_since=WHEN + timedelta(days=3)), 3),
        (CollectionPolicy(until_free=100), 0),
    ):
        limit = ByteLimits.of(policy, used_bytes=50, free_bytes=100).least
        assert len(plan_victims(graph, [], policy, limit=limit).dead) == count, policy


def test_what_was_freed_before_counts() -> None:
    assert ByteLimits.of(CollectionPolicy(max_freed=10), freed_bytes=4) == ByteLimits(cap=6)
    assert ByteLimits.of(CollectionPolicy(max_freed=10), freed_bytes=40).least == 0
    assert ByteLimits.of(CollectionPolicy(), freed_bytes=40).least is None
    assert ByteLimits(goal=5, cap=9).after(7) == ByteLimits(goal=0, cap=2)


class Given:
    """Objects whose bytes are partly shared: (its own, those that become free after all before it)."""

    def __init__(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        self.asked: list[str] = []
        self._sizes = {str(info(name).path): pair for name, pair in sizes.items()}

    def own_bytes(self, name: str) -> int:
        self.asked.append(name[33:])
        return self._sizes[name][0]

    def take(self, name: str) -> int:
        return self._sizes[name][1]


def test_a_goal_is_reached_by_bytes_that_become_free() -> None:
    graph = aged([(), (), (), ()], [1, 1, 1, 2], [1000, 10, 10, 10], [0] * 4)
    sizes = Given({"n0": (0, 0), "n1": (5, 5), "n2": (9, 9), "n3": (9, 9)})
    assert names(plan_victims(graph, [], limit=9, sizes=sizes)) == ["n2"], "n0 is large, and shares it all with others"
    assert sorted(sizes.asked) == ["n0", "n1", "n2"], "nobody looks at files of objects whose day has not come"
    plan = plan_victims(graph, [], limit=20, sizes=sizes)
    assert (names(plan), plan.freed_bytes) == (["n2", "n1", "n0", "n3"], 23)


@given(graphs(), st.integers(0, 12), st.integers(0, 60))
def test_spared_and_goals_hold_for_any_graph(case: tuple[ObjectGraph, list[StorePath]], day: int, ceiling: int) -> None:
    graph, roots = case
    since = (WHEN + timedelta(days=day)).date()
    policy = CollectionPolicy(used_since=since, max_size=ceiling)
    limit = ByteLimits.of(policy, used_bytes=sum(graph.sizes)).least
    plan = plan_victims(graph, roots, policy, limit=limit)
    assert not set(plan.dead) & kept_by(graph, [*roots, *graph.paths[day:]])
    left = sum(graph.sizes) - plan.freed_bytes
    everything = plan_victims(graph, roots, CollectionPolicy(used_since=since))
    assert left <= ceiling or plan.dead == everything.dead


@given(graphs(), st.data())
def test_a_chain_is_a_shortest_path(case: tuple[ObjectGraph, list[StorePath]], data: st.DataObject) -> None:
    graph, _ = case
    if not graph.paths:
        return
    start, end = data.draw(st.sampled_from(graph.paths)), data.draw(st.sampled_from(graph.paths))
    below = {path: [graph.paths[low] for low in lows] for path, lows in zip(graph.paths, graph.edges, strict=True)}
    found = shortest_path(start, end, below.__getitem__)
    assert bool(found) == (end in kept_by(graph, [start]))
    for high, low in pairwise(found):
        assert graph.paths.index(low) in graph.edges[graph.paths.index(high)]
    reached, steps = {start}, 0
    while found and end not in reached:
        reached |= {graph.paths[low] for path in reached for low in graph.edges[graph.paths.index(path)]}
        steps += 1
    assert len(found) == (steps + 1 if found else 0)
