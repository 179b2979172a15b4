from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scripts.reliability.crashes.sweep import why_no_strace
from scripts.testing.trees import run_in_child
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
from vstore.store import Store


def test_what_links_lead_to_stays(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "file").write_text("mine")
    old = store.layout.trash / "old"
    (old / "d").mkdir(parents=True)
    (old / "d" / "to-folder").symlink_to(tmp_path / "mine")
    (old / "d" / "to-file").symlink_to(tmp_path / "mine" / "deep" / "file")
    (old / "d" / "dangling").symlink_to("nowhere")
    (store.layout.trash / "bare").symlink_to(tmp_path / "mine")
    collect_garbage(store, reporter=NullReporter())
    assert list(store.layout.trash.iterdir()) == []
    assert (tmp_path / "mine" / "deep" / "file").read_text() == "mine"


def test_a_tree_deeper_than_the_stack(store: Store) -> None:
    deep = store.layout.trash / "deep"
    deep.mkdir()
    handle = os.open(deep, os.O_RDONLY)
    for _ in range(1300):
        os.close(os.open("f", os.O_CREAT, 0o444, dir_fd=handle))
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    collect_garbage(store, reporter=NullReporter())
    assert list(store.layout.trash.iterdir()) == []


FILL_AND_EMPTY = """
import concurrent.futures.thread, os, sys; from pathlib import Path
from vstore.gc import collect_garbage; from vstore.reporter import NullReporter; from vstore.store import Store
from scripts.testing.trees import add
root = Path(sys.argv[1])
with Store.open(root) as store:
    add(store, "first")  # loads all that an ordinary user may not be able to read
if os.geteuid() == 0:
    for place in (root, *root.rglob("*")):
        os.chown(place, 65534, 65534, follow_symlinks=False)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with Store.open(root) as store:
    place = store.layout.object(add(store, "low", {f"d{d}/f{f}": b"x" for d in range(3) for f in range(3)}))
    print(oct(place.stat().st_mode & 0o777), oct((place / "d1").stat().st_mode & 0o777))
    closed = store.layout.trash / "closed"
    (closed / "in").mkdir(parents=True)
    os.chmod(closed / "in", 0)
    os.chmod(closed, 0)
with Store.open(root) as store:
    deleted = collect_garbage(store, reporter=NullReporter()).deleted
    print(len(deleted), os.listdir(store.layout.trash), os.listdir(store.layout.store))
"""


def test_read_only_folders_of_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        out, _ = run_in_child(FILL_AND_EMPTY, folder).communicate(timeout=60)
    assert out.splitlines() == ["0o555 0o555", "2 [] []"]


COLLECT = """
import sys; from pathlib import Path
from vstore.gc import collect_garbage; from vstore.reporter import NullReporter; from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True); sys.stdin.readline()
    collect_garbage(store, reporter=NullReporter())
"""


@pytest.mark.skipif(why_no_strace() is not None, reason=str(why_no_strace()))
def test_threads_help_where_removing_waits(store: Store, tmp_path: Path) -> None:
    for number in range(200):
        (store.layout.trash / f"t{number}").mkdir()
    log = tmp_path / "calls"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=unlinkat", "-e", "inject=unlinkat:delay_enter=1000"]
    collector = [sys.executable, "-c", COLLECT, str(store.layout.root)]
    subprocess.run([*trace, *collector], check=True, stdin=subprocess.DEVNULL)
    assert list(store.layout.trash.iterdir()) == []
    assert len({line.split()[0] for line in log.read_text().splitlines() if "AT_REMOVEDIR" in line}) > 4


def test_two_collectors_at_once(store: Store) -> None:
    for number in range(100):
        for place in range(5):
            folder = store.layout.trash / f"t{number}" / f"d{place}"
            folder.mkdir(parents=True)
            (folder / "f").touch()
    children = [run_in_child(COLLECT, store.layout.root) for _ in range(3)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert list(store.layout.trash.iterdir()) == []
