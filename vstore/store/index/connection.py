"""Opening the index: the connection, its settings, the schema and its version.

One connection serves all threads, one at a time; every `transaction` is durable when it returns.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from vstore.errors import StoreError
from vstore.fs.disk import free_bytes
from vstore.fs.faults import Point, reached
from vstore.fs.locking.waits import Wait

T = TypeVar("T")

SCHEMA = 3  # PRAGMA user_version of the schema that this release writes
_SCHEMA_FILE = Path(__file__).with_name("schema.sql")
_TRY_SECONDS = 0.1  # how long SQLite itself waits for another process, deaf to signals; then `Wait` is asked
_SMALL_PAGES = 1024  # 4 MiB
_ALL_COLUMNS = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY)  # others pass: a lock is needed first, or never helps
_AGAIN_SECONDS = 0.01
_LONGEST_PATH = 500  # SQLite's MAX_PATHNAME is 512, the names of its own files beside the index included


class Database:
    """One open database. Raises StoreError or BusyError, never an error of SQLite's own."""

    def __init__(self, file: Path, *, read_only: bool = False, is_new: Callable[[], bool] = lambda: True) -> None:
        """Open `file`. One without a schema is given one if the store `is_new`, and else is damaged."""
        self.file = file
        self.read_only = read_only
        self._connection = connect(file, read_only=read_only, is_new=is_new)
        self._lock = threading.RLock()

    def close(self) -> None:
        self._connection.close()

    def check(self) -> None:
        """Raise StoreError unless SQLite finds the file sound, tables as their indexes, and every reference valid."""
        with self._lock, translated(self.file, self.read_only):
            if not _is_sound(self._connection):
                raise damaged(self.file)

    def read(self, row: Callable[..., T], sql: str, *values: object) -> list[T]:
        """The rows of a question, each made by `row` of its columns. Raises StoreError for what makes no sense."""
        found = self.rows(sql, *values)
        with understood(self.file):
            return [row(*columns) for columns in found]

    def rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock, translated(self.file, self.read_only):
            return waited(self.file, lambda: self._connection.execute(sql, values).fetchall())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self._lock, translated(self.file, self.read_only):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self, *, patient: bool = True) -> Iterator[Any]:
        """Write, all or nothing. Raises BusyError when others write for too long, or, if not patient, at all."""
        with self._lock, translated(self.file, self.read_only):
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
        with self._lock, suppress(StoreError), translated(self.file, self.read_only), self._impatient():
            pages, free = (self.rows(f"PRAGMA {what}")[0][0] for what in ("page_count", "freelist_count"))
            if pages > _SMALL_PAGES and free * 4 > pages:
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def waited(file: Path, ask: Callable[[], T]) -> T:
    """Query SQLite, again while another process keeps it busy. Raises BusyError, Cancelled, sqlite3.Error."""
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


def blob(value: object) -> bytes:
    """The value of a column of bytes. TypeError for another."""
    if not isinstance(value, bytes):
        raise TypeError(f"no bytes: {value!r}")
    return value


def text(value: object) -> str:
    """The value of a column of text. TypeError for another."""
    if not isinstance(value, str):
        raise TypeError(f"no text: {value!r}")
    return value


def count(value: object) -> int:
    """The value of a column of counts. ValueError for what is none."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"no count: {value!r}")
    return value


def moment(value: object) -> datetime:
    """The value of a column of times, aware. ValueError or TypeError for another."""
    found = datetime.fromisoformat(text(value))
    if found.tzinfo is None:
        raise ValueError(f"no time zone: {value!r}")
    return found


def damaged(file: Path) -> StoreError:
    """The one error for bytes that neither SQLite nor our types understand."""
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
    """Values are made of rows here: what cannot be made is damage."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise damaged(file) from error


@contextmanager
def translated(file: Path, read_only: bool) -> Iterator[None]:
    """SQLite's errors as ours, each with what a user can do. All that SQLite says of our own questions is damage."""
    try:
        yield
    except (UnicodeDecodeError, OverflowError) as error:  # of a text in the file, or in its message
        raise damaged(file) from error
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
        if code == sqlite3.SQLITE_READONLY and (read_only or not os.access(file, os.W_OK)):
            raise StoreError(f"the index is read-only: {file}", hint="give a writable --root") from error
        if code == sqlite3.SQLITE_CONSTRAINT and _looks_sound(file):
            raise StoreError(f"the index refused what would break it: {error}") from error
        if code == sqlite3.SQLITE_CANTOPEN and len(os.fsencode(file.absolute())) > _LONGEST_PATH:
            raise StoreError(
                f"the path is too long for the index, which can have {_LONGEST_PATH} bytes: {file}",
                hint="give a shorter --root",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN and file.exists() and not os.access(file.parent, os.W_OK):
            raise StoreError(
                f"the store is read-only or not yours: {file.parent}",
                hint="give a writable --root; list, info, run and verify work as it is",
            ) from error
        if code == sqlite3.SQLITE_CANTOPEN and not file.exists():
            raise StoreError(f"there is no store here, or it cannot be read: {file.parent}") from error
        raise damaged(file) from error


def _looks_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _is_sound(connection)
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _is_full(file: Path) -> bool:
    """Whether that is why the index's shared memory, a file beside it, could not be made: SQLite says I/O error."""
    return free_bytes(file.parent) < 1 << 20


def connect(file: Path, *, read_only: bool, is_new: Callable[[], bool]) -> sqlite3.Connection:
    """A connection with the schema in place. Raises StoreError for another schema or a damaged file."""
    for one in (file, *beside(file)):
        if os.path.lexists(one) and not stat.S_ISREG(one.lstat().st_mode):
            raise damaged(one)
    with translated(file, read_only):
        if read_only:
            return _connect_read_only(file, is_new)
        with suppress(OSError):  # which SQLite says better
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o666))  # it itself makes a file that only its owner writes
        with _opened(file, "mode=rwc") as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # or it would want space on yet another file system
            connection.execute("PRAGMA synchronous = FULL")  # a registered object survives a power cut
            if _version(connection, file) == 0:
                _make_schema(connection, file, is_new)
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


def _connect_read_only(file: Path, is_new: Callable[[], bool]) -> sqlite3.Connection:
    """Plain read-only access; on a file system that is read-only itself, as the immutable file it then is."""
    for query in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with _opened(file, query) as connection:
                if _version(connection, file) == 0:
                    _require_new(connection, file, is_new)
                    raise StoreError(f"the store is empty, or just being made: {file.parent}", hint="try again")
                return connection
        except sqlite3.OperationalError:
            if "immutable" in query or not file.exists():
                raise
    raise AssertionError("unreachable")


def _version(connection: sqlite3.Connection, file: Path) -> int:
    """Return the schema's version: 0 before there is one. StoreError for another than this release's."""
    found: int = waited(file, lambda: connection.execute("PRAGMA user_version").fetchone()[0])
    if found not in (0, SCHEMA):
        raise StoreError(
            f"the index is damaged, or of another release (schema {found}, this one has {SCHEMA}): {file}",
            hint="use that release of vstore, or run `vstore reindex`",
        )
    return found


def _require_new(connection: sqlite3.Connection, file: Path, is_new: Callable[[], bool]) -> None:
    """Raise StoreError if what has no version of the schema was not always empty."""
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone() or not is_new():
        raise damaged(file)


def _make_schema(connection: sqlite3.Connection, file: Path, is_new: Callable[[], bool]) -> None:
    """Make the tables, once even with several openers."""
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
