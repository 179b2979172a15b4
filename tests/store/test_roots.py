"""What keeps objects alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.testing.trees import add, info, run_in_child
from vstore.errors import NotFoundError, StoreError
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.store import RootKind, Store, add_root, generation_links, list_roots, read_roots, remove_root


def roots(store: Store, kind: RootKind) -> list[tuple[str, StorePath]]:
    return [(root.name, root.path) for root in list_roots(store.layout) if root.kind == kind]


def test_temp_roots_live_as_long_as_the_store_is_open(store: Store) -> None:
    one, two = info("one").path, info("two").path
    with Store.open(store.layout.root) as other:
        other.add_temp_root(one)
        other.add_temp_root(one, two)
        ((name, _), _) = found = roots(store, RootKind.TEMP)
        assert {path for _, path in found} == {one, two}
        assert f"{os.getpid()}-" in name
    assert roots(store, RootKind.TEMP) == []
    assert list(store.layout.temp_roots.iterdir()) == []


CHILD = """
import sys; from pathlib import Path; from vstore.store import Store; from vstore.objects import StorePath
s = Store.open(Path(sys.argv[1])); s.add_temp_root(StorePath.parse(sys.argv[2])); print("ready", flush=True)
sys.stdin.readline()
"""


def test_temp_roots_of_a_killed_process_count_for_nothing(store: Store) -> None:
    path = add(store, "low")
    child = run_in_child(CHILD, store.layout.root, info("mine").path)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    file = next(file for file in store.layout.temp_roots.iterdir() if file.name.startswith(f"{child.pid}-"))
    assert (f"gcroots/temp/{file.name}", info("mine").path) in roots(store, RootKind.TEMP)
    child.kill()
    child.communicate()
    assert [found for _, found in roots(store, RootKind.TEMP)] == [path]
    assert file.exists()
    list(read_roots(store.layout, prune=True))
    assert not file.exists() and [found for _, found in roots(store, RootKind.TEMP)] == [path]


def test_a_temp_root_waits_while_a_collector_decides(store: Store) -> None:
    thread = threading.Thread(target=store.add_temp_root, args=(info("low").path,))
    with lock_file(store.layout.locks.gc):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive() and list(store.layout.temp_roots.iterdir()) == []
    thread.join(10)
    assert [path for _, path in roots(store, RootKind.TEMP)] == [info("low").path]


def test_threads_share_one_file_of_temp_roots(store: Store) -> None:
    paths = [info(f"o{number}").path for number in range(8)]
    together = threading.Barrier(len(paths))

    def name(other: Store, path: StorePath) -> None:
        together.wait()
        other.add_temp_root(path)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            with Store.open(store.layout.root) as other, ThreadPoolExecutor(len(paths)) as pool:
                list(pool.map(name, [other] * len(paths), paths))
                assert sorted(path for _, path in roots(store, RootKind.TEMP)) == sorted(paths)
                assert len(list(store.layout.temp_roots.iterdir())) == 1
    finally:
        sys.setswitchinterval(before)


def test_a_torn_line_hides_no_other(store: Store) -> None:
    file = store.layout.temp_roots / "1-x"
    file.write_text(f"\n{info('one').path}\n0123-to\n{info('two').path}")
    with lock_file(file):
        assert {path for _, path in roots(store, RootKind.TEMP)} == {info("one").path, info("two").path}


def test_generations_are_roots(store: Store) -> None:
    path = add(store, "stack")
    (store.layout.profiles / "p-3-link").symlink_to(f"../store/{path}")
    (store.layout.profiles / "p").symlink_to("p-3-link")
    (store.layout.profiles / ".p-4-link.1234").symlink_to(f"../store/{path}")
    assert [(profile, number) for profile, number, _ in generation_links(store.layout)] == [("p", 3)]
    assert roots(store, RootKind.PROFILE) == [("profiles/p-3-link", path)]


def test_a_direct_root(store: Store) -> None:
    path = add(store, "low")
    link = store.layout.gcroots / "mine"
    add_root(store.layout, link, path)
    assert roots(store, RootKind.USER) == [("gcroots/mine", path)]
    remove_root(store.layout, link)
    assert roots(store, RootKind.USER) == []
    with pytest.raises(NotFoundError, match="not a root"):
        remove_root(store.layout, link)


@pytest.mark.parametrize("name", ["auto", "temp", ".hidden"])
def test_names_that_a_direct_root_may_not_have(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not a name"):
        add_root(store.layout, store.layout.gcroots / name, add(store, "low"))


def test_an_indirect_root_ends_with_its_link(store: Store, tmp_path: Path) -> None:
    path = add(store, "low")
    link = tmp_path / "result"
    with pytest.raises(StoreError, match="does not lead to"):
        add_root(store.layout, link, path)
    link.symlink_to(store.layout.object(path))
    add_root(store.layout, link, path)
    assert roots(store, RootKind.USER) == [(str(link), path)]
    link.unlink()
    assert roots(store, RootKind.USER) == []
    assert len(list(store.layout.indirect_roots.iterdir())) == 1
    list(read_roots(store.layout, prune=True))
    assert list(store.layout.indirect_roots.iterdir()) == []


def test_removing_an_indirect_root_removes_its_link(store: Store, tmp_path: Path) -> None:
    path = add(store, "low")
    link = tmp_path / "result"
    link.symlink_to(store.layout.object(path))
    add_root(store.layout, link, path)
    remove_root(store.layout, link)
    assert not link.is_symlink() and list(store.layout.indirect_roots.iterdir()) == []


def test_an_indirect_root_that_leads_elsewhere_now_keeps_what_it_leads_to(store: Store, tmp_path: Path) -> None:
    one, two = add(store, "one"), add(store, "two")
    link = tmp_path / "result"
    link.symlink_to(store.layout.object(one))
    add_root(store.layout, link, one)
    link.unlink()
    link.symlink_to(store.layout.object(two))
    assert roots(store, RootKind.USER) == [(str(link), two)]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("how", ["argument", "environment", "working directory", "open file", "executable"])
def test_a_running_program_keeps_its_object(store: Store, how: str) -> None:
    path = add(store, "low", {"a": b"1", "sleep": Path("/bin/sleep").read_bytes()})
    folder = store.layout.object(path)
    command, environment, place, stream = ["cat"], {"PATH": os.environ["PATH"]}, Path("/"), None
    match how:
        case "argument":
            command = ["sh", "-c", "read x", "sh", f"{folder}/lib/x.py"]
        case "environment":
            environment["SOME_PATH"] = f"/usr/lib:{folder}/lib:/lib"
        case "working directory":
            place = folder
        case "open file":
            stream = os.open(folder / "a", os.O_RDONLY)
        case "executable":
            linked = store.layout.root / "renamed"
            linked.symlink_to(folder / "sleep")
            (folder / "sleep").chmod(0o755)
            command = [str(linked), "60"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stream, env=environment, cwd=place)
    if stream is not None:
        os.close(stream)
    try:
        assert (f"process {child.pid}", path) in roots(store, RootKind.PROCESS)
    finally:
        child.kill()
        child.communicate()
    assert f"process {child.pid}" not in [name for name, _ in roots(store, RootKind.PROCESS)]
