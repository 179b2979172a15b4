"""Places that a person types for something new."""

from __future__ import annotations

from pathlib import Path

import click

from vstore.api.process import absolute
from vstore.errors import UsageError


class Place(click.ParamType[Path]):
    """A place for something new: of a folder with `folder`, else of a file or link."""

    name = "path"

    def __init__(self, *, folder: bool = False) -> None:
        self._folder = folder
        self.name = "directory" if folder else "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        try:
            return parse_place(str(value), folder=self._folder)
        except UsageError as error:
            self.fail(error.message, param, ctx)


def parse_place(text: str, *, folder: bool = False) -> Path:
    """The absolute path that a user names. UsageError for what cannot be one."""
    if not folder and (text.endswith(("/", "/.", "/..")) or text in (".", "..")):
        raise UsageError(f"{text!r} is a folder")
    if text == "-":
        raise UsageError("standard output is not supported; use ./- for a file named -")
    return absolute(text)


PLACE = Place()
FOLDER = Place(folder=True)
