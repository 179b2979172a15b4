"""Paths on the command line: of new files and folders, and of existing ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from vstore.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem


class Place(click.ParamType["Path"]):
    """The path of a new file or link, or of a new folder."""

    def __init__(self, *, folder: bool = False) -> None:
        self._folder = folder
        self.name = "directory" if folder else "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the absolute path."""
        from pathlib import Path

        if isinstance(value, Path):
            return value
        try:
            return parse_place(str(value), folder=self._folder)
        except UsageError as error:
            self.fail(error.message, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete the path."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="dir" if self._folder else "file")]


def parse_place(text: str, *, folder: bool = False) -> Path:
    """Return the absolute path of a file or link, or of a folder. Raises UsageError for an impossible path."""
    if not folder and (text.endswith(("/", "/.", "/..")) or text in (".", "..")):
        raise UsageError(f"{text!r} is a folder")
    if text == "-":
        raise UsageError("writing to standard output is not supported; use ./- for a file named -")
    from vstore.api._command_line import absolute

    return absolute(text)


class LoadedPath(click.Path):
    """A path as `click.Path` checks it, given as a `pathlib.Path`, which is loaded only then."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path. Fails unless it is one of the kind, and exists if it must."""
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


FOLDER = Place(folder=True)
PLACE = Place()
FILE = LoadedPath(dir_okay=False)
FILE_OR_FOLDER = LoadedPath()
EXISTING_FOLDER = LoadedPath(exists=True, file_okay=False)
