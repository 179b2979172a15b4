"""The rows of generations."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.store.index.connection import Database, blob, count, moment, text
from vstore.store.index.realisations import object_id
from vstore.store.layout import generation_of
from vstore.store.model import Generation

_USE_NUMBER = """
INSERT INTO profiles VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET last_number = max(last_number, excluded.last_number)
"""


class Generations:
    """The generations of all profiles: their rows, and the links in the profiles' folder for which one is current."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def profiles(self) -> list[str]:
        """Return the names of the profiles that have generations."""
        return self._database.read(_name, "SELECT DISTINCT profile FROM generations ORDER BY profile")

    def last_number(self, profile: str) -> int:
        """Return the highest number that a generation of the profile ever had; 0 if it had none."""
        return next(iter(self._database.read(count, "SELECT last_number FROM profiles WHERE name = ?", profile)), 0)

    def numbers(self) -> set[tuple[str, int]]:
        """Return profile and number of every generation."""
        sql = "SELECT profile, number FROM generations"
        return set(self._database.read(lambda profile, number: (_name(profile), _number(number)), sql))

    def current_number(self, profile: str) -> int | None:
        """Return the number of the generation that the profile's link leads to; None if it leads to none."""
        try:
            found = generation_of(os.readlink(self._folder / profile))
        except OSError:
            return None
        return found[1] if found and found[0] == profile else None

    def of(self, profile: str) -> list[Generation]:
        """Return the generations of a profile, oldest first."""
        sql = """SELECT number, path, created_at, spec_path, spec_digest, replaced_number, used_on FROM generations
                 JOIN objects ON id = generations.object LEFT JOIN last_used ON last_used.object = id
                 WHERE profile = ? ORDER BY number"""
        current = self.current_number(profile)
        return self._database.read(lambda *row: _generation(profile, current, row), sql, profile)

    def all(self) -> list[Generation]:
        """Return the generations of all profiles."""
        return [generation for profile in self.profiles() for generation in self.of(profile)]

    def add(self, generation: Generation) -> None:
        """Record a generation. Its number is never given again."""
        with self._database.transaction() as connection:
            number = object_id(connection, generation.path)
            connection.execute(_USE_NUMBER, (generation.profile, generation.number))
            connection.execute(
                "INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    generation.profile,
                    generation.number,
                    number,
                    generation.created_at.isoformat(timespec="seconds"),
                    generation.spec_path,
                    generation.spec_digest.raw if generation.spec_digest else None,
                    generation.replaced_number,
                ),
            )

    def drop(self, profile: str, numbers: Iterable[int]) -> None:
        """Remove the rows of generations. Their numbers stay used."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM generations WHERE profile = ? AND number = ?", [(profile, number) for number in numbers]
            )


def _generation(profile: str, current: int | None, row: tuple[object, ...]) -> Generation:
    """Raises ValueError or TypeError for invalid columns."""
    number, path, created_at, spec_path, spec_digest, replaced_number, used_on = row
    return Generation(
        profile=_name(profile),
        number=_number(number),
        path=StorePath.parse(text(path)),
        created_at=moment(created_at),
        spec_path=text(spec_path) if spec_path is not None else None,
        spec_digest=Digest(blob(spec_digest)) if spec_digest is not None else None,
        replaced_number=count(replaced_number) if replaced_number is not None else None,
        current=number == current,
        used_on=date.fromisoformat(text(used_on)) if used_on is not None else None,
    )


def _name(value: object) -> str:
    """Return the name of a profile. ValueError for one that contains a folder, since it becomes part of file names."""
    name = text(value)
    if "/" in name or "\0" in name:
        raise ValueError(f"not a profile name: {name!r}")
    return name


def _number(value: object) -> int:
    if count(value) == 0:
        raise ValueError("generations are numbered from 1")
    return count(value)
