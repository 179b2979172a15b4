"""Breaking promises on purpose (`scripts/reliability/run breaks`) goes on to mean the code as it is."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.reliability.breaks import BREAKS, FAST, ROOT, Break, is_noticed


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.promise)
def test_what_is_broken_is_there_once(one: Break) -> None:
    assert (ROOT / "vstore" / one.file).read_text("utf-8").count(one.right) == 1


def test_tests_of_five_minutes_are_named() -> None:
    """Each file that a break names has tests which `scripts/test` runs, and which the break's `-k` selects."""
    files = sorted({word for one in BREAKS for word in one.tests.split() if word.startswith("tests/")})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", FAST, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    fast = [line for line in done.stdout.splitlines() if "::" in line]
    for one in BREAKS:
        words = shlex.split(one.tests)
        wanted = words[words.index("-k") + 1] if "-k" in words else ""
        for file in (word for word in words if word.startswith("tests/")):
            assert any(test.startswith(file) and wanted in test for test in fast), (one.promise, file)


@pytest.mark.slow
def test_a_break_is_noticed_and_what_changes_nothing_is_not(tmp_path: Path) -> None:
    (one,) = (one for one in BREAKS if one.promise == "the owner's executable bit counts")
    assert is_noticed(one, tmp_path / "broken")
    same = Break(one.promise, one.file, one.right, one.right, one.tests)
    assert not is_noticed(same, tmp_path / "same")
