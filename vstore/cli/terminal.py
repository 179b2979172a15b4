"""The abilities of a terminal: whether it shows colours, its width, and the styles of texts.

Texts are painted where they are made. `Settings.echo` removes the styles where the stream must not have them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO

_HINT = re.compile(r"^( *)(hint:)", re.MULTILINE)
_NARROWEST = 20


class Color(StrEnum):
    """When to use colours: `--color`."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Style(StrEnum):
    """The styles of texts, as parameters of the control sequence SGR (ECMA-48)."""

    ERROR = "1;31"
    WARNING = "1;33"
    HINT = "36"
    HEADING = "1"
    GOOD = "32"
    CHANGED = "33"
    DIM = "2"


def paint(text: str, style: Style) -> str:
    """Return the text in a style."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else text


def paint_hints(text: str) -> str:
    """Return the text with ``hint:`` in its style at the start of each line."""
    return _HINT.sub(lambda found: found[1] + paint(found[2], Style.HINT), text)


def shows_color(stream: TextIO, choice: Color, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream gets colours.

    The order is: `choice`, ``NO_COLOR`` (no-color.org), ``FORCE_COLOR`` and ``CLICOLOR_FORCE``, then whether the
    stream is a terminal that is not ``TERM=dumb``. The value 0 does not force colours.
    """
    if choice != Color.AUTO:
        return choice == Color.ALWAYS
    if environment.get("NO_COLOR"):
        return False
    if any(environment.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def is_live(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream is a terminal on which lines can be redrawn, and not the log of a CI system."""
    return stream.isatty() and environment.get("TERM") != "dumb" and environment.get("CI", "") in ("", "0", "false")


def columns_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the width of a terminal, as `width_of` does. Return None if it is no terminal."""
    return max(width_of(stream, environment), _NARROWEST) if stream.isatty() else None


def width_of(stream: TextIO, environment: Mapping[str, str] = os.environ) -> int:
    """Return ``COLUMNS``, else the width of the terminal, else 80."""
    try:
        return int(environment.get("COLUMNS") or 0) or os.get_terminal_size(stream.fileno()).columns or 80
    except (ValueError, OSError):
        return 80
