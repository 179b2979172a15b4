"""Deleting by name: what is alive is refused, with the root that keeps it and the chain from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.trees import WHEN, add, run_in_child
from vstore import profile as profiles
from vstore.errors import StoreError
from vstore.gc import delete, plan_deletion
from vstore.objects import StorePath
from vstore.reporter import NullReporter
from vstore.store import Store, add_root
from vstore.store.health.verify import verify


def reopened(store: Store) -> Store:
    store.close()
    return Store.open(store.layout.root)


def on_disk(store: Store) -> set[str]:
    return {place.name for place in store.layout.store.iterdir()}


def refused(store: Store, *paths: StorePath) -> StoreError:
    with pytest.raises(StoreError) as caught:
        delete(store, paths, reporter=NullReporter())
    assert all(store.layout.object(path).is_dir() for path in paths)
    return caught.value


def test_a_dead_object_goes_alone(store: Store) -> None:
    low = add(store, "low")
    high, other = add(store, "high", references=[low]), add(store, "other")
    with reopened(store) as store:
        assert plan_deletion(store, [high]).dead == delete(store, [high], reporter=NullReporter()).deleted == (high,)
        assert on_disk(store) == {str(low), str(other)}
        assert verify(store, contents=True, reporter=NullReporter()) == (2, [])
        assert list(store.layout.trash.iterdir()) == []


def test_alive_through_a_generation_names_it_and_the_chain(store: Store) -> None:
    low = add(store, "low")
    mid = add(store, "mid", references=[low])
    for name in ("one", "two"):
        top = add(store, name, references=[mid])
        profiles.append(store, "p", top, spec_path=None, spec_digest=None, now=WHEN)
        if name == "one":
            one = top
    with reopened(store) as store:
        error = refused(store, low)
        assert error.message == f"not deleted, because a root keeps it alive: {low}"
        first = f"profile profiles/p-1-link\n  -> {one}\n    -> {mid}\n      -> {low}"
        assert "\n".join(error.details[:4]) == first
        assert error.details[4] == "and 1 other roots: profiles/p-2-link"
        assert error.hint == "run `vstore forget p 1`"
        profiles.forget(store, "p", [1])
        error = refused(store, mid)
        assert error.hint == "it belongs to the current generation: switch p to another one first"


def test_alive_through_a_pin_names_it(store: Store, tmp_path: Path) -> None:
    direct, outside = add(store, "direct"), add(store, "outside")
    add_root(store.layout, store.layout.gcroots / "mine", direct)
    link = tmp_path / "result"
    link.symlink_to(store.layout.object(outside))
    add_root(store.layout, link, outside)
    with reopened(store) as store:
        error = refused(store, direct)
        assert error.details[0] == "user gcroots/mine" and error.hint == "run `vstore roots remove mine`"
        assert refused(store, outside).hint == f"run `vstore roots remove {link}`"


def test_alive_through_a_process_names_it(store: Store) -> None:
    path = add(store, "low")
    assert "of vstore is using it" in str(refused(store, path).hint)
    with reopened(store) as store:
        child = run_in_child("import sys; print(flush=True); sys.stdin.readline()", store.layout.object(path) / "a")
        assert child.stdout is not None
        child.stdout.readline()
        error = refused(store, path)
        assert error.details[0] == f"process {child.pid}" and f"process {child.pid}" in str(error.hint)
        child.communicate("\n", timeout=30)
        assert delete(store, [path], reporter=NullReporter()).deleted == (path,)


def test_dead_referrers_are_named_and_go_only_when_asked(store: Store) -> None:
    low = add(store, "low")
    high = add(store, "high", references=[low])
    with reopened(store) as store:
        error = refused(store, low)
        assert error.details == (str(high),) and "--referrers" in str(error.hint)
        assert delete(store, [low], referrers=True, reporter=NullReporter()).deleted == (high, low)
        assert on_disk(store) == set()


def test_recursive_spares_what_is_rooted_or_referred_to_from_outside(store: Store) -> None:
    shared, rooted, own = add(store, "shared"), add(store, "rooted"), add(store, "own")
    below = add(store, "below", references=[own])
    top = add(store, "top", references=[shared, rooted, below])
    outside, unrelated = add(store, "outside", references=[shared]), add(store, "unrelated")
    add_root(store.layout, store.layout.gcroots / "mine", rooted)
    with reopened(store) as store:
        planned = plan_deletion(store, [top], recursive=True)
        assert planned.dead == delete(store, [top], recursive=True, reporter=NullReporter()).deleted
        assert set(planned.dead) == {top, below, own}
        assert on_disk(store) == {str(path) for path in (shared, rooted, outside, unrelated)}
        assert verify(store, contents=True, reporter=NullReporter()) == (4, [])
