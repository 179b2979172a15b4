"""Last use: recorded once a day, for an object and what it refers to, never at the cost of anybody."""

from __future__ import annotations

import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest

from scripts.testing.trees import WHEN, add, run_in_child
from vstore.store import Store
from vstore.store.index.last_used import Use

TODAY = WHEN.date().isoformat()


def changes(store: Store) -> int:
    return int(store.database.rows("SELECT total_changes()")[0][0])


def test_a_use_is_of_the_object_and_all_it_refers_to_once_a_day(store: Store) -> None:
    low = add(store, "low")
    high, other = add(store, "high", references=[low]), add(store, "other")
    assert store.last_used.record(high, "app", now=WHEN)
    assert store.last_used.of(high) == store.last_used.of(low) == Use(TODAY, "app")
    assert store.last_used.of(other) is None
    before = changes(store)
    assert store.last_used.record(high, "another", now=WHEN + timedelta(hours=3))
    assert changes(store) == before and store.last_used.of(high) == Use(TODAY, "app")
    assert store.last_used.record(high, "another", now=WHEN + timedelta(days=1))
    assert changes(store) == before + 2 and store.last_used.of(low) == Use("2024-05-07", "another")
    assert store.last_used.record(low, "late", now=WHEN), "a clock that goes back loses nothing"
    assert store.last_used.of(low) == Use("2024-05-07", "another")


def test_a_busy_index_is_not_waited_for(store: Store) -> None:
    path = add(store, "low")
    other = sqlite3.connect(store.layout.index_file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    end = Timer(60, other.execute, ["ROLLBACK"])  # who waits would then record
    end.start()
    assert not store.last_used.record(path, "app")
    with Store.open(store.layout.root, read_only=True) as reader:
        assert not reader.last_used.record(path, "app")
    end.cancel()
    other.execute("ROLLBACK")
    other.close()
    assert store.last_used.record(path, "app")
    add(store, "more")


def test_a_reader_records_through_a_connection_of_its_own(store: Store) -> None:
    path = add(store, "low")
    with Store.open(store.layout.root, read_only=True) as reader:
        assert reader.last_used.record(path, "app", now=WHEN)
        assert reader.last_used.of(path) == Use(TODAY, "app")


def test_the_graph_tells_last_use_or_registration(store: Store) -> None:
    used, unused = add(store, "used"), add(store, "unused")
    store.last_used.record(used, "app", now=WHEN)
    graph = store.objects.graph()
    assert graph.paths == (used, unused)
    assert graph.used_on == (TODAY, graph.registered_at[1][:10]) and graph.used_by == ("app", "")


def test_a_new_index_waits_for_who_is_making_it(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from vstore.store import Store; Store.open(Path(sys.argv[1])).close()"
    root = tmp_path / "root"
    root.mkdir()
    with sqlite3.connect(root / "index.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        child = run_in_child(code, root)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(2)
        other.execute("ROLLBACK")
    other.close()
    child.communicate(timeout=60)
    assert child.returncode == 0
