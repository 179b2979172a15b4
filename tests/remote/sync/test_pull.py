"""Only what is not there is moved; two who want one object fetch it once; what was killed goes on."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from blake3 import blake3

from scripts.testing.machine import KEY, TRUST, fail_fast, folder_cache, list_files, machine
from scripts.testing.trees import recipe, run_in_child
from tests.remote.liar import liar
from vstore.errors import CacheError
from vstore.fs.trees.scan import scan
from vstore.gc import collect_garbage
from vstore.objects import StorePath
from vstore.remote import Fetcher, pull
from vstore.remote.file_cache.layout import archive_key
from vstore.remote.sync.local_files import LocalFiles
from vstore.remote.transport.protocol import TransportError
from vstore.reporter import NullReporter
from vstore.store.health.verify import verify

PULL = """
import sys
from pathlib import Path
from scripts.testing.machine import TRUST, Said, fail_fast, list_files
from vstore.remote import Fetcher, pull
from vstore.objects import StorePath
from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    fetcher = Fetcher(store, trust=TRUST, reporter=Said())
    print("ready", flush=True)
    sys.stdin.readline()
    found = pull(fetcher, fail_fast(sys.argv[2]), [StorePath.parse(sys.argv[3])])
    print(len(found.fetched), found.fetched_bytes, flush=True)
"""

PULL_PATIENTLY = (
    PULL.replace("fail_fast(", "open_cache(")
    .replace("Said, fail_fast", "Said")
    .replace("import Fetcher", "import open_cache, Fetcher")
)

PUSH = """
import sys
from pathlib import Path
from scripts.testing.machine import KEY, Machine, folder_cache, list_files
from vstore.objects import StorePath
from vstore.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    Machine(store).push(folder_cache(Path(sys.argv[2])), *map(StorePath.parse, sys.argv[3:]))
"""


def noise(name: str, count: int) -> dict[str, bytes]:
    """Files that do not compress."""
    from blake3 import blake3

    return {f"{name}/{n}": blake3(f"{name} {n}".encode()).digest(length=60_000) for n in range(count)}


def test_a_new_version_moves_only_its_new_files(tmp_path: Path) -> None:
    """One package added to a framework: at most 1.1 times what the archive of the new files alone would be."""
    big = noise("torch", 120)
    added = noise("added", 60)
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        old = builder.add("framework", big)
        new = builder.add("framework", {**big, **added})
        alone = builder.add("alone", added)
        cache = folder_cache(tmp_path / "cache")
        builder.push(cache, old, new, alone)
        pull(client.fetcher(), cache, [old])
        found = pull(client.fetcher(), cache, [new])
        stat = cache.transport.head(archive_key(alone))
        assert stat is not None
        assert found.fetched_bytes <= 1.1 * stat.size_bytes
        assert found.saved_bytes > 1.5 * found.fetched_bytes
        assert client.store.manifest(new)[0] == builder.store.manifest(new)[0]
        before, after = (client.store.layout.object(path) / "torch" / "7" for path in (old, new))
        assert before.stat().st_ino == after.stat().st_ino, "what both have takes its space once"


def test_files_of_any_object_are_used(tmp_path: Path) -> None:
    big = noise("torch", 60)
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        new = builder.add("framework", big)
        cache = folder_cache(tmp_path / "cache")
        builder.push(cache, new)
        client.add("other", {f"elsewhere/{n}": data for n, data in enumerate(big.values())})
        found = pull(client.fetcher(), cache, [new])
        assert found.fetched_bytes <= 128 << 10, "what holds the index"


def test_donors_of_a_name_are_looked_at_whatever_the_store_holds(tmp_path: Path) -> None:
    """Also when another cache's names are only known later: that would move what is there already."""
    with machine(tmp_path / "store") as client:
        files = [blake3(text.encode()).digest() for text in ("low", "mid", "top")]
        client.add_three()
        donors = LocalFiles(client.store, budget=0)
        donors.read(["low"], 1 << 20)
        assert [digest in donors for digest in files] == [True, False, False]
        donors.read(["low", "mid"], 1 << 20)
        assert [digest in donors for digest in files] == [True, True, False]


def test_other_donors_are_looked_at_if_more_is_to_be_fetched_than_that_takes(tmp_path: Path) -> None:
    with machine(tmp_path / "store") as client:
        files = [blake3(text.encode()).digest() for text in ("low", "mid", "top")]
        client.add_three()
        for size_bytes, expected in ((10_000, [True, False, False]), (1_000_000, [True, True, True])):
            donors = LocalFiles(client.store)
            donors.read(["low"], size_bytes)
            assert [digest in donors for digest in files] == expected


def test_a_donor_that_was_damaged_is_not_believed(tmp_path: Path) -> None:
    big = noise("torch", 20)
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        new = builder.add("framework", {**big, "more": b"x"})
        cache = folder_cache(tmp_path / "cache")
        builder.push(cache, new)
        old = client.add("framework", big)
        file = client.store.layout.object(old) / "torch" / "3"
        file.chmod(0o644)
        file.write_bytes(b"!" + file.read_bytes()[1:])
        pull(client.fetcher(), cache, [new])
        assert (client.store.layout.object(new) / "torch" / "3").read_bytes() == big["torch/3"]
        assert verify(client.store, contents=True, only=[new], reporter=NullReporter())[1] == []


def test_two_processes_that_want_one_object_fetch_it_once(tmp_path: Path) -> None:
    with machine(tmp_path / "builder") as builder:
        path = builder.add("big", noise("big", 100))
        builder.push(folder_cache(tmp_path / "cache"), path)
        size = folder_cache(tmp_path / "cache").object(path)
        assert size is not None
    with liar(tmp_path / "cache") as server:
        children = [run_in_child(PULL, tmp_path / "client", server.url, path) for _ in range(3)]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        outputs = [child.communicate("go\n", timeout=120)[0].split() for child in children]
    assert sorted(int(fetched) for fetched, _ in outputs) == [0, 0, 1]
    assert sum(int(moved) for _, moved in outputs) < 1.2 * size.archive.size_bytes


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.15, 0.4])
def test_a_push_that_is_killed_leaves_a_whole_cache_and_goes_on(tmp_path: Path, seconds: float) -> None:
    """Whatever is listed can be fetched, at any instant."""
    with machine(tmp_path / "builder") as builder:
        low = builder.add("low", noise("low", 30))
        paths = [builder.add(f"top{n}", noise(f"top{n}", 30), (low,)) for n in range(8)]
        child = run_in_child(PUSH, tmp_path / "builder", tmp_path / "cache", *paths)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        cache = folder_cache(tmp_path / "cache")
        with machine(tmp_path / "early") as early:
            for path in [
                StorePath.parse(stat.key.split("/")[-1].removesuffix(".json")) for stat in list_files(cache, "objects")
            ]:
                pull(early.fetcher(), cache, [path])
        builder.push(cache, *paths)
        with machine(tmp_path / "client") as client:
            assert len(pull(client.fetcher(), cache, paths).fetched) == 9


def test_a_pull_that_fails_halfway_keeps_what_is_whole_and_goes_on(tmp_path: Path) -> None:
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        low, mid, top = builder.add_three()
        builder.push(folder_cache(tmp_path / "cache"), top)
        with liar(tmp_path / "cache") as server:
            server.lie("truncate", archive_key(top))
            substituter = client.substituter(fail_fast(server.url))
            assert substituter.substitute(recipe("top")) is None
            assert client.store.is_valid(low)
            assert not client.store.is_valid(top)
            server.lie("honest")
            found = pull(Fetcher(client.store, trust=TRUST, reporter=client.said), fail_fast(server.url), [top])
            assert {one.path for one in found.fetched} <= {mid, top}


def test_a_pull_that_is_killed_within_an_object_goes_on_where_it_was(tmp_path: Path) -> None:
    """What the server gave before is not moved again, nothing is believed of it, and nothing of it is left."""
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        path = builder.add("big", noise("big", 400))
        builder.push(folder_cache(tmp_path / "cache"), path)
        record = folder_cache(tmp_path / "cache").object(path)
        assert record is not None
        with liar(tmp_path / "cache") as server:
            server.lie("half", archive_key(path))
            child = run_in_child(PULL_PATIENTLY, tmp_path / "client", server.url, path)
            written: list[Path] = []
            child.stdin.write("go\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            deadline = time.monotonic() + 60
            while len(written) < 200 and time.monotonic() < deadline:
                time.sleep(0.05)
                written = list(client.store.layout.tmp.glob("fetch-*/tree/big/*"))
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            assert len(written) >= 200, "three frames of six"
            damaged = min(written)
            damaged.chmod(0o644)
            damaged.write_bytes(b"!" + damaged.read_bytes()[1:])
            os.utime(damaged, (1, 1))
            server.lie("honest")
            found = pull(client.fetcher(), fail_fast(server.url), [path])
        assert found.fetched_bytes < 0.75 * record.archive.size_bytes, "one of the three was damaged"
        assert client.store.manifest(path)[0] == scan(client.store.layout.object(path))
        assert list(client.store.layout.tmp.iterdir()) == [client.store.layout.trash]


def test_a_pull_whose_server_goes_away_within_an_object_goes_on_where_it_was(tmp_path: Path) -> None:
    """As after a kill; and a collection may take what was left."""
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        path = builder.add("big", noise("big", 400))
        builder.push(folder_cache(tmp_path / "cache"), path)
        record = folder_cache(tmp_path / "cache").object(path)
        assert record is not None
        tmp = client.store.layout.tmp
        with liar(tmp_path / "cache") as server:
            for _ in range(2):
                server.lie("half gone", archive_key(path))
                with pytest.raises(TransportError):
                    pull(client.fetcher(), fail_fast(server.url), [path])
                assert not client.store.is_valid(path)
                assert len(list(tmp.glob("fetch-*"))) == 1, "the second took all that the first left"
                assert len(list(tmp.glob("fetch-*/tree/big/*"))) >= 150
            with machine(tmp_path / "collected") as other:
                server.lie("half gone", archive_key(path))
                with pytest.raises(TransportError):
                    pull(other.fetcher(), fail_fast(server.url), [path])
                assert list(other.store.layout.tmp.glob("fetch-*"))
                collect_garbage(other.store, None, reporter=NullReporter())
                assert not list(other.store.layout.tmp.glob("fetch-*"))
            server.lie("honest")
            found = pull(client.fetcher(), fail_fast(server.url), [path])
        assert found.fetched_bytes < 0.7 * record.archive.size_bytes
        assert client.store.manifest(path)[0] == scan(client.store.layout.object(path))
        assert list(tmp.iterdir()) == [client.store.layout.trash]


def test_what_came_before_something_below_it_failed_is_not_moved_again(tmp_path: Path) -> None:
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        low = builder.add("low", noise("low", 30))
        top = builder.add("top", noise("top", 30), (low,))
        builder.push(folder_cache(tmp_path / "cache"), top)
        record = folder_cache(tmp_path / "cache").object(top)
        assert record is not None
        with liar(tmp_path / "cache") as server:
            server.lie("wrong", archive_key(low))
            with pytest.raises(CacheError, match=re.escape(f"{server.url}/{archive_key(low)}: ")):
                pull(client.fetcher(), fail_fast(server.url), [top])
            assert list(client.store.layout.tmp.iterdir()) == [client.store.layout.trash], (
                "what is damaged leaves nothing"
            )
            server.lie("500", archive_key(low))
            with pytest.raises(TransportError):
                pull(client.fetcher(), fail_fast(server.url), [top])
            assert [left.name.partition("-")[2][:32] for left in client.store.layout.tmp.glob("fetch-*")] == [top.short]
            server.lie("honest")
            found = {one.path: one for one in pull(client.fetcher(), fail_fast(server.url), [top]).fetched}
        assert found[top].fetched_bytes < 0.6 * record.archive.size_bytes, "its index, and what was read with it"
        assert list(client.store.layout.tmp.iterdir()) == [client.store.layout.trash]


def test_objects_that_are_there_are_not_packed_again(tmp_path: Path) -> None:
    with machine(tmp_path / "builder") as builder:
        paths = [builder.add(f"o{n}") for n in range(200)]
        cache = folder_cache(tmp_path / "cache")
        builder.push(cache, *paths)
        before = {stat.key: stat.modified for stat in list_files(cache, "archives")}
        builder.push(cache, *paths)
        assert {stat.key: stat.modified for stat in list_files(cache, "archives")} == before


def test_an_unsigned_object_can_be_pulled_by_name_but_lends_no_parts(tmp_path: Path) -> None:
    """Contents prove themselves; parts would lend bytecode to later builds, so they must be signed."""
    with machine(tmp_path / "builder") as builder, machine(tmp_path / "client") as client:
        low = builder.add("low", parts=(b"part of low",))
        builder.push(folder_cache(tmp_path / "unsigned"), low, keys=())
        pull(client.fetcher(), folder_cache(tmp_path / "unsigned"), [low])
        assert client.store.is_valid(low)
        assert client.store.objects_with_wheel(b"part of low") == []
        assert client.store.realisation(recipe("low")) is None
        assert KEY.public in TRUST.keys
