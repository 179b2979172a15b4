"""`sql`: queries on the index, printed as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE, add
from vstore.store import Store

SIZES = "SELECT path, size_bytes FROM objects ORDER BY size_bytes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "root") as store:
        add(store, "one", {"a": b"1"})
        add(store, "three", {"a": b"333"})
    return tmp_path / "root"


def sql(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vstore", "--root", str(root), "sql", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)


def test_one_result_in_three_formats(root: Path) -> None:
    rows = json.loads(sql(root, SIZES, "--format", "json").stdout)
    assert [row["size_bytes"] for row in rows] == [1, 3]
    assert list(csv.DictReader(io.StringIO(sql(root, SIZES, "--format", "csv").stdout))) == [
        {**row, "size_bytes": str(row["size_bytes"])} for row in rows
    ]
    lines = sql(root, SIZES).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["path", "size_bytes"],
        *([row["path"], str(row["size_bytes"])] for row in rows),
    ]


def test_a_result_without_rows(root: Path) -> None:
    none = "SELECT path FROM objects WHERE kind = :kind"
    assert json.loads(sql(root, none, "-p", "kind", "stack", "--format", "json").stdout) == []
    assert len(json.loads(sql(root, none, "-p", "kind", "framework", "--format", "json").stdout)) == 2


def test_without_a_query_the_tables_are_listed(root: Path) -> None:
    tables = {row["table"]: row for row in json.loads(sql(root, "--format", "json").stdout)}
    assert tables["objects"]["rows"] == 2 and "size_bytes" in tables["objects"]["columns"]
    text = (SOURCE / "docs" / "internals" / "store.md").read_text()
    for name, row in tables.items():
        columns = ", ".join(f"`{column}`" for column in row["columns"].split(", "))
        assert f"| `{name}` |" in text and f"| {columns} |" in text, "docs/internals/store.md lists it"


def test_a_query_that_writes_is_refused(root: Path) -> None:
    done = sql(root, "DELETE FROM objects")
    assert done.returncode == 2 and "readonly" in done.stderr
    assert len(json.loads(sql(root, SIZES, "--format", "json").stdout)) == 2
