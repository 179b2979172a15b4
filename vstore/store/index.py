"""The index: objects, references, realisations and generations. The only SQL of the project.

Reads and writes use `sqlite3` directly, one statement each where that can be; every writing method is one
durable transaction. One connection serves all threads, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from vstore.digest import Digest
from vstore.errors import StoreError
from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store.database import connect, translated

_COLUMNS = "id, path, digest, kind, size_bytes, files, recipe, registered_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All objects and references at once: `references[i]` are positions in `paths`."""

    paths: tuple[StorePath, ...]
    sizes: tuple[int, ...]
    registered_at: tuple[str, ...]
    references: tuple[tuple[int, ...], ...]


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


class Index:
    """One open index. Raises StoreError or BusyError, never an error of SQLite's own."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self.file = file
        self._connection = connect(file, read_only=read_only)
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def check(self) -> None:
        """Raise StoreError unless SQLite finds the file sound and every reference in it valid."""
        if self.rows("PRAGMA quick_check(1)") != [("ok",)] or self.rows("PRAGMA foreign_key_check"):
            raise StoreError(f"the index is damaged: {self.file}", hint="run `vstore reindex`")

    def rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock, translated(self.file):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._lock, translated(self.file):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    # objects

    def info(self, path: StorePath) -> ObjectInfo | None:
        rows = self.rows(f"SELECT {_COLUMNS} FROM objects WHERE path = ?", str(path))
        if not rows:
            return None
        references = self.rows("SELECT path FROM refs JOIN objects ON id = reference WHERE referrer = ?", rows[0][0])
        return _info(rows[0], [StorePath.parse(text) for (text,) in references])

    def is_valid(self, path: StorePath) -> bool:
        return bool(self.rows("SELECT 1 FROM objects WHERE path = ?", str(path)))

    def objects(self) -> list[ObjectInfo]:
        """All objects, by path, in two queries."""
        with self._lock:
            rows = self.rows(f"SELECT {_COLUMNS} FROM objects ORDER BY path")
            pairs = self.rows("SELECT referrer, reference FROM refs")
        paths = {row[0]: StorePath.parse(row[1]) for row in rows}
        references: dict[int, list[StorePath]] = {}
        for referrer, reference in pairs:
            references.setdefault(referrer, []).append(paths[reference])
        return [_info(row, references.get(row[0], ())) for row in rows]

    def referrers(self, path: StorePath) -> list[StorePath]:
        sql = """SELECT up.path FROM refs JOIN objects low ON low.id = reference JOIN objects up ON up.id = referrer
                 WHERE low.path = ? ORDER BY up.path"""
        return [StorePath.parse(found) for (found,) in self.rows(sql, str(path))]

    def find(self, text: str) -> list[StorePath]:
        """Objects whose store path starts with `text`, or whose name is exactly it."""
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        sql = "SELECT path FROM objects WHERE path LIKE ? ESCAPE '\\' OR substr(path, 34) = ? ORDER BY path"
        return [StorePath.parse(path) for (path,) in self.rows(sql, escaped + "%", text)]

    def graph(self) -> Graph:
        """Everything the collector needs, in two queries."""
        with self._lock:
            objects = self.rows("SELECT id, path, size_bytes, registered_at FROM objects ORDER BY id")
            pairs = self.rows("SELECT referrer, reference FROM refs")
        position = {row[0]: number for number, row in enumerate(objects)}
        references: list[list[int]] = [[] for _ in objects]
        for referrer, reference in pairs:
            references[position[referrer]].append(position[reference])
        return Graph(
            paths=tuple(StorePath.parse(row[1]) for row in objects),
            sizes=tuple(row[2] for row in objects),
            registered_at=tuple(row[3] for row in objects),
            references=tuple(map(tuple, references)),
        )

    def register(self, info: ObjectInfo, *, parts: Iterable[bytes] = (), seconds: float | None = None) -> None:
        """Record a complete, flushed object, its references, its realisation and its parts in one transaction."""
        with self.transaction() as connection:
            _register(connection, info, parts, seconds)

    def register_all(self, objects: Iterable[tuple[ObjectInfo, Iterable[bytes]]]) -> None:
        """Record many objects with their parts, references before referrers, in one transaction."""
        with self.transaction() as connection:
            for info, parts in objects:
                _register(connection, info, parts, None)

    def realise(
        self, recipe: Digest | None, path: StorePath, *, parts: Iterable[bytes] = (), seconds: float | None
    ) -> None:
        """Record that this recipe gives this registered object, and what parts it holds."""
        with self.transaction() as connection:
            _link(connection, path, recipe, parts, seconds)

    def forget(self, paths: Iterable[StorePath]) -> None:
        """Remove the rows of dead objects in one transaction; the schema refuses if a live one refers to them."""
        names = [(str(path),) for path in paths]
        with self.transaction() as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS dead (id INTEGER PRIMARY KEY)")
            connection.execute("DELETE FROM dead")
            connection.executemany("INSERT INTO dead SELECT id FROM objects WHERE path = ?", names)
            connection.execute("DELETE FROM refs WHERE referrer IN dead")
            connection.execute("DELETE FROM objects WHERE id IN dead")

    # answers

    def realisation(self, recipe: Digest) -> StorePath | None:
        return self._one(
            "SELECT path FROM realisations JOIN objects ON id = object WHERE realisations.recipe = ?", recipe.raw
        )

    def recipes(self, path: StorePath) -> list[Digest]:
        """The recipes that give an object."""
        sql = "SELECT realisations.recipe FROM realisations JOIN objects ON id = object WHERE path = ? ORDER BY 1"
        return [Digest(recipe) for (recipe,) in self.rows(sql, str(path))]

    def holders(self, part: bytes) -> list[StorePath]:
        sql = "SELECT path FROM parts JOIN objects ON id = object WHERE key = ? ORDER BY id DESC"
        return [StorePath.parse(path) for (path,) in self.rows(sql, part)]

    def memo(self, key: bytes) -> StorePath | None:
        return self._one("SELECT path FROM memos JOIN objects ON id = object WHERE key = ?", key)

    def remember(self, key: bytes, path: StorePath) -> None:
        """Remember the answer to a question until the object goes; one that is not in the store is not."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memos SELECT ?, id FROM objects WHERE path = ?", (key, str(path))
            )

    def _one(self, sql: str, *values: object) -> StorePath | None:
        rows = self.rows(sql, *values)
        return StorePath.parse(rows[0][0]) if rows else None

    # generations

    def profiles(self) -> list[str]:
        return [name for (name,) in self.rows("SELECT DISTINCT profile FROM generations ORDER BY profile")]

    def last_number(self, profile: str) -> int:
        rows = self.rows("SELECT last_number FROM profiles WHERE name = ?", profile)
        return int(rows[0][0]) if rows else 0

    def generations(self, profile: str) -> list[GenerationRow]:
        rows = self.rows(
            "SELECT number, path, created_at, spec_path, spec_digest, replaced FROM generations"
            " JOIN objects ON id = object WHERE profile = ? ORDER BY number",
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
            )
            for number, path, created_at, spec_path, spec_digest, replaced in rows
        ]

    def add_generation(self, row: GenerationRow) -> None:
        """Record a generation; its number is used up for ever."""
        with self.transaction() as connection:
            number = _number(connection, row.path)
            if number is None:
                raise StoreError(f"not in the store: {row.path}")
            connection.execute(
                "INSERT INTO profiles VALUES (?, ?) ON CONFLICT (name)"
                " DO UPDATE SET last_number = max(last_number, excluded.last_number)",
                (row.profile, row.number),
            )
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

    def drop_generations(self, profile: str, numbers: Iterable[int]) -> None:
        with self.transaction() as connection:
            connection.executemany(
                "DELETE FROM generations WHERE profile = ? AND number = ?", [(profile, number) for number in numbers]
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _info(row: Sequence[Any], references: Iterable[StorePath]) -> ObjectInfo:
    return ObjectInfo(
        path=StorePath.parse(row[1]),
        digest=Digest(row[2]),
        kind=Kind(row[3]),
        size_bytes=row[4],
        files=row[5],
        references=tuple(sorted(references)),
        recipe=Digest(row[6]) if row[6] else None,
        registered_at=datetime.fromisoformat(row[7]),
    )


def _register(connection: Any, info: ObjectInfo, parts: Iterable[bytes], seconds: float | None) -> None:
    connection.execute(
        "INSERT INTO objects (path, digest, kind, size_bytes, files, recipe, registered_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO NOTHING",
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
    number = _number(connection, info.path)
    for reference in info.references:
        low = _number(connection, reference)
        if low is None:
            raise StoreError(f"{info.path} refers to what is not in the store: {reference}")
        connection.execute("INSERT INTO refs VALUES (?, ?) ON CONFLICT DO NOTHING", (number, low))
    _link(connection, info.path, info.recipe, parts, seconds)


def _link(
    connection: Any, path: StorePath, recipe: Digest | None, parts: Iterable[bytes], seconds: float | None
) -> None:
    number = _number(connection, path)
    if number is None:
        raise StoreError(f"not in the store: {path}")
    if recipe is not None:
        connection.execute(
            "INSERT OR REPLACE INTO realisations VALUES (?, ?, ?, ?)", (recipe.raw, number, seconds, _now())
        )
    connection.executemany("INSERT INTO parts VALUES (?, ?) ON CONFLICT DO NOTHING", [(key, number) for key in parts])


def _number(connection: Any, path: StorePath) -> int | None:
    row = connection.execute("SELECT id FROM objects WHERE path = ?", (str(path),)).fetchone()
    return row[0] if row else None
