"""The rows of generations: what the index keeps of each beside its link."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store.index.connection import Database, blob, count, moment, text
from vstore.store.index.objects import object_id
from vstore.values import frozen

_USE_UP = """
INSERT INTO profiles VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET last_number = max(last_number, excluded.last_number)
"""


@frozen
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
        return self._database.read(_name, "SELECT DISTINCT profile FROM generations ORDER BY profile")

    def last_number(self, profile: str) -> int:
        return next(iter(self._database.read(count, "SELECT last_number FROM profiles WHERE name = ?", profile)), 0)

    def numbers(self) -> set[tuple[str, int]]:
        """Profile and number of every generation there is."""
        sql = "SELECT profile, number FROM generations"
        return set(self._database.read(lambda profile, number: (_name(profile), _number(number)), sql))

    def of(self, profile: str) -> list[GenerationRow]:
        sql = """SELECT profile, number, path, created_at, spec_path, spec_digest, replaced, used_on FROM generations
                 JOIN objects ON id = generations.object LEFT JOIN uses ON uses.object = id
                 WHERE profile = ? ORDER BY number"""
        return self._database.read(_row, sql, profile)

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


def _row(profile: Any, number: Any, path: Any, created_at: Any, *others: Any) -> GenerationRow:
    """ValueError or TypeError for columns that make no sense."""
    spec_path, spec_digest, replaced, used_on = others
    return GenerationRow(
        profile=_name(profile),
        number=_number(number),
        path=StorePath.parse(path),
        created_at=moment(created_at),
        spec_path=text(spec_path) if spec_path is not None else None,
        spec_digest=Digest(blob(spec_digest)) if spec_digest is not None else None,
        replaced=count(replaced) if replaced is not None else None,
        used_on=date.fromisoformat(used_on) if used_on is not None else None,
    )


def _name(value: object) -> str:
    """A profile's name becomes part of a file's: no folder may be in it."""
    name = text(value)
    if "/" in name or "\0" in name:
        raise ValueError(f"no name for a profile: {name!r}")
    return name


def _number(value: object) -> int:
    if count(value) == 0:
        raise ValueError("generations are numbered from 1")
    return count(value)
