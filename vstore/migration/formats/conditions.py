"""Markers about extras and groups: decided by the chosen ones, as a spec has neither."""

from __future__ import annotations

import re

from vstore.lock.markers import holds
from vstore.target import Target

_MINORS = range(9, 15)  # of Python 3
_TRUE, _FALSE = "python_version > '0'", "python_version < '0'"
_PYLOCK = re.compile(r"""(["'])(?P<name>[^"']+)\1 (?P<not>not )?in (?P<kind>extra|dependency_group)s""")  # PEP 751
_UV = re.compile(
    r"""extra (?P<not>[!=])= (["'])(?P<kind>extra|group)-(?P<length>\d+)-(?P<rest>[^"']+)\2"""
)  # in uv.lock


class Conditions:
    """The chosen extras and groups of a project."""

    def __init__(self, extras: tuple[str, ...], groups: tuple[str, ...]) -> None:
        self._chosen = {"extra": extras, "group": groups, "dependency_group": groups}

    def decide(self, marker: str | None) -> tuple[bool, str | None]:
        """Return whether a marker can be true, and what is left of it: None if it is always true."""
        if marker is None:
            return True, None
        text = _UV.sub(self._of_uv, _PYLOCK.sub(self._of_pylock, marker))
        if text == marker:
            return True, marker
        if _FALSE in text and not any(holds(text, one, f"3.{minor}.9") for one in Target for minor in _MINORS):
            return False, None
        plain = re.sub(rf" and {_TRUE}|{_TRUE} and ", "", text)
        return True, None if plain.strip("() ") == _TRUE or f"{_TRUE} or" in plain else plain

    def _of_pylock(self, found: re.Match[str]) -> str:
        return _TRUE if (found["name"] in self._chosen[found["kind"]]) != bool(found["not"]) else _FALSE

    def _of_uv(self, found: re.Match[str]) -> str:
        name = found["rest"][int(found["length"]) + 1 :]
        return _TRUE if (name in self._chosen[found["kind"]]) != (found["not"] == "!") else _FALSE
