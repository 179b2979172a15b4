"""Whatever is damaged in a store is named, with the command that helps, and nothing alive is deleted meanwhile."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scripts.reliability.hostile.damage import command, flushed, make_store, recovered, spoil_indexes

pytestmark = [pytest.mark.skipif(os.name == "nt", reason="needs fork and FIFOs")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "root", symlinks=True)
    return tmp_path / "root"


def test_spoilt_indexes_end_in_the_one_error_or_an_answer_and_can_be_made_anew(tmp_path: Path) -> None:
    counts = spoil_indexes(tmp_path, count=12, seed=7)
    assert counts["named"] > 5 and counts.total() == 48


@pytest.mark.parametrize(
    ("column", "value"), [("kind", "x"), ("digest", b"short"), ("registered_at", "2026-13-45"), ("path", "../../x")]
)
def test_a_value_that_makes_no_sense_is_damage(root: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA ignore_check_constraints = ON")
        other.execute(f"UPDATE objects SET {column} = ? WHERE path LIKE '%-middle'", (value,))
    assert "the index is damaged" in command(root, "list").error


def test_an_empty_index_is_not_taken_for_a_new_one(root: Path) -> None:
    """Else a collection would take every object for litter."""
    for suffix in ("-wal", "-shm"):
        (root / f"index.sqlite{suffix}").unlink()
    (root / "index.sqlite").write_bytes(b"")
    for arguments in (("gc",), ("list",), ("doctor",), ("verify",)):
        ended = command(root, *arguments)
        assert "the index is damaged" in ended.error + ended.out and "`vstore reindex`" in ended.error + ended.out
    recovered(root, "empty")


def test_rows_that_were_in_a_lost_log_cost_no_object(root: Path) -> None:
    """SQLite cannot notice: what is left of the index is sound. But roots name objects that it does not know."""
    (root / "index.sqlite-wal").write_bytes(b"")
    (root / "index.sqlite-shm").unlink()
    with closing(sqlite3.connect(root / "index.sqlite")) as left:
        assert left.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    shutil.copy(root / "index.sqlite", root / "old")
    assert "the index is damaged" in command(root, "gc").error
    recovered(root, "lost log")
    flushed(root)
    with closing(sqlite3.connect(root / "index.sqlite")) as other:
        other.execute("PRAGMA foreign_keys = ON")
        other.execute("DELETE FROM generations")
        other.execute("DELETE FROM objects WHERE path LIKE '%-app-stack'")
        other.execute("DELETE FROM objects WHERE path LIKE '%-middle'")
        other.commit()
    for arguments in (("gc",), ("gc", "--dry-run"), ("delete", "dead")):
        ended = command(root, *arguments)
        assert ended.code == 6 and "the index is damaged: it lacks objects that roots name" in ended.error, ended
    assert "`vstore reindex`" in command(root, "doctor").out
    recovered(root, "lost rows")
    assert "app-stack" in command(root, "list").out


def test_nothing_is_deleted_on_the_word_of_references_that_are_damaged(root: Path) -> None:
    """Table and index of the references differ: a collector that believed the table would take what is alive."""
    flushed(root)

    def change(*statements: tuple[str, tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as other:
            other.execute("PRAGMA writable_schema = ON")
            for sql, values in statements:
                other.execute(sql, values)

    with closing(sqlite3.connect(root / "index.sqlite")) as other:
        row = other.execute("SELECT * FROM sqlite_master WHERE name = 'object_references_reference'").fetchone()
    change(("DELETE FROM sqlite_master WHERE name = 'object_references_reference'", ()))
    change(("DELETE FROM object_references", ()), ("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row))
    for arguments in (("gc",), ("delete", "dead"), ("verify",)):
        ended = command(root, *arguments)
        assert (ended.code, "the index is damaged" in ended.error) == (6, True), ended
    recovered(root, "references")


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"x = 1979-13-45", b"[gc]\nkeep = " + b"9" * 5000, b'[gc]\ngrace = "999999999w"', b"a." * 500]
)
def test_a_damaged_configuration_is_one_line_that_names_the_file(root: Path, text: bytes) -> None:
    (root / "config.toml").write_bytes(text)
    ended = command(root, "gc")
    assert ended.code == 2 and f"error: {root / 'config.toml'}: " in ended.error and ended.error.count("\n") <= 2, ended


def test_a_damaged_record_is_named_and_written_again(root: Path) -> None:
    record = root / "profiles" / ".app-1.json"
    for data in (b"", b"\xff", b"[]", record.read_bytes().replace(b"+00:00", b"")):
        record.write_bytes(data)
        ended = command(root, "verify")
        assert ended.code == 6 and ".app-1.json does not describe generation 1" in ended.out, ended
        assert command(root, "verify", "--repair", "--offline").code == 0
        assert command(root, "verify").code == 0


def test_names_that_are_too_large_for_a_number_are_no_generations(root: Path) -> None:
    (root / "profiles" / f"app-{10**20}-link").symlink_to(os.readlink(root / "profiles" / "app-1-link"))
    (root / "profiles" / f".app-{10**20}.json").write_bytes(b"{}\n")
    assert command(root, "reindex").code == 0
    recovered(root, "numbers")
