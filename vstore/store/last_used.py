"""When an object was last used: what lets a collector take first what nobody has missed.

Realising, running and substituting are uses; reading a file is none, and the trampolines record nothing. Recording is
a convenience that must cost nothing: one row per object and day, never waiting for another writer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store.index.connection import Database, text

_CLOSURE = """
WITH RECURSIVE closure (id) AS (
    SELECT id FROM objects WHERE path = ?
    UNION SELECT reference FROM refs JOIN closure ON referrer = id
)
INSERT INTO uses SELECT id, ?, ? FROM closure WHERE true
ON CONFLICT (object) DO UPDATE SET used_on = excluded.used_on, used_by = excluded.used_by
WHERE used_on < excluded.used_on
"""


class Uses:
    """The last use of every object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, path: StorePath) -> tuple[str, str] | None:
        """The day (UTC, ISO 8601) and what used it; None if no use was recorded."""
        sql = "SELECT used_on, used_by FROM uses JOIN objects ON id = object WHERE path = ?"
        return next(iter(self._database.read(lambda day, by: (_day(day), text(by)), sql, str(path))), None)

    def record(self, path: StorePath, by: str, *, now: datetime | None = None) -> bool:
        """The object and all it refers to are in use today, by a profile or a command. Nothing is written twice a day.

        Returns whether the day is recorded now: not when the index is busy, read-only or full, which is no error.
        """
        today = (now or datetime.now(UTC)).date().isoformat()
        known = self.last(path)
        if known is not None and known[0] >= today:
            return True
        if self._database.read_only:
            return self._record_elsewhere(path, today, by)
        try:
            with self._database.transaction(patient=False) as connection:
                connection.execute(_CLOSURE, (str(path), today, by))
        except StoreError:
            return False
        return True

    def record_all(self, *, now: datetime) -> None:
        """Everything counts as used today: nobody knows better."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO uses SELECT id, ?, '' FROM objects", (now.date().isoformat(),))

    def _record_elsewhere(self, path: StorePath, today: str, by: str) -> bool:
        """A reader that is about to become the program writes through a connection of its own, if it may."""
        try:
            writer = Database(self._database.file)
        except (StoreError, OSError):
            return False
        try:
            return Uses(writer).record(path, by, now=datetime.fromisoformat(today))
        finally:
            writer.close()


def _day(value: object) -> str:
    date.fromisoformat(text(value))
    return text(value)
