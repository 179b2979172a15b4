"""The rows of generations: what the index keeps of each beside its link."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store.database import Database
from vstore.store.index import object_id

_USE_UP = """
INSERT INTO profiles VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET last_number = max(last_number, excluded.last_number)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRow:
    """What the index keeps of a generation beside its link."""

    profile: str
    number: int
    path: StorePath
    created_at: datetime
    spec_path: str | None
    spec_digest: Digest | None
    replaced: int | None
    used_on: date | None = None


class Generations:
    """All profiles' generations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def profiles(self) -> list[str]:
        return [name for (name,) in self._database.rows("SELECT DISTINCT profile FROM generations ORDER BY profile")]

    def last_number(self, profile: str) -> int:
        rows = self._database.rows("SELECT last_number FROM profiles WHERE name = ?", profile)
        return int(rows[0][0]) if rows else 0

    def numbers(self) -> set[tuple[str, int]]:
        """Profile and number of every generation there is."""
        return set(self._database.rows("SELECT profile, number FROM generations"))

    def of(self, profile: str) -> list[GenerationRow]:
        rows = self._database.rows(
            "SELECT number, path, created_at, spec_path, spec_digest, replaced, used_on FROM generations"
            " JOIN objects ON id = generations.object LEFT JOIN uses ON uses.object = id"
            " WHERE profile = ? ORDER BY number",
            profile,
        )
        return [
            GenerationRow(
                profile=profile,
                number=number,
                path=StorePath.parse(path),
                created_at=datetime.fromisoformat(created_at),
                spec_path=spec_path,
                spec_digest=Digest(spec_digest) if spec_digest else None,
                replaced=replaced,
                used_on=date.fromisoformat(used_on) if used_on else None,
            )
            for number, path, created_at, spec_path, spec_digest, replaced, used_on in rows
        ]

    def add(self, row: GenerationRow) -> None:
        """Record a generation; its number is used up for ever."""
        with self._database.transaction() as connection:
            number = object_id(connection, row.path)
            if number is None:
                raise StoreError(f"not in the store: {row.path}")
            connection.execute(_USE_UP, (row.profile, row.number))
            connection.execute(
                "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    row.profile,
                    row.number,
                    number,
                    row.created_at.isoformat(timespec="seconds"),
                    row.spec_path,
                    row.spec_digest.raw if row.spec_digest else None,
                    row.replaced,
                ),
            )

    def drop(self, profile: str, numbers: Iterable[int]) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM generations WHERE profile = ? AND number = ?", [(profile, number) for number in numbers]
            )

    def use_up(self, profile: str, number: int) -> None:
        """Never give this number again, nor one below it."""
        with self._database.transaction() as connection:
            connection.execute(_USE_UP, (profile, number))
