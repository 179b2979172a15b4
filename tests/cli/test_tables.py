"""Tables fit their terminal: paths are shortened, then columns dropped, then cells wrapped."""

from __future__ import annotations

import click
from hypothesis import given
from hypothesis import strategies as st

from vstore.cli.tables import DROPPED, lay_out
from vstore.cli.text import table

DIGEST = "0123456789abcdfghijklmnpqrsvwxyz"
KEYS = ["kind", "size", "files", "registered_at", "path"]
LINES = [
    ["kind", "size", "files", "registered", "path"],
    ["runtime", "1.5 MiB", "12", "2026-11-29T19:47:07Z", f"{DIGEST}-python-3.11"],
    ["application", "800 B", "3", "2026-11-29T19:47:09Z", f"{DIGEST}-app-x"],
]


def shown(width: int | None) -> list[str]:
    return click.unstyle(lay_out(LINES, KEYS, width)).splitlines()


def test_nothing_is_left_out_where_there_is_no_terminal() -> None:
    assert [line.split() for line in shown(None)[1:]] == [
        ["runtime", "1.5", "MiB", "12", "2026-11-29T19:47:07Z", f"{DIGEST}-python-3.11"],
        ["application", "800", "B", "3", "2026-11-29T19:47:09Z", f"{DIGEST}-app-x"],
    ]
    assert shown(None) == shown(200)


def test_a_narrower_terminal_gets_short_paths_then_fewer_columns() -> None:
    assert shown(80)[0].split() == ["kind", "size", "files", "registered", "path"]
    assert shown(80)[1].endswith("  01234567…-python-3.11")
    assert shown(60)[0].split() == ["kind", "size", "path"]
    assert shown(40)[0].split() == ["size", "path"]
    assert shown(24) == ["path", "01234567…-python-3.11", "01234567…-app-x"]


def test_the_widest_column_is_wrapped_at_last() -> None:
    lines = [["name", "text"], ["one", "some words that are too long for this terminal"]]
    text = click.unstyle(lay_out(lines, ["name", "text"], 30)).splitlines()
    assert text == ["name  text", "one   some words that are too", "      long for this terminal"]


def test_paths_are_digests_alone_beside_names() -> None:
    lines = [["layer", "origin", "path"], ["framework-of-a-long-name", "new", f"{DIGEST}-framework-of-a-long-name"]]
    text = click.unstyle(lay_out(lines, ["layer", "origin", "path"], 50)).splitlines()
    assert text[1].split() == ["framework-of-a-long-name", "new", "01234567…"]


def test_headings_and_states_have_styles() -> None:
    text = lay_out([["layer", "origin"], ["one", "built"], ["two", "odd"]], ["layer", "origin"])
    assert text.splitlines()[1:] == ["one    \x1b[32mbuilt\x1b[0m", "two    odd"]
    assert text.startswith("\x1b[1mlayer\x1b[0m")


@given(
    cells=st.lists(st.lists(st.text("ab c", max_size=30), min_size=3, max_size=3), min_size=1, max_size=4),
    width=st.integers(40, 200),
)
def test_no_cell_of_a_kept_column_loses_words(cells: list[list[str]], width: int) -> None:
    lines = [["one", "two", "three"], *cells]
    text = click.unstyle(lay_out(lines, ["one", "two", "three"], width))
    assert sorted("".join(text.split())) == sorted("".join("".join(map("".join, lines)).split()))


def test_a_column_is_dropped_at_one_place_of_the_order() -> None:
    assert len(set(DROPPED)) == len(DROPPED)


def test_a_cell_cannot_break_its_line_or_turn_its_text_around() -> None:
    text = table([{"id": "X-1\nsafe\r\x1b[2J\u202egnp.exe\u2066"}], {"id": "advisory"})
    assert click.unstyle(text).splitlines() == ["advisory", r"X-1\nsafe\r\x1b[2J\u202egnp.exe\u2066"]
