"""Tables that fit their terminal. Where there is none, nothing is left out.

A table that is too wide is made narrower step by step, until it fits:

1. Store paths keep the first 8 characters of their digest, which a command accepts as a PATH.
2. Columns are dropped, in the order of `DROPPED`.
3. Store paths lose their names, if another column has these.
4. The widest column is wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vstore.cli.terminal import Style, paint

DROPPED = (
    *("seconds", "touched_at", "recipes", "files", "since", "note", "inode", "registered_at", "used_on"),
    *("created_at", "expires_at", "age", "kind", "replaced", "archive", "shared", "exclusive", "only", "size", "by"),
)
_STYLES = {
    **dict.fromkeys(("built", "fetched", "substituted", "adopted", "checked", "valid", "*"), Style.GOOD),
    **dict.fromkeys(
        ("to build", "to fetch", "to lock", "to substitute", "to adopt", "stale", "missing"), Style.CHANGED
    ),
    **dict.fromkeys(("present", "-"), Style.DIM),
}
_STORE_PATH = re.compile(r"\b([0-9a-z]{8})[0-9a-z]{24}(-[A-Za-z0-9_])")
_SHORT_PATH = re.compile(r"\b([0-9a-z]{8}…)-.*")
_NAMES = frozenset(("layer", "name"))
_GAP = 2
_SHORTEST = 12  # characters of a column that is wrapped

Lines = Sequence[Sequence[str]]


def lay_out(lines: Lines, keys: Sequence[str], width: int | None = None) -> str:
    """Return cells as aligned text. The first line has the headings; `keys` are the columns, `width` the terminal's."""
    if width is not None and _width(lines) > width:
        lines = [lines[0], *([_STORE_PATH.sub(r"\1…\2", text) for text in line] for line in lines[1:])]
        lines = _without_columns(lines, keys, width)
        if _width(lines) > width and not _NAMES.isdisjoint(keys):
            lines = [[_SHORT_PATH.sub(r"\1", text) for text in line] for line in lines]
        lines = _wrapped(lines, width)
    widths = _widths(lines)
    return "\n".join(_line(line, widths, heading=number == 0) for number, line in enumerate(lines))


def _line(line: Sequence[str], widths: Sequence[int], *, heading: bool) -> str:
    cells = []
    for number, (text, width) in enumerate(zip(line, widths, strict=True)):
        style = Style.HEADING if heading else _STYLES.get(text)
        last = number == len(line) - 1
        cells.append((paint(text, style) if style else text) + ("" if last else " " * (width - len(text) + _GAP)))
    return "".join(cells).rstrip()


def _widths(lines: Lines) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _width(lines: Lines) -> int:
    widths = _widths(lines)
    return sum(widths) + _GAP * (len(widths) - 1)


def _without_columns(lines: Lines, keys: Sequence[str], width: int) -> Lines:
    """Return the lines without the columns that have to go, in the order of `DROPPED`."""
    kept = list(keys)
    for key in DROPPED:
        if _width(lines) <= width:
            break
        if key in kept and len(kept) > 1:
            place = kept.index(key)
            kept.pop(place)
            lines = [[*line[:place], *line[place + 1 :]] for line in lines]
    return lines


def _wrapped(lines: Lines, width: int) -> Lines:
    """Return the lines with the cells of the widest column on several lines, if that makes them fit."""
    excess = _width(lines) - width
    if excess <= 0:
        return lines
    import textwrap

    widths = _widths(lines)
    place = widths.index(max(widths))
    longest = max(widths[place] - excess, _SHORTEST)
    made: list[Sequence[str]] = []
    for line in lines:
        pieces = textwrap.wrap(line[place], longest) or [""]
        made.append([*line[:place], pieces[0], *line[place + 1 :]])
        made += [["" if number != place else piece for number in range(len(line))] for piece in pieces[1:]]
    return made
