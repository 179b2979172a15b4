"""What is promised after anything at all, checked on a store that nobody uses any more."""

from __future__ import annotations

import os
from pathlib import Path

from vstore import profile as profiles
from vstore.gc import collect_garbage, plan_collection
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.generation_records import recorded_generations
from vstore.store.health.verify import verify


def check_intact(root: Path) -> None:
    """Before any repair: every row has its whole content, and every profile is complete."""
    if not (root / "index.sqlite").exists():  # it died before there was a store, or while reindexing
        return
    with Store.open(root) as store:
        _, problems = verify(store, contents=True, reporter=NullReporter())
        assert problems == [], problems
        check_profiles(store)


def check_profiles(store: Store) -> None:
    """A profile that is there leads to a generation of its own, and that to a registered object."""
    for name in profiles.names(store):
        link = store.layout.profiles / name
        if not os.path.lexists(link):
            continue  # it died before its first switch
        now_current = profiles.current(store, name)
        assert now_current is not None, f"{name} leads to {os.readlink(link)}, which is no generation"
        assert store.is_valid(now_current.path)
        assert link.resolve() == store.layout.object(now_current.path).resolve(), "the link and the index disagree"


def check_cache(cache: Path) -> None:
    """Whatever leads to an unpacked wheel leads to one that is there: uv does not ask."""
    for bucket in cache.glob("wheels-*"):
        for place in bucket.rglob("*"):
            if place.is_symlink():
                assert place.exists(), f"{place} leads nowhere"
            elif place.suffix == ".rev":
                assert any(name.encode() in place.read_bytes() for name in os.listdir(cache / "archive-v0")), place


def check_nothing_left(root: Path) -> None:
    """A dry run names what the next collection takes; that leaves nothing that killed processes made."""
    with Store.open(root) as store:
        plan = plan_collection(store)
        done = collect_garbage(store, reporter=NullReporter())
        assert (done.deleted, done.orphans) == (plan.dead, plan.orphans)
        rows = {str(info.path) for info in store.objects.all()}
        layout = store.layout
        check_cache(layout.uv_cache)
        assert _names(layout.store) == rows
        assert _names(layout.manifests) == rows
        assert _names(layout.tmp) == {"trash"}
        assert _names(layout.trash) == set()
        assert _names(layout.temp_roots) == set()
        expected = set(profiles.names(store))
        for name in profiles.names(store):
            numbers = {one.number for one in profiles.history(store, name)}
            expected |= {f"{name}-{number}-link" for number in numbers}
            expected |= {f".{name}-{number}.json" for number in numbers}
        for name, number in recorded_generations(layout):
            if number == store.generations.last_number(name):  # it stays, so that no number is used twice
                expected.add(f".{name}-{number}.json")
        assert _names(layout.profiles) <= expected, _names(layout.profiles) - expected
        assert not [name for name in _names(layout.gcroots) if name.startswith(".")]


def _names(folder: Path) -> set[str]:
    return set(os.listdir(folder))
