"""Stores and real second users: one owned by another, and one shared by a group."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.trees import run_in_child
from scripts.testing.world import World, make_world
from tests.fs.locking.test_filelock import held
from tests.mounts import bind_mount, remount_read_only
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
from vstore.store import Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("useradd") is None, reason="useradd is not installed"),
]
GROUP = f"vstore-test-{os.getpid()}"  # two processes that run tests make users of their own
USERS = (f"{GROUP}-a", f"{GROUP}-b")

# All is imported before the user is changed: the interpreter may lie where only root can read.
AS_USER = """
import concurrent.futures.thread, grp, os, pwd, sys, sqlite3, ctypes, tomllib
from pathlib import Path
from vstore.errors import StoreError
from vstore.objects import Kind
from vstore.store import Store
from vstore.store.health.verify import verify
from vstore.gc import collect_garbage
from vstore.reporter import NullReporter
user, root, name, what = sys.argv[1:]
entry = pwd.getpwnam(user)
os.initgroups(user, entry.pw_gid)
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
os.umask(0o002)
try:
    with Store.open(Path(root), read_only=what == "read") as store:
        if what == "add":
            with store.staging(name) as staged:
                (staged / "a").write_text(name)
                print(store.add(staged, name=name, kind=Kind.FRAMEWORK).path)
        elif what == "collect":
            print(len(collect_garbage(store, reporter=NullReporter()).victims))
        else:
            print(len(store.objects.all()), len(verify(store, contents=True, reporter=NullReporter())[1]))
except StoreError as error:
    print(error)
"""

LOCK_AS_USER = """
import fcntl, os, pwd, sys
entry = pwd.getpwnam(sys.argv[1])
os.setgroups([]), os.setgid(entry.pw_gid), os.setuid(entry.pw_uid)
try:
    fcntl.flock(os.open(sys.argv[2], os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as error:
    print(type(error).__name__)
"""

COMMAND_AS_USER = """
import ctypes, grp, os, pkgutil, pwd, sqlite3, sys, sysconfig, tomllib
import vstore
for module in pkgutil.walk_packages(vstore.__path__, "vstore."):
    if not module.name.endswith(("__main__", "windows", "serve", "objectstore")):
        __import__(module.name)
from vstore.cli import main
sysconfig.get_config_vars()
entry = pwd.getpwnam(sys.argv.pop(1))
os.initgroups(entry.pw_name, entry.pw_gid)
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
os.umask(0o002)
main()
"""


@dataclass
class Person(World):
    """Another user at the command line."""

    user: str = "root"

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMAND_AS_USER, self.user, "--root", str(self.root), "--no-progress"]
        environment = {**self.environment(), "HOME": str(self.folder / self.user), **changes}
        folder, text, pipe = Path(__file__).parents[2], True, subprocess.PIPE
        return subprocess.Popen(
            [*command, *arguments], stdout=pipe, stderr=pipe, text=text, env=environment, cwd=folder
        )


def as_user(user: str, root: Path, name: str, what: str) -> str:
    with run_in_child(AS_USER, user, root, name, what) as child:
        out = child.communicate(timeout=60)[0].strip()
    assert child.returncode == 0
    return out


@pytest.fixture(scope="module")
def users() -> Iterator[None]:
    """Two users of one group, for as long as the tests run."""
    subprocess.run(["groupadd", "--force", GROUP], check=True)
    made = []
    try:
        for user in USERS:
            subprocess.run(["useradd", "--no-create-home", "--groups", GROUP, user], check=True)
            made.append(user)
        yield
    finally:
        for user in made:
            subprocess.run(["userdel", user], check=True)
        subprocess.run(["groupdel", GROUP], check=True)


@pytest.fixture
def place(users: None) -> Iterator[Path]:
    """A folder that other users may enter; the tests' own is for root alone."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_store_of_another_user_is_named_and_can_be_read(place: Path) -> None:
    Store.open(place / "root").close()
    said = as_user(USERS[0], place / "root", "one", "add")
    assert f"the store belongs to root and is not writable for you: {place / 'root'}" in said
    assert "--root" in said
    assert as_user(USERS[0], place / "root", "", "read") == "0 0"


def test_two_users_of_a_group_share_a_store(place: Path) -> None:
    root = place / "shared"
    root.mkdir()
    shutil.chown(root, group=GROUP)
    root.chmod(0o2775)
    first, second = (as_user(user, root, user, "add") for user in USERS)
    assert first.endswith(f"-{USERS[0]}"), first
    assert second.endswith(f"-{USERS[1]}"), second
    assert as_user(USERS[0], root, "", "read") == "2 0"
    assert as_user(USERS[1], root, USERS[0], "add") == first, "what the other added is found, not made again"
    assert stat.S_IMODE((root / "index.sqlite").stat().st_mode) == 0o664
    with Store.open(root) as store:
        assert len(collect_garbage(store, reporter=NullReporter()).victims) == 2, "root collects for all"
    assert not list((root / "store").iterdir())
    assert as_user(USERS[1], root, "", "read") == "0 0"


@pytest.fixture
def people(place: Path) -> list[Person]:
    """Root and two users with one project and one store, whose files the group may write."""
    world = make_world(place)
    world.root.mkdir()
    for folder in (world.root, world.spec.parent):
        shutil.chown(folder, group=GROUP)
        folder.chmod(0o2775)
    found = [Person(world.folder, world.root, user=user) for user in ("root", *USERS)]
    for person in found[1:]:
        (place / person.user).mkdir()
        shutil.chown(place / person.user, person.user)
    return found


def test_two_users_realise_the_same_spec_and_collect_what_is_their_own(people: list[Person]) -> None:
    root, first, second = people
    root.realise()
    root.write_spec("==2.0")
    made = first.realise()
    assert {layer["origin"] for layer in made["layers"]} == {"built", "present"}
    again = second.realise()
    assert not again["changed"], "what the one has realised is there for the other"
    assert "midlib 2.0" in second.run("run", "project", "hello")[0]
    root.write_spec("==1.0")
    assert second.realise()["generation"] == 3
    second.run("forget", "project", "1", "2")
    planned, collected = (second.json("gc", *options) for options in (["--dry-run"], []))
    assert planned["deletable"] == collected["deleted"] == []
    assert len(collected["skipped"]) == 3, "the layer, the application and the stack of the first"
    assert first.user in second.run("gc")[1]
    assert f"belongs to {first.user}" in second.run("delete", made["stack"], code=6)[1]
    assert second.json("verify", "--contents")["problems"] == []
    assert sorted(first.json("gc")["deleted"]) == sorted(collected["skipped"])
    assert second.json("gc")["skipped"] == []


def test_a_leftover_of_another_user_stands_in_nobodys_way(people: list[Person]) -> None:
    root, first, second = people
    root.realise()
    root.write_spec("==2.0")
    first.run("realise", str(first.spec), "--local-wheels", str(first.wheels), code=-9, VSTORE_FAULT="add-frozen")
    again = second.realise()
    assert again["changed"]
    assert second.json("verify", "--contents")["problems"] == []
    assert any(name.startswith(".") for name in os.listdir(root.root / "store"))
    second.run("gc")
    first.run("gc")
    assert not any(name.startswith(".") for name in os.listdir(root.root / "store"))


def test_a_root_that_one_may_not_write_to_can_be_read(people: list[Person]) -> None:
    root, first, _ = people
    made = root.realise()
    root.root.chmod(0o755)
    subprocess.run(["chmod", "-R", "go-w", str(root.root)], check=True)
    assert len(first.json("list")) == len(root.json("list"))
    assert first.json("info", made["stack"])["path"] == made["stack"]
    assert first.json("history", "project")[0]["current"]
    assert "midlib 1.0" in first.run("run", "project", "hello")[0]
    assert first.json("verify", "--contents")["problems"] == []
    with held(root.root / "gcroots" / "temp" / "1-abcdef01"):
        assert {one["kind"] for one in first.json("roots")["roots"]} == {"profile"}, (
            "others' temp roots are closed to readers"
        )
    for command in (["gc"], ["realise", str(first.spec)], ["forget", "project", "1"]):
        assert "belongs to root" in first.run(*command, code=6)[1]


def test_who_may_only_read_cannot_lock(people: list[Person]) -> None:
    root, first, _ = people
    root.root.chmod(0o755)
    root.realise()
    root.run("gc")
    locks = [file for file in root.root.rglob("*") if file.parent.name in ("locks", "temp") and file.is_file()]
    assert root.root / "locks" / "gc" in locks
    for lock in locks:
        with run_in_child(LOCK_AS_USER, first.user, lock) as child:
            assert child.communicate(timeout=60)[0] == "PermissionError\n", lock


def test_a_read_only_mount_can_be_read(people: list[Person]) -> None:
    root, first, _ = people
    made = root.realise()
    with bind_mount(root.root):
        remount_read_only(root.root)
        for person in (root, first):
            assert len(person.json("list")) == len(made["layers"]) + 2  # the stack, and the module's source
            assert person.json("info", made["stack"])["path"] == made["stack"]
            assert "midlib 1.0" in person.run("run", "project", "hello")[0]
            assert person.json("verify", "--contents")["problems"] == []
            said = person.run("gc", code=6)[1]
            assert "read-only" in said or "not writable" in said
