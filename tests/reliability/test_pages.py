"""The pages that say what is promised name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs" / "internals"


@pytest.mark.parametrize("page", ["scenarios.md", "reliability.md"])
def test_each_test_that_is_named_exists(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    for file in set(re.findall(r"`(?:tests/)?(\w+/\w+\.py)`", text)) | {f for f, _ in _named(text)}:
        assert (TESTS / file).is_file() or (TESTS.parent / file).is_file(), file
    for file, name in _named(text):
        assert f"\ndef {name}(" in (TESTS / file).read_text("utf-8"), f"{file}::{name}"


def _named(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"`(\w+/\w+\.py)::(test_\w+)`", text))


def test_every_scenario_names_a_test() -> None:
    rows = [line for line in (DOCS / "scenarios.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| scenario")]
    assert len(rows) > 40
    assert [row for row in rows if "::test_" not in row] == []
