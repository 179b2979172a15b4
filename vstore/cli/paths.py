"""Paths that people type: of something new, and of what must exist."""

from __future__ import annotations

from pathlib import Path

import click

from vstore.api.process import absolute
from vstore.errors import UsageError


class Place(click.ParamType[Path]):
    """The path of a new file or link, or of a new folder."""

    def __init__(self, *, folder: bool = False) -> None:
        self._folder = folder
        self.name = "directory" if folder else "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the absolute path."""
        if isinstance(value, Path):
            return value
        try:
            return parse_place(str(value), folder=self._folder)
        except UsageError as error:
            self.fail(error.message, param, ctx)


def parse_place(text: str, *, folder: bool = False) -> Path:
    """Return the absolute path of a file or link, or of a folder. Raises UsageError for what cannot be one."""
    if not folder and (text.endswith(("/", "/.", "/..")) or text in (".", "..")):
        raise UsageError(f"{text!r} is a folder")
    if text == "-":
        raise UsageError("writing to standard output is not supported; use ./- for a file named -")
    return absolute(text)


FOLDER = Place(folder=True)
PLACE = Place()
FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
