"""Parsing TOML from untrusted files. Documents that would take unbounded time or stack are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_KEY_PARTS = 32  # of a dotted key; tomllib takes time that grows with their square

_BASIC = r'"(?:[^"\\\n]|\\[^\n])*+'
_NAME = rf"(?:[A-Za-z0-9_-]++|{_BASIC}\"|'[^'\n]*+')"
_LONG_KEY = rf"(?<![A-Za-z0-9_-]){_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{{MAX_KEY_PARTS}}}"
_BLOCK = r"""(?s:"{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)|'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z))"""
_TOKEN = rf"{_BLOCK}|#[^\n]*+|(?P<long_key>{_LONG_KEY})|{_BASIC}\"?|'[^'\n]*+'?"  # what ends nowhere is no TOML
_TOMLLIB = r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"


class TomlError(ValueError):
    """Data is not valid TOML. `place` is ``line 3, column 1``, if it is known."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{reason} (at {place})" if place else reason)
        self.reason = reason
        self.place = place


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse a document. Raises TomlError, also for arrays that are nested too deeply and keys of too many parts."""
    import tomllib  # not needed where no file is found

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TomlError("not UTF-8", _place(data[: error.start].decode())) from error
    long = next((found for found in re.finditer(_TOKEN, text) if found["long_key"]), None)
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


def tables(values: Mapping[str, object], key: str) -> list[dict[str, object]]:
    """Return the tables of an array, without items of other types."""
    value = values.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _place(before: str) -> str:
    """Return line and column, from 1, of the end of a text."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
