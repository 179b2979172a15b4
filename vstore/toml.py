"""Parsing TOML that may come from anybody: what would take for ever, or Python's whole stack, is an error at once."""

from __future__ import annotations

import re
from typing import Any

MAX_KEY_PARTS = 32  # of a dotted key; the time that tomllib takes for one grows with their square

_NAME = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = rf"(?<![A-Za-z0-9_-]){_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{{MAX_KEY_PARTS}}}"
_TOMLLIB = r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"


class TomlError(ValueError):
    """Data that is no TOML: `reason`, and `place` such as ``line 3, column 1`` where that is known."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{reason} (at {place})" if place else reason)
        self.reason = reason
        self.place = place


def parse_toml(data: bytes) -> dict[str, Any]:
    """The document. Raises TomlError, also for arrays nested too deeply and for keys of too many parts."""
    import tomllib  # what finds no file does without it

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TomlError("not UTF-8", _place(data[: error.start].decode())) from error
    long = re.search(_LONG_KEY, text)
    if long is not None:
        raise TomlError(f"a key of more than {MAX_KEY_PARTS} parts", _place(text[: long.start()]))
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TomlError("nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, or a number of too many digits
        found = re.fullmatch(_TOMLLIB, str(error))
        if found is None:
            raise TomlError(str(error)) from error
        place = f"line {found[2]}, column {found[3]}" if found[2] else f"{_place(text)} (the end)"
        raise TomlError(found[1], place) from error


def _place(before: str) -> str:
    """Line and column, from 1, of what follows a text."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
