"""The table of features: no cell of vstore's is empty, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "features.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)))
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_cell_is_empty_and_each_row_names_a_test() -> None:
    rows = [row for row in ROWS if row[-1] != "test"]
    assert len(rows) > 60
    for row in rows:
        assert re.fullmatch(r"`[\w/]+\.py::test_\w+`", row[-1]), row
        assert len(row) == 2 or (len(row) == 4 and row[2]), row


def test_what_is_not_there_has_a_reason() -> None:
    refused = [row[2] for row in ROWS if len(row) == 4 and row[2].startswith("no")]
    assert refused and all(len(text.partition(":")[2].split()) > 4 for text in refused if text.startswith("no:"))
    assert all(text.startswith(("no:", "no step needed", "none is needed", "nothing to do")) for text in refused)
