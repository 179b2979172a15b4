"""The rows of last uses, by which a collection takes the objects that were unused for longest.

Realising, running and substituting are uses; reading a file is none. Recording costs at most one row per object and
day, and never waits for another writer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store.index.connection import Database, text
from vstore.values import frozen

_RECORD_CLOSURE = """
WITH RECURSIVE closure (id) AS (
    SELECT id FROM objects WHERE path = ?
    UNION SELECT reference FROM object_references JOIN closure ON referrer = id
)
INSERT INTO last_used SELECT id, ?, ? FROM closure WHERE true
ON CONFLICT (object) DO UPDATE SET used_on = excluded.used_on, used_by = excluded.used_by
WHERE used_on < excluded.used_on
"""


@frozen(kw_only=False)
class Use:
    """A use of an object: the UTC day in ISO 8601, and the profile or command."""

    used_on: str
    used_by: str


class LastUsed:
    """The last use of every object."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, path: StorePath) -> Use | None:
        """Return the last use of an object; None if no use is recorded."""
        sql = "SELECT used_on, used_by FROM last_used JOIN objects ON id = object WHERE path = ?"
        return next(iter(self._database.read(lambda day, by: Use(_day(day), text(by)), sql, str(path))), None)

    def days(self) -> dict[StorePath, date]:
        """Return the UTC day of the last use of each object that has one recorded."""
        sql = "SELECT path, used_on FROM last_used JOIN objects ON id = object"
        return dict(self._database.read(lambda path, day: (StorePath.parse(path), date.fromisoformat(text(day))), sql))

    def record(self, path: StorePath, used_by: str, *, now: datetime | None = None) -> bool:
        """Record that an object and all that it refers to are used today, by a profile or a command.

        Return whether the day is recorded: False if the index is busy, read-only or full, which is no error.
        """
        today = (now or datetime.now(UTC)).date().isoformat()
        known = self.of(path)
        if known is not None and known.used_on >= today:
            return True
        if self._database.read_only:
            return self._record_elsewhere(path, today, used_by)
        try:
            with self._database.transaction(wait=False) as connection:
                connection.execute(_RECORD_CLOSURE, (str(path), today, used_by))
        except StoreError:
            return False
        return True

    def _record_elsewhere(self, path: StorePath, today: str, used_by: str) -> bool:
        """Record through a writing connection, if this user may write: a process that starts a program only reads."""
        try:
            writer = Database(self._database.file)
        except (StoreError, OSError):
            return False
        try:
            return LastUsed(writer).record(path, used_by, now=datetime.fromisoformat(today))
        finally:
            writer.close()


def _day(value: object) -> str:
    date.fromisoformat(text(value))
    return text(value)
