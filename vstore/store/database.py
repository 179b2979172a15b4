"""Opening the index: the connection, its settings, the schema and its version.

One connection serves all threads, one at a time; every `transaction` is durable when it returns.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from vstore.errors import StoreError
from vstore.fs.disk import free_bytes
from vstore.fs.faults import Point, reached
from vstore.fs.waits import Wait

T = TypeVar("T")

SCHEMA = 2  # PRAGMA user_version of the schema that this release writes
_SCHEMA_FILE = Path(__file__).with_name("schema.sql")
_MIGRATIONS_FILE = Path(__file__).with_name("migrations.sql")
_TRY_SECONDS = 0.1  # how long SQLite itself waits for another process, deaf to signals; then `Wait` is asked
_SMALL_PAGES = 1024  # 4 MiB
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)  # others pass: a lock is needed first, or never helps
_AGAIN_SECONDS = 0.01
_LONGEST_PATH = 500  # SQLite's MAX_PATHNAME is 512, the names of its own files beside the index included


class Database:
    """One open database. Raises StoreError or BusyError, never an error of SQLite's own."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self.file = file
        self.read_only = read_only
        self._connection = connect(file, read_only=read_only)
        self._lock = threading.RLock()

    def close(self) -> None:
        self._connection.close()

    def check(self) -> None:
        """Raise StoreError unless SQLite finds the file sound and every reference in it valid."""
        if self.rows("PRAGMA quick_check(1)") != [("ok",)] or self.rows("PRAGMA foreign_key_check"):
            raise StoreError(f"the index is damaged: {self.file}", hint="run `vstore reindex`")

    def rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock, translated(self.file):
            return waited(self.file, lambda: self._connection.execute(sql, values).fetchall())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self._lock, translated(self.file):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self, *, patient: bool = True) -> Iterator[Any]:
        """Write, all or nothing. Raises BusyError when others write for too long, or, if not patient, at all."""
        with self._lock, translated(self.file):
            if patient:
                waited(self.file, lambda: self._connection.execute("BEGIN IMMEDIATE"))
            else:
                with self._impatient():
                    self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                reached(Point.INDEX_WRITTEN)
                self._connection.execute("COMMIT")
                reached(Point.INDEX_COMMITTED)
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(_TRY_SECONDS * 1000)}")

    def compact(self) -> None:
        """Give back what deleted rows held: the log's bytes always, the file's when a quarter of it is empty.

        Another process that is busy with the index is not waited for: it is done the next time.
        """
        with self._lock, suppress(StoreError), translated(self.file), self._impatient():
            pages, free = (self.rows(f"PRAGMA {what}")[0][0] for what in ("page_count", "freelist_count"))
            if pages > _SMALL_PAGES and free * 4 > pages:
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def waited(file: Path, ask: Callable[[], T]) -> T:
    """The answer of SQLite, asked again while another process keeps it busy. Raises BusyError, Stopped, and its own."""
    wait = None
    while True:
        try:
            return ask()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) not in _BUSY:
                raise
        wait = wait or Wait("the index", [file, *beside(file)], shared=True)
        wait.go_on()
        time.sleep(_AGAIN_SECONDS)  # in some cases SQLite does not wait at all


def beside(file: Path) -> list[Path]:
    """SQLite's own files beside the index: its log, and what its users have in common."""
    return [file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm")]


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """SQLite's errors as ours, each with what a user can do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Wait("the index", [file, *beside(file)], shared=True).busy() from error
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(file)):
            raise StoreError(f"no space left for the index: {file}", hint="run `vstore gc`, or free space") from error
        if code == sqlite3.SQLITE_IOERR:
            raise StoreError(
                f"the disk failed under the index: {file}", hint="check the disk, then run `vstore verify --contents`"
            ) from error
        if code == sqlite3.SQLITE_READONLY:
            raise StoreError(f"the index is read-only: {file}", hint="give a writable --root") from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StoreError(f"the index is damaged: {file}", hint="run `vstore reindex`") from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise StoreError(f"the index refused what would break it: {error}") from error
        if code == sqlite3.SQLITE_CANTOPEN and len(os.fsencode(file.absolute())) > _LONGEST_PATH:
            raise StoreError(
                f"the path is too long for the index, which can have {_LONGEST_PATH} bytes: {file}",
                hint="give a shorter --root",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN and file.exists():
            raise StoreError(
                f"the store is read-only or not yours: {file.parent}",
                hint="give a writable --root; list, info, run and verify work as it is",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN:
            raise StoreError(f"there is no store here, or it cannot be read: {file.parent}") from error
        raise StoreError(f"the index refused: {error}", hint="run `vstore verify`") from error


def _is_full(file: Path) -> bool:
    """Whether that is why the index's shared memory, a file beside it, could not be made: SQLite says I/O error."""
    return free_bytes(file.parent) < 1 << 20


def connect(file: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection with the schema in place. Raises StoreError for a newer schema or a damaged file."""
    with translated(file):
        if read_only:
            return _connect_read_only(file)
        with suppress(OSError):  # which SQLite says better
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o666))  # it itself makes a file that only its owner writes
        with _opened(file, "mode=rwc") as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # or it would want space on yet another file system
            connection.execute("PRAGMA synchronous = FULL")  # a registered object survives a power cut
            if _version(connection, file) < SCHEMA:
                _migrate(connection, file)
            return connection


@contextmanager
def _opened(file: Path, query: str) -> Iterator[sqlite3.Connection]:
    """A connection that is closed again if making it usable fails."""
    uri = f"{file.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(uri, uri=True, timeout=_TRY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _connect_read_only(file: Path) -> sqlite3.Connection:
    """Plain read-only access; on a file system that is read-only itself, as the immutable file it then is."""
    for query in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with _opened(file, query) as connection:
                if _version(connection, file) < SCHEMA:
                    raise StoreError(
                        f"the index is of an older release: {file}", hint="run any command that writes once"
                    )
                return connection
        except sqlite3.OperationalError:
            if "immutable" in query or not file.exists():
                raise
    raise AssertionError("unreachable")


def _version(connection: sqlite3.Connection, file: Path) -> int:
    found: int = waited(file, lambda: connection.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA:
        raise StoreError(
            f"the index is of a newer release (schema {found}, this one knows {SCHEMA}): {file}",
            hint="update vstore",
        )
    return found


def _migrate(connection: sqlite3.Connection, file: Path) -> None:
    """Bring the schema up to date, once even with several openers."""
    waited(file, lambda: connection.execute("PRAGMA journal_mode = WAL"))
    waited(file, lambda: connection.execute("BEGIN IMMEDIATE"))
    version = _version(connection, file)
    for statement in _statements(_SCHEMA_FILE.read_text("utf-8")) if version == 0 else _newer_than(version):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    reached(Point.SCHEMA_MADE)
    connection.execute("COMMIT")


def _newer_than(version: int) -> Iterator[str]:
    """The statements that lead from a schema to the present one; each step stands below ``-- to N``."""
    steps = re.split(r"^-- to (\d+).*$", _MIGRATIONS_FILE.read_text("utf-8"), flags=re.MULTILINE)
    for number, text in zip(steps[1::2], steps[2::2], strict=True):
        if int(number) > version:
            yield from _statements(text)


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
