"""Values as text for people: sizes, times, tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from vstore.cli.tables import lay_out
from vstore.cli.terminal import columns_of
from vstore.errors import printable


def when(moment: datetime) -> str:
    """Return a time as all output has it: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> str:
    """Return rows as aligned text that fits the terminal, if standard output is one.

    `columns` maps the keys of a row to headings, in order. Control characters in cells are escaped.
    """
    if not rows:
        return "nothing"
    cells = [list(columns.values())] + [[_cell(row.get(key)) for key in columns] for row in rows]
    return lay_out(cells, list(columns), columns_of(sys.stdout))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "*" if value else ""
    return printable(str(value))
