"""Opening the index: the connection, its settings, the schema and its version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vstore.errors import BusyError, StoreError
from vstore.fs.faults import Point, reached

SCHEMA = 1  # PRAGMA user_version of the schema that this release writes
_SCHEMA_FILE = Path(__file__).with_name("schema.sql")
_BUSY_SECONDS = 60.0


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """SQLite's errors as ours, each with what a user can do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyError(f"the index is in use by another process: {file}", hint="try again") from error
        if code == sqlite3.SQLITE_FULL:
            raise StoreError(f"no space left for the index: {file}", hint="run `vstore gc`, or free space") from error
        if code == sqlite3.SQLITE_READONLY:
            raise StoreError(f"the index is read-only: {file}", hint="give a writable --root") from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise StoreError(f"the index is damaged: {file}", hint="run `vstore reindex`") from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise StoreError(f"the index refused what would break it: {error}") from error
        if code == sqlite3.SQLITE_CANTOPEN and file.exists():
            raise StoreError(
                f"the store is read-only or not yours: {file.parent}",
                hint="give a writable --root; list, info, run and verify work as it is",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN:
            raise StoreError(f"there is no store here, or it cannot be read: {file.parent}") from error
        raise StoreError(f"the index refused: {error}", hint="run `vstore verify`") from error


def connect(file: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection with the schema in place. Raises StoreError for a newer schema or a damaged file."""
    with translated(file):
        if read_only:
            return _connect_read_only(file)
        with _opened(file, "mode=rwc") as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # a registered object survives a power cut
            if _version(connection, file) < SCHEMA:
                _migrate(connection, file)
            return connection


@contextmanager
def _opened(file: Path, query: str) -> Iterator[sqlite3.Connection]:
    """A connection that is closed again if making it usable fails."""
    uri = f"{file.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
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
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA:
        raise StoreError(
            f"the index is of a newer release (schema {found}, this one knows {SCHEMA}): {file}",
            hint="update vstore",
        )
    return found


def _migrate(connection: sqlite3.Connection, file: Path) -> None:
    """Bring the schema up to date, once even with several openers."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection, file) == 0:
        statement = ""
        for line in _SCHEMA_FILE.read_text("utf-8").splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                connection.execute(statement)
                statement = ""
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    reached(Point.SCHEMA_MADE)
    connection.execute("COMMIT")
