"""Several processes on one store, some of them killed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tests.store.trees import add, recipe, run_in_child
from vstore.report import Silent
from vstore.store import Store, verify

ADD = """
import sys; from pathlib import Path
from vstore.store import Store; from tests.store.trees import add, recipe
with Store.open(Path(sys.argv[1])) as store:
    print(add(store, "low", {"a": b"low"}, recipe=recipe("low")), flush=True)
"""


def test_killed_between_moving_in_and_registering(store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(store.layout.index_file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # the child gets as far as its row, and waits there
        child = run_in_child(ADD, store.layout.root)
        deadline = time.monotonic() + 30
        while not any(store.layout.store.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
        assert child.communicate()[0] == ""
        other.execute("ROLLBACK")
    other.close()
    (litter,) = store.layout.store.iterdir()
    assert (litter / "a").read_bytes() == b"low"
    assert verify(store, contents=True, report=Silent()) == (0, [])
    assert str(add(store, "low", recipe=recipe("low"))) == litter.name
    assert verify(store, contents=True, report=Silent()) == (1, [])


REALISE = """
import sys, time; from pathlib import Path
from vstore.store import Store; from tests.store.trees import add, recipe
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
    assert len(store.index.objects()) == 1


def test_processes_add_the_same_object_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    Store.open(root).close()
    children = [run_in_child(ADD, root) for _ in range(4)]
    said = {child.communicate(timeout=60)[0] for child in children}
    with Store.open(root) as store:
        assert said == {f"{info.path}\n" for info in store.index.objects()} and len(said) == 1
        assert verify(store, contents=True, report=Silent()) == (1, [])
        assert list(store.layout.trash.iterdir()) == []
