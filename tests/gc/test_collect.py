from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.testing.trees import WHEN, add, info, run_in_child
from vstore import profile as profiles
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.scan import scan
from vstore.gc import CollectionPolicy, collect_garbage, exclusive_sizes, plan_collection, shortfall
from vstore.objects import StorePath
from vstore.reporter import NullReporter
from vstore.store import Generation, Root, RootKind, Store, add_root, list_roots, remove_root
from vstore.store.health.optimise import optimise
from vstore.store.health.verify import verify


def on_disk(store: Store) -> set[str]:
    return {place.name for place in store.layout.store.iterdir()}


def reopened(store: Store) -> Store:
    """The store without the temp roots of what the test itself made."""
    store.close()
    return Store.open(store.layout.root)


def generation(store: Store, path: StorePath, profile: str = "p") -> int:
    made = profiles.append(store, profile, path, spec_path=None, spec_digest=None, now=WHEN)
    assert made is not None
    return made.number


def test_only_what_no_root_reaches_goes(store: Store) -> None:
    low = add(store, "low")
    kept, gone = add(store, "kept", references=[low]), add(store, "gone", references=[low])
    add_root(store.layout, store.layout.gcroots / "mine", kept)
    with reopened(store) as store:
        plan = plan_collection(store)
        done = collect_garbage(store, reporter=NullReporter())
        assert plan.dead == done.deleted == (gone,)
        assert plan.freed_bytes == done.freed_bytes > 0
        assert on_disk(store) == {str(low), str(kept)}
        assert {place.name for place in store.layout.manifests.iterdir()} == {str(low), str(kept)}
        assert list(store.layout.trash.iterdir()) == []
        assert verify(store, contents=True, reporter=NullReporter()) == (2, [])
        assert collect_garbage(store, reporter=NullReporter()).deleted == ()


def test_an_older_generation_keeps_its_stack_until_it_is_forgotten(store: Store) -> None:
    first, second = add(store, "first"), add(store, "second")
    generation(store, first)
    generation(store, second)
    with reopened(store) as store:
        assert plan_collection(store).dead == ()
        assert plan_collection(store, without=[("p", 1)]).dead == (first,)
        profiles.forget(store, "p", [1])
        assert collect_garbage(store, reporter=NullReporter()).deleted == (first,)


def test_a_living_process_keeps_what_it_named(store: Store) -> None:
    path = add(store, "low")
    assert plan_collection(store).dead == collect_garbage(store, reporter=NullReporter()).deleted == ()
    with reopened(store) as store:
        assert collect_garbage(store, reporter=NullReporter()).deleted == (path,)


def test_only_a_collector_clears_the_temp_roots_of_ended_processes(store: Store) -> None:
    stale = store.layout.temp_roots / "1-00000000"
    stale.write_text(str(add(store, "low")))
    with reopened(store) as store:
        assert len(plan_collection(store).dead) == 1
        assert stale.exists()
        assert len(collect_garbage(store, reporter=NullReporter()).deleted) == 1
        assert not stale.exists()


def test_a_process_using_it_keeps_it(store: Store) -> None:
    path = add(store, "low")
    with reopened(store) as store:
        child = run_in_child("import sys; print(flush=True); sys.stdin.readline()", store.layout.object(path) / "a")
        assert child.stdout is not None
        child.stdout.readline()
        assert collect_garbage(store, reporter=NullReporter()).deleted == ()
        child.communicate("\n", timeout=30)
        assert collect_garbage(store, reporter=NullReporter()).deleted == (path,)


def test_a_generation_whose_link_was_removed_by_hand_is_kept(store: Store) -> None:
    first = add(store, "first")
    generation(store, first)
    generation(store, add(store, "second"))
    (store.layout.profiles / "p-1-link").unlink()
    with reopened(store) as store:
        assert plan_collection(store).dead == collect_garbage(store, reporter=NullReporter()).deleted == ()
        assert profiles.switch(store, "p", 1).path == first
        assert (store.layout.profiles / "p" / "a").read_bytes() == b"first"


def test_max_freed_leaves_the_rest_for_later(store: Store) -> None:
    paths = [add(store, f"n{number}") for number in range(5)]
    limit = exclusive_sizes(store, [Root(kind=RootKind.USER, name="r", path=paths[0])])["r"] + 1
    with reopened(store) as store:
        plan = plan_collection(store, CollectionPolicy(max_freed=limit))
        assert (
            plan.dead
            == collect_garbage(store, CollectionPolicy(max_freed=limit), reporter=NullReporter()).deleted
            == tuple(paths[:2])
        )
        assert [info.path for info in store.objects.all()] == sorted(paths[2:])
        assert verify(store, contents=True, reporter=NullReporter()) == (3, [])


def test_shortfall_is_zero_where_enough_is_free(store: Store) -> None:
    assert shortfall(store, 1) == 0
    assert shortfall(store, 1 << 60) > 1 << 59


def test_exclusive_sizes_by_root(store: Store) -> None:
    low = add(store, "low", {"a": b"x" * 1_000_000})
    dead = add(store, "dead", {"a": b"y" * 2_000_000})
    for name in ("one", "two"):
        path = add(store, name, {"b": b"y" * 2_000_000, "c": name.encode()}, references=[low])
        add_root(store.layout, store.layout.gcroots / name, path)
    optimise(store, reporter=NullReporter())
    with reopened(store) as store:
        before = exclusive_sizes(store, list_roots(store.layout))
        assert 0 < before["gcroots/one"] == before["gcroots/two"] < 100_000
        remove_root(store.layout, store.layout.gcroots / "one")
        first = plan_collection(store).freed_bytes
        (size,) = exclusive_sizes(store, list_roots(store.layout)).values()
        assert size > 3_000_000, "what only dead objects share is freed with it"
        remove_root(store.layout, store.layout.gcroots / "two")
        assert dead in plan_collection(store).dead
        assert collect_garbage(store, reporter=NullReporter()).freed_bytes == first + size


def leftover(store: Store, kind: str, outside: Path) -> str:
    """Make one of each thing that a killed process may leave; returns its place relative to the root."""
    layout, path = store.layout, info("dead").path
    match kind:
        case "object":
            (layout.object(path) / "deep").mkdir(parents=True)
            (layout.object(path) / "deep" / "a").write_text("x")
            scan(layout.object(path), freeze=True)
            return f"store/{path}"
        case "manifest":
            layout.manifest(path).write_bytes(b"x")
            return f"manifests/{path}"
        case "manifest being written":
            (layout.manifests / f".{path}.0123abcd").write_bytes(b"x")
            return f"manifests/.{path}.0123abcd"
        case "manifest being written of what is there":
            kept = next((place.name for place in layout.manifests.glob("[!.]*-kept")), str(path))
            (layout.manifests / f".{kept}.89abcdef").write_bytes(b"x")
            return f"manifests/.{kept}.89abcdef"
        case "build":
            (layout.tmp / "low-1234").mkdir()
            (layout.tmp / "low-1234" / "link").symlink_to(outside)
            return "tmp/low-1234"
        case "root being made":
            link = layout.gcroots / ".mine.0123abcd"
            link.symlink_to(f"../store/{path}")
            os.utime(link, (1, 1), follow_symlinks=False)
            return "gcroots/.mine.0123abcd"
        case "lock of a build":
            (layout.tmp / "low-1234.lock").touch()
            return "tmp/low-1234.lock"
        case "trash":
            (layout.trash / "old").mkdir()
            return "tmp/trash/old"
        case "link in store":
            (layout.store / "odd").symlink_to(outside)
            return "store/odd"
        case "long name":
            (layout.store / ("é" * 127)).touch()
            return "store/" + "é" * 127
        case "generation without a row":
            (layout.profiles / "p-2-link").symlink_to(f"../store/{path}")
            return "profiles/p-2-link"
        case "generation being written":
            (layout.profiles / ".p-2-link.0123abcd").symlink_to(f"../store/{path}")
            return "profiles/.p-2-link.0123abcd"
    raise AssertionError(kind)


LEFTOVERS = (
    "object",
    "manifest",
    "manifest being written",
    "manifest being written of what is there",
    "root being made",
    "build",
    "lock of a build",
    "trash",
    "link in store",
    "long name",
    "generation without a row",
    "generation being written",
)


@pytest.mark.parametrize("kind", LEFTOVERS)
def test_leftovers_of_killed_processes_go(store: Store, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    outside.chmod(0o555)
    kept = add(store, "kept")
    generation(store, kept)
    place = leftover(store, kind, outside)
    assert plan_collection(store).orphans == collect_garbage(store, reporter=NullReporter()).orphans == (place,)
    assert not os.path.lexists(store.layout.root / place)
    assert plan_collection(store).orphans == ()
    assert (outside / "mine").exists()
    assert outside.stat().st_mode & 0o777 == 0o555
    assert on_disk(store) == {str(kept)}
    assert (store.layout.profiles / "p" / "a").read_bytes() == b"kept"
    assert list(store.layout.trash.iterdir()) == []


def test_what_a_living_process_makes_is_no_litter(store: Store) -> None:
    path = info("coming").path
    store.add_temp_root(path)
    store.layout.object(path).mkdir()
    (store.layout.manifests / f".{path}.0123abcd").touch()
    locks = (store.layout.locks.object(str(path)), store.layout.locks.profile("p"))
    with store.staging("low") as build, lock_file(locks[0]), lock_file(locks[1]):
        (store.layout.profiles / "p-1-link").symlink_to(f"../store/{path}")
        assert plan_collection(store).orphans == collect_garbage(store, reporter=NullReporter()).orphans == ()
        assert build.is_dir()
    assert store.layout.object(path).is_dir()


def test_an_orphaned_generation_does_not_keep_its_stack(store: Store) -> None:
    first, second = add(store, "first"), add(store, "second")
    generation(store, first)
    (store.layout.profiles / "p-2-link").symlink_to(f"../store/{second}")
    with reopened(store) as store:
        assert plan_collection(store).dead == collect_garbage(store, reporter=NullReporter()).deleted == (second,)
        assert generation(store, add(store, "third")) == 2


def test_a_generation_of_unknown_past_is_kept(store: Store) -> None:
    """A link whose number the index has given before is a root, whatever became of its row."""
    path = add(store, "first")
    for name in ("second", "third"):
        generation(store, add(store, name))
    store.generations.drop("p", [1])
    (store.layout.profiles / "p-1-link").unlink()
    (store.layout.profiles / "p-1-link").symlink_to(f"../store/{path}")
    with reopened(store) as store:
        assert path not in plan_collection(store).dead
        assert path not in collect_garbage(store, reporter=NullReporter()).deleted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.tuples(st.sets(st.integers(0, 7), max_size=3), st.sampled_from("-gu")), min_size=1, max_size=8),
    orphans=st.sets(st.sampled_from(LEFTOVERS)),
    max_freed=st.none() | st.integers(0, 20),
    forgotten=st.sets(st.integers(1, 6)),
)
def test_the_dry_run_names_exactly_what_goes(
    tmp_path_factory: pytest.TempPathFactory,
    shape: list[tuple[set[int], str]],
    orphans: set[str],
    max_freed: int | None,
    forgotten: set[int],
) -> None:
    root = tmp_path_factory.mktemp("root")
    roots: list[StorePath] = []
    with Store.open(root) as store:
        paths: list[StorePath] = []
        for number, (references, kind) in enumerate(shape):
            paths.append(add(store, f"n{number}", references=[paths[low] for low in references if low < number]))
            if kind == "g":
                roots.append(paths[-1])
                generation(store, paths[-1])
            elif kind == "u":
                roots.append(paths[-1])
                add_root(store.layout, store.layout.gcroots / f"r{number}", paths[-1])
        for left in sorted(orphans):
            if "generation" not in left:
                leftover(store, left, root)
    with Store.open(root) as store:
        history = profiles.history(store, "p") if "p" in profiles.names(store) else []
        gone = [one for one in history if one.number in forgotten and not one.current]
        policy = CollectionPolicy(max_freed=max_freed)
        plan = plan_collection(store, policy, without=[("p", one.number) for one in gone])
        before = on_disk(store)
        with suppress(IndexError):
            profiles.forget(store, gone[0].profile, [one.number for one in gone])
        reached = store.objects.closure(path for path in roots if path not in {one.path for one in gone})
        done = collect_garbage(store, policy, reporter=NullReporter())
        assert (done.deleted, done.freed_bytes, done.orphans) == (plan.dead, plan.freed_bytes, plan.orphans)
        assert not reached & set(done.deleted)
        removed = {str(path) for path in done.deleted} | {place.partition("store/")[2] for place in done.orphans} - {""}
        assert before - on_disk(store) == removed
        assert verify(store, contents=True, reporter=NullReporter())[1] == []


def test_the_index_refuses_to_forget_what_a_generation_needs(store: Store) -> None:
    """Two locks on one door: were the roots misread, the schema would still say no."""
    path = add(store, "low")
    store.generations.add(
        Generation(
            profile="p", number=1, path=path, created_at=WHEN, spec_path=None, spec_digest=None, replaced_number=None
        )
    )
    with reopened(store) as store:
        assert collect_garbage(store, reporter=NullReporter()).deleted == ()
        assert store.is_valid(path)


APPEND = """
import sys; from datetime import UTC, datetime; from pathlib import Path
from vstore import profile; from vstore.store import Store; from scripts.testing.trees import add
for number in range(int(sys.argv[3])):
    with Store.open(Path(sys.argv[1])) as store:
        low = add(store, "low")
        top = add(store, sys.argv[2], {"a": str(number).encode()}, [low])
        profile.append(store, sys.argv[2], top, spec_path=None, spec_digest=None, now=datetime.now(UTC))
"""


def test_collecting_while_others_make_generations(store: Store) -> None:
    children = [run_in_child(APPEND, store.layout.root, name, 25) for name in ("p", "q")]
    rounds = 0
    while any(child.poll() is None for child in children):
        for name in profiles.names(store):
            old = [one.number for one in profiles.history(store, name)][:-2]
            profiles.forget(store, name, old)
        collect_garbage(store, reporter=NullReporter())
        rounds += 1
    assert [child.communicate()[0] for child in children] == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    assert rounds > 3
    for name in ("p", "q"):
        assert (store.layout.profiles / name / "a").read_bytes() == b"24"
        assert (store.layout.profiles / name / "to-low").read_bytes() == b"low"
    collect_garbage(store, reporter=NullReporter())
    assert verify(store, contents=True, reporter=NullReporter())[1] == []
    assert on_disk(store) == {str(info.path) for info in store.objects.all()}


COLLECT = """
import sys; from pathlib import Path
from vstore.gc import collect_garbage; from vstore.reporter import NullReporter; from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    collect_garbage(store, reporter=NullReporter())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_killed_while_collecting(store: Store) -> None:
    checked = 0
    for delay in range(6):
        for number in range(10):
            add(store, f"n{number}", {f"f{file}": b"%d" % delay for file in range(40)})
        present = checked + 10
        store = reopened(store)
        child = run_in_child(COLLECT, store.layout.root)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay * 0.002)
        child.kill()
        child.communicate()
        checked, problems = verify(store, contents=True, reporter=NullReporter())
        assert problems == []
        assert checked in (0, present), "rows go all at once"
    collect_garbage(store, reporter=NullReporter())
    assert on_disk(store) == set()
    assert list(store.layout.manifests.iterdir()) == list(store.layout.trash.iterdir()) == []
    store.close()


def test_a_profile_that_an_older_index_does_not_know_is_kept(store: Store) -> None:
    path = add(store, "first")
    generation(store, path)
    store.generations.drop("p", [1])
    with reopened(store) as store:
        assert collect_garbage(store, reporter=NullReporter()).orphans == ()
        assert (store.layout.profiles / "p").resolve() == store.layout.object(path).resolve()
        assert store.layout.object(path).is_dir()
