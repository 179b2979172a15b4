"""Equal files of different objects share their space, and nothing else changes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import add, run_in_child
from vstore.errors import BusyError
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import FIXED_TIME
from vstore.reporter import NullReporter
from vstore.store import Store
from vstore.store.health.optimise import optimise
from vstore.store.health.verify import verify

BIG = b"x" * 10_000
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs hard links and inodes")
pytestmark = posix


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "root")


def inode(store: Store, path: object, name: str) -> int:
    return (store.layout.store / str(path) / name).stat().st_ino


def test_equal_files_become_one(store: Store) -> None:
    one = add(store, "one", {"deep/a": BIG, "own": b"1", "empty": b""})
    two = add(store, "two", {"deep/a": BIG, "b": BIG, "own": b"2", "empty": b""})
    blocks = (store.layout.object(one) / "deep/a").stat().st_blocks
    planned = optimise(store, dry_run=True, reporter=NullReporter())
    assert inode(store, one, "deep/a") != inode(store, two, "deep/a"), "a dry run changes nothing"
    done = optimise(store, reporter=NullReporter())
    assert done == planned
    assert (done.objects, done.shared_files, done.saved_bytes) == (2, 2, 2 * blocks * 512)
    assert inode(store, one, "deep/a") == inode(store, two, "deep/a") == inode(store, two, "b")
    assert inode(store, one, "empty") != inode(store, two, "empty"), "there is nothing to save"
    folder = (store.layout.object(two) / "deep").stat()
    assert (folder.st_mode & 0o777, folder.st_mtime) == (0o555, FIXED_TIME)
    assert verify(store, contents=True, reporter=NullReporter())[1] == []
    assert optimise(store, reporter=NullReporter()).shared_files == 0
    assert os.listdir(store.layout.tmp) == ["trash"]


def test_what_differs_in_its_mode_stays_apart(store: Store, tmp_path: Path) -> None:
    one = add(store, "one", {"a": BIG})
    with store.staging("two") as staged:
        (staged / "a").write_bytes(BIG)
        (staged / "a").chmod(0o755)
        two = store.add(staged, name="two", kind=store.objects.all()[0].kind).path
    assert optimise(store, reporter=NullReporter()).shared_files == 0
    assert inode(store, one, "a") != inode(store, two, "a")


def test_a_dry_run_counts_a_file_whose_last_name_goes(store: Store) -> None:
    """Two objects share a file already, and both let go of it for that of a third."""
    twins = [add(store, name, {"a": BIG, "own": name.encode()}) for name in ("one", "two")]
    optimise(store, reporter=NullReporter())
    first = add(store, "first", {"a": BIG, "own": b"0"})
    assert first < min(twins), "the first one's file is the one that stays"
    planned = optimise(store, dry_run=True, reporter=NullReporter())
    assert planned == optimise(store, reporter=NullReporter())
    assert planned.saved_bytes == (store.layout.object(first) / "a").stat().st_blocks * 512


def test_a_damaged_file_is_never_spread(store: Store) -> None:
    """Whichever comes first, the good one is not replaced by the bad one, nor the bad one hidden."""
    paths = [add(store, name, {"a": BIG, "name": name.encode()}) for name in ("one", "two", "three")]
    bad = store.layout.object(min(paths)) / "a"
    mtime = bad.stat().st_mtime
    bad.chmod(0o644)
    bad.write_bytes(b"y" + BIG[1:])
    bad.chmod(0o444)
    os.utime(bad, (mtime, mtime))
    optimise(store, reporter=NullReporter())
    problems = verify(store, contents=True, reporter=NullReporter())[1]
    assert {(problem.path, problem.problem) for problem in problems} == {
        (min(paths), "changed: a"),
        (min(paths), "its time was changed: a"),  # as it follows from the content
    }


@pytest.mark.root
def test_only_files_of_one_owner_are_shared(store: Store) -> None:
    """Who owns a file can change it, whatever its mode: another's object must not hold it."""
    one, two, three = (add(store, name, {"a": BIG, "name": name.encode()}) for name in ("one", "two", "three"))
    for place in (store.layout.object(two), *store.layout.object(two).iterdir()):
        os.chown(place, 12345, 12345)
    assert optimise(store, reporter=NullReporter()).shared_files == 1
    assert inode(store, one, "a") == inode(store, three, "a") != inode(store, two, "a")


def test_a_folder_that_became_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    paths = [add(store, name, {"deep/a": BIG, "name": name.encode()}) for name in ("one", "two")]
    (tmp_path / "decoy").mkdir()
    (tmp_path / "decoy" / "a").write_bytes(BIG)
    (tmp_path / "decoy" / "a").chmod(0o444)
    deep = store.layout.object(max(paths)) / "deep"
    os.utime(tmp_path / "decoy" / "a", ns=(0, (deep / "a").stat().st_mtime_ns))
    deep.parent.chmod(0o755)
    deep.rename(deep.with_name("aside"))
    deep.symlink_to(tmp_path / "decoy")
    before = (tmp_path / "decoy").stat(), (tmp_path / "decoy" / "a").stat()
    assert optimise(store, reporter=NullReporter()).shared_files == 0
    assert ((tmp_path / "decoy").stat(), (tmp_path / "decoy" / "a").stat()) == before


def test_only_one_at_a_time(store: Store) -> None:
    """The other's folders would be frozen while it still writes to them."""
    with lock_file(store.layout.locks.optimise), pytest.raises(BusyError):
        optimise(store, reporter=NullReporter())


HOLD = """
import sys
from pathlib import Path
from vstore.gc import collect_garbage
from vstore.errors import BusyError
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.manifest import FIXED_TIME
from vstore.reporter import NullReporter
from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print("open", flush=True)
    sys.stdin.readline()
    print(len(collect_garbage(store, reporter=NullReporter()).victims), flush=True)
"""


def test_beside_a_collection(store: Store) -> None:
    """What is being looked at is kept alive; the collection beside it takes nothing from it."""
    add(store, "one", {"a": BIG})
    add(store, "two", {"a": BIG, "b": b"2"})
    with run_in_child(HOLD, store.layout.root) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == "open\n"
        assert optimise(store, reporter=NullReporter()).shared_files == 1
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "0\n", "this process looked at them, and still holds them"
    assert verify(store, contents=True, reporter=NullReporter())[1] == []
