"""What uv's cache holds alone goes by policy: with real uvs, with and without a pool of equal files."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from uv import find_uv_bin

from scripts.testing.wheels import make_wheel
from tests.mounts import tmpfs
from vstore.fs.disk import free_bytes
from vstore.fs.locking.filelock import lock_file
from vstore.gc import Collected, CollectionPlan, CollectionPolicy, collect_garbage, plan_collection
from vstore.objects import Kind, StorePath
from vstore.reporter import NullReporter
from vstore.store import Store, add_root

SAME = b"def same(): pass\n" * 40_000
POOL = "content-addressed-cache"


class Bench:
    """A store, wheels made here, and objects that real uv fills from the store's cache."""

    def __init__(self, folder: Path, preview: str = "") -> None:
        self.root, self.wheels, self.preview = folder / "root", folder / "wheels", preview
        self.wheels.mkdir(parents=True)
        for name in ("aa", "bb", "cc"):
            files = {f"{name}/__init__.py": SAME, f"{name}/own.py": name.encode() * 400_000, f"{name}/empty.py": b""}
            make_wheel(self.wheels, name, "1.0", files, data={f"scripts/{name}": "#!python\n" + name})

    def uv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
        environment |= {"UV_CACHE_DIR": str(self.root / "cache" / "uv"), "UV_FIND_LINKS": str(self.wheels)}
        environment |= {"UV_PREVIEW_FEATURES": self.preview} if self.preview else {}
        command = [find_uv_bin(), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    def add(self, store: Store, *names: str, offline: bool = False) -> StorePath:
        with store.staging("layer") as staged:
            where = ["--target", str(staged), "--link-mode=hardlink", "--no-index", *["--offline"] * offline]
            self.uv("pip", "install", "-q", *where, *names)
            (staged / ".lock").unlink()
            for copied in staged.glob("*.dist-info/[!MW]*"):  # they tell of this machine
                copied.unlink()
            return store.add(staged, name="-".join(names), kind=Kind.FRAMEWORK).path


@pytest.fixture(params=["", POOL], ids=["plain", "pool"])
def bench(as_root: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with tmpfs(tmp_path / "disk", 512 << 20) as disk:
        yield Bench(disk, request.param)


def policy(age: timedelta = timedelta(0), **more: int) -> CollectionPolicy:
    return CollectionPolicy(cache_unshared_since=datetime.now(UTC) - age, **more)  # type: ignore[arg-type]


def checked(bench: Bench, chosen: CollectionPolicy) -> tuple[CollectionPlan, Collected]:
    """A dry run and the collection: both say what the disk says, but for the index."""
    with Store.open(bench.root) as store:
        plan = plan_collection(store, chosen)
        free = free_bytes(bench.root)
        done = collect_garbage(store, chosen, reporter=NullReporter())
        assert (plan.dead, plan.wheels, plan.freed_bytes) == (done.deleted, done.wheels, done.freed_bytes)
        assert abs(free_bytes(bench.root) - free - done.freed_bytes) < 200_000
        return plan, done


def test_what_no_object_shares_goes_and_what_one_shares_stays(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        add_root(store.layout, store.layout.gcroots / "mine", bench.add(store, "aa"))
        dead = bench.add(store, "bb", "cc")
    _, done = checked(bench, CollectionPolicy())
    assert (done.deleted, done.wheels) == ((dead,), ()), "without a policy the caches are left alone"
    assert done.freed_bytes < 500_000, "uv's cache has another name of every file"
    time.sleep(0.01)
    _, done = checked(bench, policy(timedelta(hours=1)))
    assert done.wheels == ()
    _, done = checked(bench, policy())
    assert done.wheels == ("bb/1.0-py3-none-any", "cc/1.0-py3-none-any")
    assert done.freed_bytes > 2 * 800_000 + (0 if bench.preview else 2 * len(SAME))
    assert checked(bench, policy())[1].wheels == ()
    with Store.open(bench.root) as store:
        bench.add(store, "aa", offline=True)
        assert bench.add(store, "bb", "cc") == dead, "uv unpacks again what is gone"


def test_wheels_of_objects_that_go_in_the_same_run_go_too(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        for names in (("aa", "bb"), ("bb", "cc")):
            bench.add(store, *names)
        kept = bench.add(store, "cc")
        add_root(store.layout, store.layout.gcroots / "mine", kept)
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=datetime.now(UTC) + timedelta(hours=1)))
    assert len(done.deleted) == 2
    assert set(done.wheels) == {"aa/1.0-py3-none-any", "bb/1.0-py3-none-any"}


def test_wheels_go_until_the_rest_is_small_enough(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        for name in ("cc", "bb", "aa"):
            bench.add(store, name)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    held = 3 * 800_000 + (1 if bench.preview else 3) * len(SAME)  # and some small files
    assert (
        checked(bench, CollectionPolicy(cache_unshared_since=long_ago, cache_max_size=held + 200_000))[1].wheels == ()
    )
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=long_ago, cache_max_size=held))
    assert done.wheels == ("aa/1.0-py3-none-any",), "unshared since one day, so by name"
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=long_ago, cache_max_size=0))
    assert done.wheels == ("bb/1.0-py3-none-any", "cc/1.0-py3-none-any")


def test_goals_reach_into_the_cache(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        dead = bench.add(store, "aa", "bb", "cc")
        wanted = free_bytes(bench.root) + 1_000_000
    long_ago = datetime.now(UTC) - timedelta(days=1)
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=long_ago, until_free=wanted))
    assert done.deleted == (dead,) and len(done.wheels) in (1, 2)
    assert free_bytes(bench.root) >= wanted
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=datetime.now(UTC), max_freed=1))
    assert len(done.wheels) == 1
    _, done = checked(bench, CollectionPolicy(cache_unshared_since=long_ago, max_size=1))
    assert sum(1 for _ in (bench.root / "cache" / "uv" / "archive-v0").iterdir()) == 0


def test_an_empty_cache(bench: Bench) -> None:
    with Store.open(bench.root) as store:
        add_root(store.layout, store.layout.gcroots / "mine", bench.add(store, "aa"))
        bench.add(store, "bb")
    _, done = checked(bench, CollectionPolicy(clean_cache=True))
    assert len(done.deleted) == 1 and os.listdir(bench.root / "cache" / "uv") == [".lock"]
    with Store.open(bench.root) as store:
        bench.add(store, "aa", "bb")


@pytest.mark.parametrize("who", ["uv", "build"])
def test_a_cache_in_use_is_left_as_it_is(bench: Bench, who: str) -> None:
    with Store.open(bench.root) as store:
        dead = bench.add(store, "aa")
    cache = bench.root / "cache" / "uv"
    (cache / ".tmpLeft").mkdir()
    with Store.open(bench.root) as store:
        lock = cache / ".lock" if who == "uv" else store.layout.locks.uv_cache
        with lock_file(lock, shared=True):
            done = collect_garbage(store, policy(-timedelta(hours=1)), reporter=NullReporter())
            assert (done.deleted, done.wheels) == ((dead,), ())
            assert (cache / ".tmpLeft").exists()
        assert collect_garbage(store, policy(), reporter=NullReporter()).wheels == ("aa/1.0-py3-none-any",)
        assert not [name for name in os.listdir(cache) if name.startswith(".tmp")]


def test_uv_waits_while_somebody_removes(bench: Bench) -> None:
    """The lock that a collector takes is the one that uv takes."""
    with Store.open(bench.root) as store:
        bench.add(store, "aa")
        with open(bench.root / "cache" / "uv" / ".lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(
                    [find_uv_bin(), "--cache-dir", bench.root / "cache" / "uv", "pip", "list"],
                    timeout=1,
                    capture_output=True,
                )


def test_what_nothing_leads_to_goes_at_once(bench: Bench) -> None:
    """A collector was killed between the pointers and the archive."""
    with Store.open(bench.root) as store:
        bench.add(store, "aa")
        collect_garbage(store, reporter=NullReporter())
    for place in list((bench.root / "cache" / "uv").glob("wheels-*/index/*/aa/*")):
        place.unlink()
    with Store.open(bench.root) as store:
        bench.add(store, "bb")
    with Store.open(bench.root) as store:
        done = collect_garbage(store, policy(timedelta(days=1)), reporter=NullReporter())
        assert len(done.wheels) == 1 and done.freed_bytes > 800_000
        bench.add(store, "aa", "bb")
