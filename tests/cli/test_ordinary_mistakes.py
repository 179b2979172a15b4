"""Every ordinary mistake is one line (`scripts/reliability/run mistakes` makes thousands)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.reliability.hostile.mistakes import random_mistakes
from scripts.testing.trees import SOURCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kinds of files of POSIX systems")


@pytest.mark.slow
def test_random_calls(tmp_path: Path) -> None:
    tried = list(random_mistakes(tmp_path, count=150, seed=3))
    assert len({words[0] for words, _ in tried}) > 20
    codes = {ended.code for _, ended in tried}
    assert {0, 2} <= codes and len(codes) > 4


def run(*arguments: str, cwd: Path = SOURCE, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vstore", *arguments]
    path = {"PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **path, **environment})


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd '{gone}' && rmdir '{gone}' && exec '{sys.executable}' -m vstore --root '{tmp_path}/root' init new"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "the current folder was removed" in done.stderr


@pytest.mark.parametrize("root", ["~nobody-here/x", "x" * 300, "/dev/null", "/dev/null/x", "/proc/new"])
def test_roots_that_are_none(root: str) -> None:
    for command in ("list", "gc", "doctor", "verify"):
        done = run(command, VSTORE_ROOT=root)
        assert "Traceback" not in done.stderr and (done.returncode or command == "doctor"), done.stderr


def test_a_mistake_of_vstore_asks_to_be_reported(tmp_path: Path) -> None:
    """A module that fails when it is loaded stands for any mistake."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'vstore.cli.commands.query':\n"
        "            raise KeyError('lost')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    done = run("--json", "list", PYTHONPATH=f"{tmp_path}:{SOURCE}")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "  hint: please report it with the lines above"
    assert '"exit_code": 1' in done.stdout
