"""`scripts/environment.py`: an environment that it did not make is not touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "environment.py"


@pytest.mark.parametrize("form", ["link", "folder"])
def test_an_environment_of_somebody_else_is_refused(tmp_path: Path, form: str) -> None:
    other = tmp_path / "other" if form == "link" else tmp_path / "project" / ".venv"
    script = tmp_path / "project" / "scripts" / SCRIPT.name
    for folder in (script.parent, other):
        folder.mkdir(parents=True)
    shutil.copyfile(SCRIPT, script)
    (other / "installed").write_text("mine")
    if form == "link":
        (tmp_path / "project" / ".venv").symlink_to(other)
    done = subprocess.run([sys.executable, script, "dev"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "is not an environment that this script made" in done.stderr, done.stderr
    assert [file.name for file in other.iterdir()] == ["installed"]
