"""The rows of objects and of their references: with the other modules of this folder the only SQL of the project.

Reads and writes use `sqlite3` directly, one statement each where possible. Every writing method is one durable
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from sys import intern

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.graph import bottom_up, reachable
from vstore.objects import Kind, ObjectInfo, StorePath, is_store_path
from vstore.store.index.connection import Connection, Database, Row, blob, count, moment, text, understood
from vstore.store.index.realisations import add_provenance, json_array, object_id
from vstore.store.model import NO_PROVENANCE, ObjectGraph, Provenance
from vstore.values import replace

_EDGES = "SELECT referrer, reference FROM object_references UNION ALL SELECT object, input FROM object_inputs"
_COLUMNS = "id, path, digest, kind, size_bytes, files, recipe, registered_at"


class ObjectIndex:
    """The registered objects, their references and their inputs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def info(self, path: StorePath) -> ObjectInfo | None:
        """Return the object's row with its references and inputs; None if it is not registered."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM objects WHERE path = ?", str(path))
        if not rows:
            return None
        sql = "SELECT path FROM object_references JOIN objects ON id = reference WHERE referrer = ?"
        references = self._database.read(StorePath.parse, sql, rows[0][0])
        sql = "SELECT path FROM object_inputs JOIN objects ON id = input WHERE object = ?"
        inputs = self._database.read(StorePath.parse, sql, rows[0][0])
        with understood(self._database.file):
            return replace(_info(rows[0], path, references), inputs=tuple(sorted(inputs)))

    def is_registered(self, path: StorePath) -> bool:
        """Return whether the object has a row."""
        return bool(self._database.rows("SELECT 1 FROM objects WHERE path = ?", str(path)))

    def all(self) -> list[ObjectInfo]:
        """Return all objects, sorted by path and without their inputs, from two queries."""
        with self._database.snapshot():
            rows = self._database.rows(f"SELECT {_COLUMNS} FROM objects ORDER BY path")
            pairs = self._database.rows("SELECT referrer, reference FROM object_references")
        with understood(self._database.file):
            paths = {row[0]: StorePath.parse(row[1]) for row in rows}
            references: dict[int, list[StorePath]] = {number: [] for number in paths}
            for referrer, reference in pairs:
                references[referrer].append(paths[reference])
            return [_info(row, paths[row[0]], references[row[0]]) for row in rows]

    def referrers(self, path: StorePath) -> list[StorePath]:
        """Return the objects that refer to this one or were built from it."""
        sql = f"""SELECT up.path FROM ({_EDGES}) JOIN objects low ON low.id = reference
                 JOIN objects up ON up.id = referrer WHERE low.path = ? ORDER BY up.path"""
        return self._database.read(StorePath.parse, sql, str(path))

    def find(self, text: str) -> list[StorePath]:
        """Return the objects whose store path starts with `text`, or whose name is `text`."""
        sql = "SELECT path FROM objects WHERE substr(path, 1, ?) = ? OR substr(path, 34) = ? ORDER BY path"
        return self._database.read(StorePath.parse, sql, len(text), text, text)

    def newest_of(self, name: str) -> list[ObjectInfo]:
        """Return the objects of a name, the one that was added last first."""
        infos = [self.info(path) for path in self.find(name) if path.name == name]
        return sorted((info for info in infos if info), key=lambda info: info.registered_at, reverse=True)

    def beginning_with(self, text: str, most: int) -> list[str]:
        """Return the names and the store paths that begin with `text`. Of each none if there are more than `most`."""
        found: list[str] = []
        for column in ("substr(path, 34)", "path"):
            sql = f"SELECT DISTINCT {column} FROM objects WHERE substr({column}, 1, ?) = ? ORDER BY 1 LIMIT ?"
            rows = self._database.read(str, sql, len(text), text, most + 1)
            found += rows if len(rows) <= most else []
        return found

    def closure(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Return the objects and all that they refer to, transitively. Raises StoreError for a missing one."""
        return set(self.closure_infos(paths))

    def bottom_up(self, paths: Iterable[StorePath]) -> list[ObjectInfo]:
        """Return a closure with each object after its references, in the same order every time. Raises StoreError."""
        infos = self.closure_infos(paths)
        return [infos[path] for path in bottom_up({path: info.references for path, info in infos.items()})]

    def closure_infos(self, paths: Iterable[StorePath]) -> dict[StorePath, ObjectInfo]:
        """Return the rows of a `closure`, each read once. Raises as `closure` does."""
        found: dict[StorePath, ObjectInfo] = {}

        def references(path: StorePath) -> tuple[StorePath, ...]:
            info = self.info(path)
            if info is None:
                raise StoreError(f"not in the store: {path}")
            found[path] = info
            return info.references

        reachable(paths, references)
        return found

    def graph(self) -> ObjectGraph:
        """Return all objects and the edges between them, from two queries of one moment."""
        sql = """SELECT id, path, size_bytes, registered_at, used_on, used_by, build_seconds FROM objects
                 LEFT JOIN last_used ON last_used.object = id
                 LEFT JOIN realisations ON realisations.recipe = objects.recipe ORDER BY id"""
        with self._database.snapshot():
            objects = self._database.rows(sql)
            edges = self._database.rows(_EDGES)
        with understood(self._database.file):
            return _graph(objects, edges)

    def register(self, info: ObjectInfo, provenance: Provenance = NO_PROVENANCE) -> None:
        """Record a complete, flushed object, its references and its provenance in one transaction."""
        self.register_all([(info, provenance)])

    def register_all(self, objects: Iterable[tuple[ObjectInfo, Provenance]]) -> None:
        """Record many objects, references before their referrers, in one transaction."""
        with self._database.transaction() as connection:
            for info, provenance in objects:
                _register(connection, info)
                add_provenance(connection, info.path, replace(provenance, recipe=info.recipe, inputs=info.inputs))

    def forget(self, paths: Iterable[StorePath]) -> None:
        """Remove the rows of dead objects in one transaction. The schema refuses if another object refers to one."""
        names = [(str(path),) for path in paths]
        with self._database.transaction() as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS dead (id INTEGER PRIMARY KEY)")
            connection.execute("DELETE FROM dead")
            connection.executemany("INSERT INTO dead SELECT id FROM objects WHERE path = ?", names)
            connection.execute("DELETE FROM object_references WHERE referrer IN dead")
            connection.execute("DELETE FROM object_inputs WHERE object IN dead")
            connection.execute("DELETE FROM objects WHERE id IN dead")

    def kept_by_others(self, paths: Iterable[StorePath]) -> list[StorePath]:
        """Return those of `paths` that an object outside `paths` refers to or was built from."""
        sql = f"""WITH these AS (SELECT id FROM objects WHERE path IN (SELECT value FROM json_each(?)))
                 SELECT DISTINCT path FROM ({_EDGES}) JOIN objects ON id = reference
                 WHERE reference IN these AND referrer NOT IN these"""
        return self._database.read(StorePath.parse, sql, json_array(paths))


def _info(row: Row, path: StorePath, references: Iterable[StorePath]) -> ObjectInfo:
    """Raises ValueError or TypeError for invalid columns."""
    _, _, digest, kind, size_bytes, files, recipe, registered_at = row
    found = ObjectInfo(
        path=path,
        digest=Digest(blob(digest)),
        kind=Kind(text(kind)),
        size_bytes=count(size_bytes),
        files=count(files),
        references=tuple(sorted(references)),
        recipe=Digest(blob(recipe)) if recipe is not None else None,
        registered_at=moment(registered_at),
    )
    if not found.digest.has_short(found.path.short):
        raise ValueError(f"the digest is not the one of {path}")
    return found


def _graph(objects: list[Row], edges: list[Row]) -> ObjectGraph:
    """Raises ValueError, TypeError or KeyError for invalid columns."""
    position = {row[0]: number for number, row in enumerate(objects)}
    below: list[list[int]] = [[] for _ in objects]
    for referrer, reference in edges:
        below[position[referrer]].append(position[reference])
    graph = ObjectGraph(
        names=tuple(row[1] for row in objects),
        sizes=tuple(count(row[2]) for row in objects),
        registered_at=tuple(row[3] for row in objects),
        used_on=tuple(intern(row[4] or row[3][:10]) for row in objects),
        used_by=tuple(intern(row[5] or "") for row in objects),
        build_seconds=tuple(row[6] for row in objects),
        edges=tuple(map(tuple, below)),
    )
    for day in set(graph.used_on):
        date.fromisoformat(day)
    for when in graph.registered_at:
        moment(when)
    if not all(map(is_store_path, graph.names)):
        raise ValueError("a name is not a store path")
    if not {type(one) for one in graph.build_seconds} <= {float, int, type(None)}:
        raise ValueError("a duration is not a number")
    return graph


def _register(connection: Connection, info: ObjectInfo) -> None:
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
    referrer = object_id(connection, info.path)
    for path in info.references:
        reference = object_id(connection, path, f"{info.path} refers to an object that is not in the store: {path}")
        sql = "INSERT INTO object_references VALUES (?, ?) ON CONFLICT DO NOTHING"
        connection.execute(sql, (referrer, reference))
