"""Several processes on one store, some of them killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.testing.trees import add, recipe, run_in_child
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.health.verify import verify

ADD = """
import sys; from pathlib import Path
from vstore.store import Store; from scripts.testing.trees import add, recipe
with Store.open(Path(sys.argv[1])) as store:
    print(add(store, "low", {"a": b"low"}, recipe=recipe("low")), flush=True)
"""


@contextmanager
def held_index(store: Store) -> Iterator[None]:
    """The index locked for writing: whoever adds an object gets as far as its row, and waits there."""
    with sqlite3.connect(store.layout.index_file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


def wait_for_an_object(store: Store) -> Path:
    deadline = time.monotonic() + 30
    while not (found := list(store.layout.store.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found[0]


def test_killed_between_moving_in_and_registering(store: Store) -> None:
    with held_index(store):
        child = run_in_child(ADD, store.layout.root)
        litter = wait_for_an_object(store)
        child.kill()
        assert child.communicate()[0] == ""
    assert (litter / "a").read_bytes() == b"low"
    assert verify(store, contents=True, reporter=NullReporter()) == (0, [])
    assert str(add(store, "low", recipe=recipe("low"))) == litter.name
    assert verify(store, contents=True, reporter=NullReporter()) == (1, [])


REALISE = """
import sys, time; from pathlib import Path
from vstore.store import Store; from scripts.testing.trees import add, recipe
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True); sys.stdin.readline()
    with store.recipe_lock(recipe("low")):
        if store.realisation(recipe("low")):
            print("present")
        else:
            time.sleep(0.4)
            add(store, "low", recipe=recipe("low"))
            print("built")
"""


def test_two_processes_realise_a_recipe_once(store: Store) -> None:
    children = [run_in_child(REALISE, store.layout.root) for _ in range(2)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert sorted(child.communicate(timeout=60)[0] for child in children) == ["built\n", "present\n"]
    assert len(store.objects.all()) == 1


def test_processes_add_the_same_object_at_once(store: Store) -> None:
    with held_index(store):
        children = [run_in_child(ADD, store.layout.root) for _ in range(3)]
        first = wait_for_an_object(store).stat().st_ino
        deadline = time.monotonic() + 30
        while len(list(store.layout.temp_roots.iterdir())) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
    said = {child.communicate(timeout=60)[0] for child in children}
    (info,) = store.objects.all()
    assert said == {f"{info.path}\n"}
    assert store.layout.object(info.path).stat().st_ino == first and list(store.layout.trash.iterdir()) == []
