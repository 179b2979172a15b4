"""The database of the index: its connection and settings, its schema, and its errors.

One connection serves all threads, one at a time. A `transaction` is durable when it returns, unless that is not needed.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from vstore.errors import StoreError
from vstore.fs.disk import free_bytes
from vstore.fs.faults import Point, reached
from vstore.fs.locking.waits import Wait

T = TypeVar("T")
Connection = sqlite3.Connection
Row = tuple[Any, ...]  # values as SQLite returns them, not yet checked

SCHEMA = 5  # PRAGMA user_version of the schema that this release writes
_SCHEMA_FILE = Path(__file__).with_name("schema.sql")
_TRY_SECONDS = 0.1  # how long SQLite itself waits for another process, which no signal interrupts
_SMALL_PAGES = 1024  # 4 MiB
_ALL_COLUMNS = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)  # retrying helps with no other code
_RETRY_SECONDS = 0.01
_LONGEST_PATH = 500  # SQLite's MAX_PATHNAME is 512, the names of its own files beside the index included


class Database:
    """One open database. Raises StoreError and BusyError, never sqlite3.Error."""

    def __init__(self, file: Path, *, read_only: bool = False, is_new: Callable[[], bool] = lambda: True) -> None:
        """Open `file`. A file without a schema gets one if the store `is_new`, and is damaged otherwise."""
        self.file = file
        self.read_only = read_only
        self._connection = connect(file, read_only=read_only, is_new=is_new)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def check(self) -> None:
        """Raise StoreError unless SQLite finds the file, its tables and indexes, and every foreign key valid."""
        with self._lock, translated(self.file, self.read_only):
            if not _is_sound(self._connection):
                raise damaged(self.file)

    def read(self, row: Callable[..., T], sql: str, *values: object) -> list[T]:
        """Run a query and return `row(*columns)` for each row. Raises StoreError for invalid columns."""
        found = self.rows(sql, *values)
        with understood(self.file):
            return [row(*columns) for columns in found]

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Run a query and return its rows."""
        with self._lock, translated(self.file, self.read_only):
            return waited(self.file, lambda: self._connection.execute(sql, values).fetchall())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all queries in the block read the state of one moment."""
        with self._lock, translated(self.file, self.read_only):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self, *, wait: bool = True, durable: bool = True) -> Iterator[Connection]:
        """Write all or nothing. Raises BusyError if others write for too long, or, without `wait`, at all.

        A transaction that need not be `durable` does not wait for the disk; a power cut may undo it.
        """
        with self._lock, translated(self.file, self.read_only), nullcontext() if durable else self._without_flushing():
            if wait:
                waited(self.file, lambda: self._connection.execute("BEGIN IMMEDIATE"))
            else:
                with self._without_waiting():
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
    def _without_waiting(self) -> Iterator[None]:
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(_TRY_SECONDS * 1000)}")

    @contextmanager
    def _without_flushing(self) -> Iterator[None]:
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")

    def compact(self) -> None:
        """Free the space of deleted rows: truncate the log, and rewrite the file when a quarter of it is empty.

        Does nothing while another process uses the index; the next collection does it then.
        """
        with self._lock, suppress(StoreError), translated(self.file, self.read_only), self._without_waiting():
            pages, free = (self.rows(f"PRAGMA {what}")[0][0] for what in ("page_count", "freelist_count"))
            if pages > _SMALL_PAGES and free * 4 > pages:
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def waited(file: Path, query: Callable[[], T]) -> T:
    """Call `query` until no other process keeps the index busy. Raises BusyError, Cancelled and sqlite3.Error."""
    wait = None
    while True:
        try:
            return query()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) not in _BUSY:
                raise
        wait = wait or Wait("the index", [file, *beside(file)], shared=True)
        wait.go_on()
        time.sleep(_RETRY_SECONDS)  # in some cases SQLite does not wait at all


def beside(file: Path) -> list[Path]:
    """Return the paths of SQLite's own files beside the index: its log and its shared memory."""
    return [file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm")]


def blob(value: object) -> bytes:
    """Return the value of a column of bytes. Raises TypeError for any other value."""
    if not isinstance(value, bytes):
        raise TypeError(f"not bytes: {value!r}")
    return value


def text(value: object) -> str:
    """Return the value of a column of text. Raises TypeError for any other value."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value


def count(value: object) -> int:
    """Return the value of a column of counts. Raises ValueError for any other value."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"not a count: {value!r}")
    return value


def moment(value: object) -> datetime:
    """Return the aware time in a column. Raises ValueError or TypeError for any other value."""
    found = datetime.fromisoformat(text(value))
    if found.tzinfo is None:
        raise ValueError(f"no time zone: {value!r}")
    return found


def damaged(file: Path) -> StoreError:
    """Return the error for an index that SQLite or the types of vstore reject."""
    return StoreError(f"the index is damaged: {file}", hint="run `vstore reindex`")


def _is_sound(connection: sqlite3.Connection) -> bool:
    with closing(sqlite3.connect(":memory:")) as other:
        other.executescript(_SCHEMA_FILE.read_text("utf-8"))
        expected = set(other.execute(_ALL_COLUMNS))
    checked = connection.execute("PRAGMA integrity_check(1)").fetchall()
    return (
        checked == [("ok",)]
        and not connection.execute("PRAGMA foreign_key_check").fetchall()
        and expected <= set(connection.execute(_ALL_COLUMNS))
    )


@contextmanager
def understood(file: Path) -> Iterator[None]:
    """Report errors in the block, where rows are converted to values, as damage."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise damaged(file) from error


@contextmanager
def translated(file: Path, read_only: bool) -> Iterator[None]:
    """Convert SQLite's errors to StoreError or BusyError, each with a hint. An error in a query of ours is damage."""
    try:
        yield
    except (UnicodeDecodeError, OverflowError) as error:  # of a text in the file, or in its message
        raise damaged(file) from error
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(error):
            raise StoreError(f"the store is closed: {file.parent}", hint="use it inside its `with` block") from error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Wait("the index", [file, *beside(file)], shared=True).busy() from error
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(file)):
            raise StoreError(f"no space left for the index: {file}", hint="run `vstore gc`, or free space") from error
        if code == sqlite3.SQLITE_IOERR:
            raise StoreError(
                f"the disk failed under the index: {file}", hint="check the disk, then run `vstore verify --contents`"
            ) from error
        if code == sqlite3.SQLITE_READONLY and (read_only or not os.access(file, os.W_OK)):
            raise StoreError(f"the index is read-only: {file}", hint="give a writable --root") from error
        if code == sqlite3.SQLITE_CONSTRAINT and _looks_sound(file):
            raise StoreError(f"the index refused an invalid change: {error}") from error
        if code == sqlite3.SQLITE_CANTOPEN and len(os.fsencode(file.absolute())) > _LONGEST_PATH:
            raise StoreError(
                f"the path is too long for the index, {_LONGEST_PATH} bytes are possible: {file}",
                hint="give a shorter --root",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN and file.exists() and not os.access(file.parent, os.W_OK):
            raise StoreError(
                f"the store is not writable: {file.parent}",
                hint="give a writable --root; list, info, run and verify need no write access",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN and not file.exists():
            raise StoreError(
                f"no store here, or not readable: {file.parent}", hint="give another folder with --root"
            ) from error
        raise damaged(file) from error


def _looks_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _is_sound(connection)
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _is_full(file: Path) -> bool:
    """Return whether the disk is full. SQLite reports an I/O error if it cannot make its shared memory, a file."""
    return free_bytes(file.parent) < 1 << 20


def connect(file: Path, *, read_only: bool, is_new: Callable[[], bool]) -> sqlite3.Connection:
    """Connect, and make the schema if it is missing. Raises StoreError for another schema and for a damaged file."""
    for one in (file, *beside(file)):
        if os.path.lexists(one) and not stat.S_ISREG(one.lstat().st_mode):
            raise damaged(one)
    with translated(file, read_only):
        if read_only:
            return _connect_read_only(file, is_new)
        with suppress(OSError):  # SQLite has the better message
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o666))  # SQLite makes a file that only its owner can write
        with _opened(file, "mode=rwc") as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # else it needs space on another file system
            connection.execute("PRAGMA synchronous = FULL")  # a registered object survives a power cut
            if _version(connection, file) == 0:
                _make_schema(connection, file, is_new)
            return connection


@contextmanager
def _opened(file: Path, query: str) -> Iterator[sqlite3.Connection]:
    """Open a connection that is closed if the block fails."""
    uri = f"{file.absolute().as_uri()}?{query}"
    connection = sqlite3.connect(uri, uri=True, timeout=_TRY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _connect_read_only(file: Path, is_new: Callable[[], bool]) -> sqlite3.Connection:
    """Connect read-only; on a read-only file system, where SQLite cannot lock, as to an immutable file."""
    for query in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with _opened(file, query) as connection:
                if _version(connection, file) == 0:
                    _require_new(connection, file, is_new)
                    raise StoreError(
                        f"the store is empty, or another process is creating it: {file.parent}", hint="try again"
                    )
                return connection
        except sqlite3.OperationalError:
            if "immutable" in query or not file.exists():
                raise
    raise AssertionError("unreachable")


def _version(connection: sqlite3.Connection, file: Path) -> int:
    """Return the schema's version: 0 if there is no schema. StoreError unless it is 0 or this release's."""
    found: int = waited(file, lambda: connection.execute("PRAGMA user_version").fetchone()[0])
    if found not in (0, SCHEMA):
        raise StoreError(
            f"the index is damaged or of another release, it has schema {found} instead of {SCHEMA}: {file}",
            hint="use that release of vstore, or run `vstore reindex`",
        )
    return found


def _require_new(connection: sqlite3.Connection, file: Path, is_new: Callable[[], bool]) -> None:
    """Raise StoreError unless a file without a schema is empty, and the store is new."""
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone() or not is_new():
        raise damaged(file)


def _make_schema(connection: sqlite3.Connection, file: Path, is_new: Callable[[], bool]) -> None:
    """Create the tables, once even if several processes open the store."""
    waited(file, lambda: connection.execute("PRAGMA journal_mode = WAL"))
    waited(file, lambda: connection.execute("BEGIN IMMEDIATE"))
    if _version(connection, file) == 0:
        _require_new(connection, file, is_new)
        for statement in _statements(_SCHEMA_FILE.read_text("utf-8")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    reached(Point.SCHEMA_MADE)
    connection.execute("COMMIT")


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
