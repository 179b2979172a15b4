"""`doctor` finds problems of the machine and of the store, and gives advice."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE, add
from tests.mounts import bind_mount, tmpfs
from vstore.store import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "root") as store:
        add(store, "one")
    return tmp_path / "root"


def doctor(root: Path) -> str:
    """All findings, but those about where the tests happen to run."""
    command = [sys.executable, "-m", "vstore", "doctor", "--json", "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    document = json.loads(done.stdout)["findings"]
    assert done.returncode == (14 if document else 0), done.stderr
    assert all(one["level"] in ("error", "warning") and one["id"] for one in document)
    found = [f"{one['id']}: {one['text']}" for one in document]
    return "\n".join(line for line in found if "other programs may empty" not in line and " free" not in line)


@pytest.mark.root
def test_little_space(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", 64 << 20) as disk:
        with Store.open(disk / "root") as store:
            add(store, "dead", {"a": b"x" * 3_000_000})
        command = [sys.executable, "-m", "vstore", "--json", "--root", str(disk / "root")]
        said = subprocess.run([*command, "doctor"], capture_output=True, text=True).stdout
        freed = json.loads(subprocess.check_output([*command, "gc"], text=True))["freed_bytes"]
        assert f"`vstore gc` would free {freed >> 20} MiB" in said


def test_verify_shows_a_few_problems_of_an_object(root: Path) -> None:
    with Store.open(root) as store:
        folder = store.layout.object(add(store, "many", {f"f{number}": b"x" for number in range(1, 9)}))
    for file in folder.iterdir():
        file.chmod(0o644)
        file.write_bytes(b"yy")

    def verify(*arguments: str) -> str:
        command = [sys.executable, "-m", "vstore", "verify", "--contents", "--root", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
        assert done.returncode == 6
        return done.stdout

    every = json.loads(verify("--json"))["problems"]
    shown = verify().splitlines()
    assert len(shown) == 5 + 3 and len(every) >= 8
    assert f"… and {len(every) - 5} more problems" in shown[5] and shown[7] == "hint: run `vstore verify --repair`"
    assert len(verify("-v").splitlines()) == len(every) + 2


def test_nothing_odd(root: Path) -> None:
    assert doctor(root) == ""


def test_no_store(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vstore", "doctor", "--root", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    assert "there is no store" in done.stdout and doctor(tmp_path / "none") == "", "which is no fault"


def test_a_key_in_the_settings_that_is_none(root: Path) -> None:
    (root / "config.toml").write_text('trusted_keys = ["builder:AAAA"]\n')
    assert f"{root / 'config.toml'}: trusted_keys: expected a list of keys" in doctor(root)


def test_a_database_of_advisories_that_is_gone(root: Path, tmp_path: Path) -> None:
    (root / "config.toml").write_text(f'[audit]\ndatabase = "{tmp_path / "db"}"\n')
    assert (
        f"advisories: audit.database of config.toml: the database of advisories cannot be read: {tmp_path}"
        in doctor(root)
    )
    (tmp_path / "db").mkdir()
    assert doctor(root) == ""
    (root / "config.toml").write_text('[audit]\ndatabase = "https://127.0.0.1:1/all.zip"\n')
    assert doctor(root) == "", "no server is asked"


def test_under_a_folder_that_is_swept(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vstore", "doctor", "--root", str(tmp_path / "Scratch" / "root")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    assert done.returncode == 14
    assert "which other programs may empty" in done.stdout


def test_leftovers(root: Path) -> None:
    (root / "tmp" / "build-left").mkdir()
    assert "1 leftovers of killed processes" in doctor(root)


def test_a_grown_log(root: Path) -> None:
    with sqlite3.connect(root / "index.sqlite") as held:  # open, so that nobody removes the log
        held.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        os.truncate(root / "index.sqlite-wal", 65 << 20)
        assert "log of the index has 65 MiB" in doctor(root)
    held.close()


def test_a_newer_schema(root: Path) -> None:
    with sqlite3.connect(root / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    assert "another release" in doctor(root)


@pytest.mark.root
def test_another_owner(root: Path) -> None:
    os.chown(root, 65534, -1)
    assert "belongs to " in doctor(root)


@pytest.mark.root
@pytest.mark.parametrize(
    ("folder", "said"), [("cache", "files are copied, not linked"), ("tmp", "nothing can be added")]
)
def test_a_folder_that_is_a_mount_of_its_own(root: Path, folder: str, said: str) -> None:
    with bind_mount(root / folder):
        assert said in doctor(root)
    assert said not in doctor(root)


def test_a_login_that_others_can_read(root: Path) -> None:
    config = root / "config.toml"
    config.write_text('[caches]\na = "https://me:pw@host/x"\nb = "https://host/x"\n')
    config.chmod(0o644)
    said = doctor(root)
    assert "config.toml holds the login of cache a, and other users can read the file" in said
    assert "cache b" not in said and "pw" not in said
    config.chmod(0o600)
    assert "login" not in doctor(root)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "the credential file cannot be read"),
        (
            '{"credHelpers": {"registry.example": "not-there"}}',
            "the credential helper is not on PATH: docker-credential",
        ),
        ('{"auths": {"registry.example": {"auth": "!"}}}', "the credential file is malformed"),
    ],
)
def test_a_login_of_a_registry_that_cannot_be_used(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: str, said: str
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    (root / "config.toml").write_text('[caches]\na = "oci://registry.example/team/cache"\n')
    (tmp_path / "auth.json").write_text(document)
    assert f"no login to cache a: {said}" in doctor(root)
    (tmp_path / "auth.json").write_text("{}")
    assert "no login to cache" not in doctor(root)
