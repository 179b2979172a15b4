"""Queries that a person writes, answered by sqlite-utils on a read-only connection. Only `vstore sql` loads this."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing

from sqlite_utils import Database as Tables
from sqlite_utils.db import Table

from vstore.errors import UsageError
from vstore.store.store import Store


def query_index(store: Store, sql: str, parameters: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """Return the rows of a query, each a mapping from column to value; bytes in hexadecimal.

    Raises UsageError for a query that SQLite rejects, and StoreError if the index is damaged.
    """
    try:
        with closing(_connect(store)) as connection:
            return _plain(Tables(connection).query(sql, dict(parameters or {})))
    except (sqlite3.Error, ValueError) as error:
        store.database.check()
        hint = "run `vstore sql` without a query to list the tables"
        raise UsageError(f"the index cannot run this query: {error}", hint=hint) from error


def describe_index(store: Store) -> list[dict[str, object]]:
    """Return the tables of the index, each with its columns and its number of rows."""
    with closing(_connect(store)) as connection:
        tables = [table for table in Tables(connection).tables if isinstance(table, Table)]
        return [
            {"table": table.name, "columns": ", ".join(column.name for column in table.columns), "rows": table.count}
            for table in tables
        ]


def _connect(store: Store) -> sqlite3.Connection:
    return sqlite3.connect(f"{store.layout.index_file.absolute().as_uri()}?mode=ro", uri=True)


def _plain(rows: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    return [{key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()} for row in rows]
