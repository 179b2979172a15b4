"""Breaking promises on purpose (`scripts/reliability/run breaks`) goes on to mean the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.reliability.breaks import BREAKS, ROOT, Break, is_noticed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.promise)
def test_what_is_broken_is_there_once(one: Break) -> None:
    assert (ROOT / "vstore" / one.file).read_text("utf-8").count(one.right) == 1
    files = [word for word in one.tests.split() if word.startswith("tests/")]
    assert files and all((ROOT / file).exists() for file in files)


def test_a_break_is_noticed_and_what_changes_nothing_is_not(tmp_path: Path) -> None:
    (one,) = (one for one in BREAKS if one.promise == "the owner's executable bit counts")
    assert is_noticed(one, tmp_path / "broken")
    same = Break(one.promise, one.file, one.right, one.right, one.tests)
    assert not is_noticed(same, tmp_path / "same")
