"""The rows of realisations: which recipe gave which object, and how it was made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from vstore.digest import Digest, canonical_json
from vstore.errors import StoreError
from vstore.objects import StorePath
from vstore.store.index.connection import Connection, Database, blob, count
from vstore.store.model import BuildCost, Provenance


class Realisations:
    """Recipes and the objects that they gave, wheels and the objects that hold them, stacks by their inputs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def object_of(self, recipe: Digest) -> StorePath | None:
        """Return the object that the recipe gave; None if there is none."""
        return self._one(
            "SELECT path FROM realisations JOIN objects ON id = object WHERE realisations.recipe = ?", recipe.raw
        )

    def recipes(self) -> list[Digest]:
        """Return all recipes that gave an object."""
        return self._database.read(_digest, "SELECT recipe FROM realisations")

    def recipes_of(self, paths: Iterable[StorePath]) -> list[Digest]:
        """Return the recipes that gave these objects."""
        sql = """SELECT realisations.recipe FROM realisations JOIN objects ON id = object
                 WHERE path IN (SELECT value FROM json_each(?))"""
        return self._database.read(_digest, sql, json_array(paths))

    def add(self, path: StorePath, provenance: Provenance) -> None:
        """Record how a registered object can also be made: recipe, wheels and inputs."""
        with self._database.transaction() as connection:
            add_provenance(connection, path, provenance)

    def expected_cost(self, name: str) -> BuildCost | None:
        """Return the cost of the last object of this name that was built; None if there is none."""
        sql = """SELECT build_seconds, size_bytes FROM objects JOIN realisations ON object = id
                 WHERE substr(path, 34) = ? AND build_seconds IS NOT NULL ORDER BY id DESC LIMIT 1"""
        found = self._database.read(lambda seconds, size: BuildCost(float(seconds), count(size)), sql, name)
        return found[0] if found else None

    def objects_with_wheel(self, wheel_key: bytes) -> list[StorePath]:
        """Return the objects that hold a compiled wheel, newest first."""
        sql = "SELECT path FROM object_wheels JOIN objects ON id = object WHERE wheel_key = ? ORDER BY id DESC"
        return self._database.read(StorePath.parse, sql, wheel_key)

    def wheel_keys(self, path: StorePath) -> list[bytes]:
        """Return the keys of the compiled wheels in an object."""
        sql = "SELECT wheel_key FROM object_wheels JOIN objects ON id = object WHERE path = ? ORDER BY wheel_key"
        return self._database.read(blob, sql, str(path))

    def cached_stack(self, inputs: bytes) -> StorePath | None:
        """Return the stack that was realised from inputs with this digest; None if none is recorded."""
        sql = "SELECT path FROM stack_cache JOIN objects ON id = object WHERE inputs_digest = ?"
        return self._one(sql, inputs)

    def cache_stack(self, inputs: bytes, path: StorePath) -> None:
        """Record the stack that was realised from inputs with this digest, if it is in the store."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO stack_cache SELECT ?, id FROM objects WHERE path = ?", (inputs, str(path))
            )

    def _one(self, sql: str, *values: object) -> StorePath | None:
        return next(iter(self._database.read(StorePath.parse, sql, *values)), None)


def add_provenance(connection: Connection, path: StorePath, provenance: Provenance) -> None:
    """Write the rows of an object's provenance. Inputs that are not in the store are omitted.

    An object from a cache comes without the source objects that it was built from.
    """
    number = object_id(connection, path)
    if provenance.recipe is not None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        connection.execute(
            "INSERT OR REPLACE INTO realisations VALUES (?, ?, ?, ?)",
            (provenance.recipe.raw, number, provenance.build_seconds, now),
        )
    connection.executemany(
        "INSERT INTO object_wheels VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(key, number) for key in provenance.wheel_keys],
    )
    connection.executemany(
        "INSERT INTO object_inputs SELECT ?, id FROM objects WHERE path = ? ON CONFLICT DO NOTHING",
        [(number, str(one)) for one in provenance.inputs],
    )


def object_id(connection: Connection, path: StorePath, error: str | None = None) -> int:
    """Return the number of an object's row. Raises StoreError, with the text `error` if given, if it has none."""
    row = connection.execute("SELECT id FROM objects WHERE path = ?", (str(path),)).fetchone()
    if row is None:
        raise StoreError(error or f"not in the store: {path}")
    return int(row[0])


def json_array(paths: Iterable[StorePath]) -> str:
    """Return store paths as a JSON array, for a query with json_each()."""
    return canonical_json([str(path) for path in paths]).decode()


def _digest(value: object) -> Digest:
    return Digest(blob(value))
