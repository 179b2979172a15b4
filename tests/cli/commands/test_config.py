"""`config` and `schema`, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from scripts.testing.trees import SOURCE
from vstore.config import read_config


def run(root: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-m", "vstore", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    assert done.returncode == code, done.stderr
    return done.stdout.strip(), done.stderr


def test_a_key_is_set_shown_and_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    file = root / "config.toml"
    assert run(root, "config", "path")[0] == str(file)
    run(root, "config", "set", "gc.keep", "3")
    assert read_config(file).gc.keep == 3
    assert run(root, "config", "get", "gc.keep")[0] == "3"
    assert json.loads(run(root, "config", "get", "gc.keep", "--json")[0])["value"] == 3
    assert run(root, "config", "unset", "gc.keep")[0] == "gc.keep is not set any more"
    assert "gc.keep is not set" in run(root, "config", "get", "gc.keep", code=13)[1]
    assert run(root, "config", "get", "require")[0] == "1"


def test_misspelt_keys_get_a_suggestion(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _, told = run(root, "config", "set", "gc.kep", "3", code=2)
    assert "did you mean gc.keep?" in told
    assert not root.exists()
    root.mkdir()
    (root / "config.toml").write_text("[gc]\nkep = 3\n")
    _, told = run(root, "config", "list")
    assert "gc.kep: no such key\n  hint: did you mean gc.keep?" in told
    assert run(root, "config", "unset", "gc.kep")[0] == "gc.kep is not set any more"
    assert "no such key" not in run(root, "config", "list")[1]
    assert "no such key" in run(root, "config", "unset", "gc.kep", code=2)[1]


def test_listings_hide_logins_and_get_does_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    url = "https://user:secret@cache.example/x"
    assert "secret" not in run(root, "config", "set", "caches.near", url)[0]
    log = tmp_path / "log"
    key = "caches.near.options.aws_secret_access_key"
    for form in ([], ["--json"], ["-vv"]):
        said = run(root, *form, "--log-file", str(log), "config", "set", key, "hunter2")
        assert "hunter2" not in "".join(said) and "***" in said[0]
    run(root, "--log-file", str(log), "config", "set", key, "--", "-hunter2", code=0)
    run(root, "--log-file", str(log), "config", "set", key + "s", "hunter2", "hunter2", code=2)
    assert "hunter2" not in log.read_text() and f"config set {key} ***" in log.read_text()
    for arguments in (["config"], ["config", "list", "--json"]):
        shown = "".join(run(root, *arguments))
        assert "cache.example" in shown
        assert "secret@" not in shown
        assert "hunter2" not in shown
    assert run(root, "config", "get", "caches.near")[0] == url


def test_schemas_are_json(tmp_path: Path) -> None:
    for name, key in (("spec", "runtimes"), ("config", "gc")):
        text, _ = run(tmp_path, "schema", name)
        assert key in json.loads(text)["properties"]
        assert text == run(tmp_path, "schema", name, "--json")[0]
