"""The scripts that wheels declare or contain. Their content is untrusted."""

from __future__ import annotations

import configparser
import keyword
import re
from typing import NamedTuple

from vstore.errors import BuildError

_ENTRY_POINT = """\
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
_PYTHON_LINE = re.compile(rb"#![ \t]*(?:\S*/env[ \t]+(?:-S[ \t]+)?)?(?:\S*/)?python(?:w|[0-9.]*)(?:[ \t][^\n]*)?\r?\n")
_LONG_PYTHON_LINES = re.compile(rb"#!/bin/sh\r?\n'''exec' [^\n]*python[^\n]*\n' '''\r?\n")
_OBJECT_REFERENCE = re.compile(r"(?P<module>[\w.]+)[ \t]*:[ \t]*(?P<attribute>[\w.]+)[ \t]*(?:\[[^\]]*\])?")


def check_name(name: str) -> str:
    """Return the name of a script. Raises BuildError if it is not safe as the name of a file."""
    unsafe = name in ("", ".", "..") or "/" in name or "\\" in name
    if unsafe or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise BuildError(f"refused script name {name!r}")
    return name


class EntryPoint(NamedTuple):
    """The code of a script that a wheel declares; `window` means that it needs no console (Windows)."""

    code: bytes
    window: bool


def parse_entry_points(text: str) -> dict[str, EntryPoint]:
    """Return the console and GUI scripts of an entry_points.txt by name. Raises BuildError if it is malformed."""
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise BuildError(f"malformed entry_points.txt: {' '.join(str(error).split())}") from error
    found = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(section) if parser.has_section(section) else ():
            found[check_name(name)] = EntryPoint(_entry_point_code(name, target), section == "gui_scripts")
    return found


def _entry_point_code(name: str, target: str) -> bytes:
    match = _OBJECT_REFERENCE.fullmatch(target.strip())
    parts = [*match["module"].split("."), *match["attribute"].split(".")] if match else []
    if match is None or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise BuildError(f"script {name!r} has no valid entry point: {target!r}")
    attribute = match["attribute"]
    first = attribute.partition(".")[0]
    return _ENTRY_POINT.format(module=match["module"], first=first, attribute=attribute).encode()


def python_script(data: bytes) -> bytes | None:
    """Return a script for Python with ``#!python`` as its first line, as in a wheel; None for other files."""
    for pattern in (_PYTHON_LINE, _LONG_PYTHON_LINES):
        if match := pattern.match(data):
            return b"#!python\n" + data[match.end() :]
    return None
