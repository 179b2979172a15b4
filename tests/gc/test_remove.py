"""What comes alive, or fills up, while a collection is under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.testing.trees import add, info, recipe, run_in_child
from tests.mounts import bind_mount, tmpfs
from vstore.fs.locking.filelock import lock_file
from vstore.gc import collect_garbage, plan_collection
from vstore.gc.plan import plan_victims
from vstore.gc.remove import Removal, current_roots
from vstore.reporter import NullReporter
from vstore.store import Store, add_root
from vstore.store.build_logs import read_log, write_log
from vstore.store.health.verify import verify


def reopened(store: Store) -> Store:
    store.close()
    return Store.open(store.layout.root)


def started(store: Store) -> tuple[Removal, list[str]]:
    """A removal whose plan is made and not yet carried out, and the names it wants to remove."""
    roots, graph = current_roots(store), store.objects.graph()
    return Removal(store, graph, roots), [path.name for path in plan_victims(graph, roots).dead]


def removed(store: Store, removal: Removal) -> list[str]:
    victims = plan_victims(store.objects.graph(), []).victims
    gone = [victim.path.name for victim in removal.remove(victims)]
    assert verify(store, contents=True, reporter=NullReporter())[1] == []
    return gone


def test_a_root_made_after_the_plan_keeps_all_it_reaches(store: Store) -> None:
    low = add(store, "low")
    high = add(store, "high", references=[low])
    add(store, "other")
    with reopened(store) as store:
        removal, planned = started(store)
        assert set(planned) == {"low", "high", "other"}
        add_root(store.layout, store.layout.gcroots / "late", high)
        assert removed(store, removal) == ["other"]


def test_an_object_made_after_the_plan_keeps_what_it_refers_to(store: Store) -> None:
    """Rooted or not: the schema would refuse the whole batch for its sake."""
    low = add(store, "low")
    add(store, "other")
    with reopened(store) as store:
        removal, planned = started(store)
        assert set(planned) == {"low", "other"}
        store.objects.register(info("late", [low]))
        victims = plan_victims(store.objects.graph(), []).victims
        gone = removal.remove([victim for victim in victims if victim.path.name in planned])
        assert [victim.path.name for victim in gone] == ["other"]
        assert store.is_valid(low)


def test_what_a_process_names_after_the_plan_stays(store: Store) -> None:
    low = add(store, "low")
    with reopened(store) as store:
        removal, planned = started(store)
        assert planned == ["low"]
        store.add_temp_root(low)
        assert store.is_valid(low)
        assert removed(store, removal) == []


# what piles up


def test_logs_locks_and_failed_builds_go(store: Store) -> None:
    layout, old = store.layout, (datetime.now(UTC) - timedelta(days=30)).timestamp()
    dead, live = add(store, "dead", recipe=recipe("dead")), add(store, "live", recipe=recipe("live"))
    for name in ("dead", "live", "lost", "fresh"):
        write_log(store.layout, recipe(name), [name])
    add_root(layout, layout.gcroots / "mine", live)
    os.utime(layout.log(recipe("lost")), (old, old))
    (layout.locks.folder / "recipe-stale").touch()
    for name in ("old", "new"):
        (layout.failed / name / "deep").mkdir(parents=True)
    os.utime(layout.failed / "old", (old, old))
    with reopened(store) as store, store.recipe_lock(recipe("busy")):
        plan = plan_collection(store)
        assert set(plan.orphans) == {f"logs/{layout.log(recipe('lost')).name}", "locks/recipe-stale", "failed/old"}
        done = collect_garbage(store, reporter=NullReporter())
        assert done.orphans == plan.orphans and done.deleted == (dead,)
        assert read_log(store.layout, recipe("dead")) is None and read_log(store.layout, recipe("live")) == "live"
        assert read_log(store.layout, recipe("fresh")) == "fresh", "its row may be a moment away"
        assert [place.name for place in layout.failed.iterdir()] == ["new"]
        assert [place.name for place in layout.locks.folder.glob("recipe-*")] == [f"recipe-{recipe('busy').short}"]
    assert list(layout.locks.folder.glob("recipe-*")) == []


COUNT = """
import sys; from pathlib import Path; from vstore.fs.locking.filelock import lock_file
place = Path(sys.argv[1])
for _ in range(300):
    with lock_file(place / "lock", transient=True):
        number = int((place / "count").read_text())
        (place / "count").write_text(str(number + 1))
"""


def test_a_lock_whose_file_goes_still_excludes(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    children = [run_in_child(COUNT, tmp_path) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert (tmp_path / "count").read_text() == "1200"
    assert not (tmp_path / "lock").exists()
    with lock_file(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").exists()


# a full disk


@pytest.fixture
def small_disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "small", 192 << 20) as place:
        yield place


def fill(place: Path) -> None:
    with place.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def vstore(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vstore", "--root", str(root), "--no-progress", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_collection_runs_on_a_full_disk(small_disk: Path) -> None:
    root = small_disk / "root"
    with Store.open(root) as store:
        for number in range(300):
            add(store, f"n{number}", {f"f{file}": b"%d" % number for file in range(5)})
    assert (root / "emergency-space").stat().st_blocks * 512 >= 8 << 20
    fill(small_disk / "filler")
    full = vstore(root, "roots", "add", "n1")
    assert full.returncode == 6 and "no space left" in full.stderr and "hint: " in full.stderr
    done = vstore(root, "gc")
    assert done.returncode == 0, done.stderr
    assert "deleted 300 objects" in done.stdout
    assert list((root / "store").iterdir()) == []
    assert not (root / "emergency-space").exists(), "still full"
    (small_disk / "filler").unlink()
    assert vstore(root, "gc").returncode == 0
    assert (root / "emergency-space").exists()
    assert vstore(root, "verify").returncode == 0


def test_an_interruption_does_not_wait_for_a_large_object(store: Store) -> None:
    add(store, "large", {f"d{number % 7}/f{number}": b"" for number in range(20_000)})
    root = store.layout.root
    store.close()
    interrupted_at("gc-unlinking:3", root, running=True)
    with reopened(store) as store:
        assert sum(len(files) for _, _, files in os.walk(store.layout.trash)) > 10_000
        collect_garbage(store, reporter=NullReporter())
        assert list(store.layout.trash.iterdir()) == []


def test_interrupted_while_collecting(store: Store) -> None:
    """Ctrl-C at any moment: the store is whole, the command says how to go on, and going on finishes."""
    root = store.layout.root
    for point in ("gc-decided", "gc-forgotten", "gc-moved:1", "gc-moved:20", "gc-discarded", "gc-unlinking"):
        for number in range(30):
            add(store, f"n{number}", {f"f{file}": point.encode() for file in range(5)})
        store.close()
        interrupted_at(point, root)
        store = Store.open(root)
        assert verify(store, contents=True, reporter=NullReporter())[1] == []
    with reopened(store) as store:
        collect_garbage(store, reporter=NullReporter())
        assert list(store.layout.store.iterdir()) == list(store.layout.trash.iterdir()) == []


def interrupted_at(point: str, root: Path, *, running: bool = False) -> None:
    """A collection that is told to end by Ctrl-C at this point, or a little after it when it is `running` again.

    Of a stopped process any thread takes the signal, of a running one the main thread, as at a terminal.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "vstore", "--root", str(root), "--no-progress", "gc"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "VSTORE_FAULT": f"{point}:stop"},
    )
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), point
    if running:
        child.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGCONT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "the next `vstore gc` continues" in err


@pytest.mark.root
def test_what_cannot_be_moved_and_is_added_again_is_not_removed_in_place(store: Store) -> None:
    """Nothing moves between mounts, as nothing moves out of an overlay's lower layer."""
    one, trash = add(store, "one"), store.layout.trash
    add(store, "two")
    with bind_mount(trash), reopened(store) as store:
        removal, _ = started(store)
        assert sorted(removed(store, removal)) == ["one", "two"]
        assert add(store, "one") == one
        removal.finish(NullReporter())
        assert verify(store, contents=True, reporter=NullReporter()) == (1, [])
        assert [place.name for place in store.layout.store.iterdir()] == [str(one)]
