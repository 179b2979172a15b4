"""Queries that a person writes, on a read-only connection. Only `vstore sql` loads this."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing

from vstore.errors import UsageError
from vstore.store.store import Store

_HINT = "run `vstore sql` without a query to list the tables"
_TABLES = """
SELECT tables.name, group_concat(columns.name, ', ')
FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' GROUP BY tables.rowid
"""


def query_index(store: Store, sql: str, parameters: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """Return the rows of a query, each a mapping from column to value; bytes in hexadecimal.

    Raises UsageError for a query that SQLite rejects, and StoreError if the index is damaged.
    """
    try:
        with closing(_connect(store)) as connection:
            rows = connection.execute(sql, dict(parameters or {}))
            if rows.description is None:
                raise UsageError("this is not a query: it returns no rows", hint=_HINT)
            names = [column[0] for column in rows.description]
            return [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
    except (sqlite3.Error, sqlite3.Warning) as error:
        store.database.check()
        raise UsageError(f"the index cannot run this query: {error}", hint=_HINT) from error


def describe_index(store: Store) -> list[dict[str, object]]:
    """Return the tables of the index, each with its columns and its number of rows."""
    with closing(_connect(store)) as connection:
        return [
            {
                "table": table,
                "columns": columns,
                "rows": connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0],
            }
            for table, columns in connection.execute(_TABLES).fetchall()
        ]


def _connect(store: Store) -> sqlite3.Connection:
    return sqlite3.connect(f"{store.layout.index_file.absolute().as_uri()}?mode=ro", uri=True)


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
