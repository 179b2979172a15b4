"""Stores and real second users: one owned by another, and one shared by a group."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.trees import run_in_child
from vstore.gc import collect
from vstore.report import Silent
from vstore.store import Store

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("useradd") is None,
    reason="only root can make users",
)
USERS = ("vstore-test-a", "vstore-test-b")
GROUP = "vstore-test"

# All is imported before the user is changed: the interpreter may lie where only root can read.
AS_USER = """
import grp, os, pwd, sys, sqlite3, ctypes, tomllib
from pathlib import Path
from vstore.errors import StoreError
from vstore.objects import Kind
from vstore.store import Store, verify
from vstore.gc import collect
from vstore.report import Silent
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
            print(len(collect(store, report=Silent()).victims))
        else:
            print(len(store.index.objects()), len(verify(store, contents=True, report=Silent())[1]))
except StoreError as error:
    print(error)
"""


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
        assert len(collect(store, report=Silent()).victims) == 2, "root collects for all"
    assert not list((root / "store").iterdir())
    assert as_user(USERS[1], root, "", "read") == "0 0"
