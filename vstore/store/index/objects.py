"""The index: objects, references and realisations. With its neighbours here the only SQL of the project.

Reads and writes use `sqlite3` directly, one statement each where that can be; every writing method is one
durable transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from sys import intern
from typing import Any, Self

from vstore.digest import Digest, canonical_json
from vstore.errors import StoreError
from vstore.objects import Kind, ObjectInfo, StorePath, is_store_path
from vstore.store.index.connection import Database, blob, count, moment, understood
from vstore.values import frozen, replace

_EDGES = "SELECT referrer, reference FROM refs UNION ALL SELECT object, input FROM inputs"  # all that keeps alive
_COLUMNS = "id, path, digest, kind, size_bytes, files, recipe, registered_at"


@frozen(slots=False)
class Graph:
    """All objects and what keeps them alive: `references[i]` are positions in `names`, the store paths as text.

    Beside an object's references these are its inputs.

    `used_on` is the UTC day of the last use (that of registering, if it was never used) in ISO 8601, `used_by` what
    used it, `seconds` how long it took to build where that is known.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    registered_at: tuple[str, ...]
    references: tuple[tuple[int, ...], ...]
    used_on: tuple[str, ...]
    used_by: tuple[str, ...]
    seconds: tuple[float | None, ...]

    @cached_property
    def paths(self) -> tuple[StorePath, ...]:
        """For questions about a few objects; a collection reads those that it takes."""
        return tuple(map(StorePath.parse, self.names))


@frozen(kw_only=False)
class Expected:
    """The cost of an object like one before: seconds to build it, and bytes."""

    seconds: float
    size_bytes: int


class Index:
    """What is known of the objects; `database` is shared with what else is kept there."""

    def __init__(self, file: Path, *, read_only: bool = False, is_new: Callable[[], bool] = lambda: True) -> None:
        self.database = Database(file, read_only=read_only, is_new=is_new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    # objects

    def info(self, path: StorePath) -> ObjectInfo | None:
        rows = self.database.rows(f"SELECT {_COLUMNS} FROM objects WHERE path = ?", str(path))
        if not rows:
            return None
        sql = "SELECT path FROM refs JOIN objects ON id = reference WHERE referrer = ?"
        references = self.database.read(StorePath.parse, sql, rows[0][0])
        sql = "SELECT path FROM inputs JOIN objects ON id = input WHERE object = ?"
        inputs = self.database.read(StorePath.parse, sql, rows[0][0])
        with understood(self.database.file):
            return replace(_info(rows[0], references), inputs=tuple(sorted(inputs)))

    def is_valid(self, path: StorePath) -> bool:
        return bool(self.database.rows("SELECT 1 FROM objects WHERE path = ?", str(path)))

    def objects(self) -> list[ObjectInfo]:
        """All objects, by path, in two queries."""
        with self.database.snapshot():
            rows = self.database.rows(f"SELECT {_COLUMNS} FROM objects ORDER BY path")
            pairs = self.database.rows("SELECT referrer, reference FROM refs")
        with understood(self.database.file):
            paths = {row[0]: StorePath.parse(row[1]) for row in rows}
            references: dict[int, list[StorePath]] = {number: [] for number in paths}
            for referrer, reference in pairs:
                references[referrer].append(paths[reference])
            return [_info(row, references[row[0]]) for row in rows]

    def referrers(self, path: StorePath) -> list[StorePath]:
        sql = f"""SELECT up.path FROM ({_EDGES}) JOIN objects low ON low.id = reference
                 JOIN objects up ON up.id = referrer WHERE low.path = ? ORDER BY up.path"""
        return self.database.read(StorePath.parse, sql, str(path))

    def find(self, text: str) -> list[StorePath]:
        """Objects whose store path starts with `text`, or whose name is exactly it."""
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = "SELECT path FROM objects WHERE path LIKE ? ESCAPE '\\' OR substr(path, 34) = ? ORDER BY path"
        return self.database.read(StorePath.parse, sql, escaped + "%", text)

    def graph(self) -> Graph:
        """Everything the collector needs, in two queries."""
        sql = """SELECT id, path, size_bytes, registered_at, used_on, used_by, seconds FROM objects
                 LEFT JOIN uses ON uses.object = id LEFT JOIN realisations ON realisations.recipe = objects.recipe
                 ORDER BY id"""
        with self.database.snapshot():
            objects = self.database.rows(sql)
            pairs = self.database.rows(_EDGES)
        with understood(self.database.file):
            return _graph(objects, pairs)

    def register(self, info: ObjectInfo, *, parts: Iterable[bytes] = (), seconds: float | None = None) -> None:
        """Record a complete, flushed object, its references, its realisation and its parts in one transaction."""
        with self.database.transaction() as connection:
            _register(connection, info, parts, seconds)

    def register_all(self, objects: Iterable[tuple[ObjectInfo, Iterable[bytes]]]) -> None:
        """Record many objects with their parts, references before referrers, in one transaction."""
        with self.database.transaction() as connection:
            for info, parts in objects:
                _register(connection, info, parts, None)

    def realise(
        self,
        recipe: Digest | None,
        path: StorePath,
        *,
        parts: Iterable[bytes] = (),
        inputs: Iterable[StorePath] = (),
        seconds: float | None,
    ) -> None:
        """Record that this recipe gives this registered object, what it was built from, and what parts it holds."""
        with self.database.transaction() as connection:
            _link(connection, path, recipe, parts, inputs, seconds)

    def forget(self, paths: Iterable[StorePath]) -> None:
        """Remove the rows of dead objects in one transaction; the schema refuses if a live one refers to them."""
        names = [(str(path),) for path in paths]
        with self.database.transaction() as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS dead (id INTEGER PRIMARY KEY)")
            connection.execute("DELETE FROM dead")
            connection.executemany("INSERT INTO dead SELECT id FROM objects WHERE path = ?", names)
            connection.execute("DELETE FROM refs WHERE referrer IN dead")
            connection.execute("DELETE FROM inputs WHERE object IN dead")
            connection.execute("DELETE FROM objects WHERE id IN dead")

    def held_by_others(self, paths: Iterable[StorePath]) -> list[StorePath]:
        """Those of `paths` that an object beside them refers to."""
        sql = f"""WITH these AS (SELECT id FROM objects WHERE path IN (SELECT value FROM json_each(?)))
                 SELECT DISTINCT path FROM ({_EDGES}) JOIN objects ON id = reference
                 WHERE reference IN these AND referrer NOT IN these"""
        return self.database.read(StorePath.parse, sql, _array(paths))

    # answers

    def all_recipes(self) -> list[Digest]:
        return self.database.read(_digest, "SELECT recipe FROM realisations")

    def recipes(self, paths: Iterable[StorePath]) -> list[Digest]:
        """The recipes that gave these objects."""
        sql = """SELECT realisations.recipe FROM realisations JOIN objects ON id = object
                 WHERE path IN (SELECT value FROM json_each(?))"""
        return self.database.read(_digest, sql, _array(paths))

    def realisation(self, recipe: Digest) -> StorePath | None:
        return self._one(
            "SELECT path FROM realisations JOIN objects ON id = object WHERE realisations.recipe = ?", recipe.raw
        )

    def expected(self, name: str) -> Expected | None:
        """Return what the last object of this name that was built took and holds; None if there is none."""
        sql = """SELECT seconds, size_bytes FROM objects JOIN realisations ON object = id
                 WHERE substr(path, 34) = ? AND seconds IS NOT NULL ORDER BY id DESC LIMIT 1"""
        found = self.database.read(lambda seconds, size: Expected(float(seconds), count(size)), sql, name)
        return found[0] if found else None

    def holders(self, part: bytes) -> list[StorePath]:
        sql = "SELECT path FROM parts JOIN objects ON id = object WHERE key = ? ORDER BY id DESC"
        return self.database.read(StorePath.parse, sql, part)

    def parts(self, path: StorePath) -> list[bytes]:
        """The parts that an object holds."""
        sql = "SELECT key FROM parts JOIN objects ON id = object WHERE path = ? ORDER BY key"
        return self.database.read(blob, sql, str(path))

    def memo(self, key: bytes) -> StorePath | None:
        return self._one("SELECT path FROM memos JOIN objects ON id = object WHERE key = ?", key)

    def remember(self, key: bytes, path: StorePath) -> None:
        """Remember the answer to a question until the object goes; one that is not in the store is not."""
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memos SELECT ?, id FROM objects WHERE path = ?", (key, str(path))
            )

    def _one(self, sql: str, *values: object) -> StorePath | None:
        return next(iter(self.database.read(StorePath.parse, sql, *values)), None)


def _array(paths: Iterable[StorePath]) -> str:
    return canonical_json([str(path) for path in paths]).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest(value: object) -> Digest:
    return Digest(blob(value))


def _info(row: Sequence[Any], references: Iterable[StorePath]) -> ObjectInfo:
    """ValueError or TypeError for columns that make no sense."""
    _, path, digest, kind, size_bytes, files, recipe, registered_at = row
    found = ObjectInfo(
        path=StorePath.parse(path),
        digest=_digest(digest),
        kind=Kind(kind),
        size_bytes=count(size_bytes),
        files=count(files),
        references=tuple(sorted(references)),
        recipe=_digest(recipe) if recipe is not None else None,
        registered_at=moment(registered_at),
    )
    if found.digest.short != found.path.short:
        raise ValueError(f"the digest is not the one of {path}")
    return found


def _graph(objects: Sequence[Sequence[Any]], pairs: Iterable[tuple[int, int]]) -> Graph:
    """ValueError, TypeError or KeyError for columns that make no sense."""
    position = {row[0]: number for number, row in enumerate(objects)}
    references: list[list[int]] = [[] for _ in objects]
    for referrer, reference in pairs:
        references[position[referrer]].append(position[reference])
    found = Graph(
        names=tuple(row[1] for row in objects),
        sizes=tuple(count(row[2]) for row in objects),
        registered_at=tuple(row[3] for row in objects),
        used_on=tuple(intern(row[4] or row[3][:10]) for row in objects),
        used_by=tuple(intern(row[5] or "") for row in objects),
        seconds=tuple(row[6] for row in objects),
        references=tuple(map(tuple, references)),
    )
    for day in set(found.used_on):
        date.fromisoformat(day)
    for when in found.registered_at:
        moment(when)
    if not all(map(is_store_path, found.names)) or not {type(one) for one in found.seconds} <= {float, int, type(None)}:
        raise ValueError("no store paths, or no durations")
    return found


def _register(connection: Any, info: ObjectInfo, parts: Iterable[bytes], seconds: float | None) -> None:
    connection.execute(
        "INSERT INTO objects (path, digest, kind, size_bytes, files, recipe, registered_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET kind = excluded.kind",
        (
            str(info.path),
            info.digest.raw,
            str(info.kind),
            info.size_bytes,
            info.files,
            info.recipe.raw if info.recipe else None,
            info.registered_at.isoformat(timespec="seconds"),
        ),
    )
    number = object_id(connection, info.path)
    for reference in info.references:
        low = object_id(connection, reference)
        if low is None:
            raise StoreError(f"{info.path} refers to what is not in the store: {reference}")
        connection.execute("INSERT INTO refs VALUES (?, ?) ON CONFLICT DO NOTHING", (number, low))
    _link(connection, info.path, info.recipe, parts, info.inputs, seconds)


def _link(
    connection: Any,
    path: StorePath,
    recipe: Digest | None,
    parts: Iterable[bytes],
    inputs: Iterable[StorePath],
    seconds: float | None,
) -> None:
    """Inputs that are not in the store are left out: an object from a cache comes without them."""
    number = object_id(connection, path)
    if number is None:
        raise StoreError(f"not in the store: {path}")
    if recipe is not None:
        connection.execute(
            "INSERT OR REPLACE INTO realisations VALUES (?, ?, ?, ?)", (recipe.raw, number, seconds, _now())
        )
    connection.executemany("INSERT INTO parts VALUES (?, ?) ON CONFLICT DO NOTHING", [(key, number) for key in parts])
    connection.executemany(
        "INSERT INTO inputs SELECT ?, id FROM objects WHERE path = ? ON CONFLICT DO NOTHING",
        [(number, str(one)) for one in inputs],
    )


def object_id(connection: Any, path: StorePath) -> int | None:
    row = connection.execute("SELECT id FROM objects WHERE path = ?", (str(path),)).fetchone()
    return row[0] if row else None
