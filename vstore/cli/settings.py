"""The options that every command takes, and the store, reporter and form of output made from them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from vstore import __version__
from vstore.cli.terminal import Color, is_live, shows_color

if TYPE_CHECKING:
    from pathlib import Path

    from vstore.api.stores import Store
    from vstore.cli.log_file import LogFile
    from vstore.cli.progress import Progress

_PIECE = 1000  # items of a list that are written at a time


class Settings:
    """The values of the shared options. Each attribute has the name of its option."""

    def __init__(self) -> None:
        self.root: Path | None = None
        self.json = False
        self.quiet = False
        self.verbose = 0
        self.no_progress = False
        self.color = Color.AUTO
        self.log_file: Path | None = None
        self.wait: float | None = None
        self._reporter: Progress | None = None

    def location(self) -> Path:
        """Return the root of the store."""
        from vstore.api.stores import default_root

        return self.root or default_root()

    def open_store(self, *, read_only: bool = False, create: bool = False, for_collection: bool = False) -> Store:
        """Open the store, as `vstore.api.stores.open_store` does. Only commands that add to it `create` one."""
        from vstore.api.stores import is_substitute, open_store

        root = self.location()
        if create and is_substitute(root) and not root.exists():
            self.reporter.warn(
                f"there is no home folder for the store, which is made in {root}; the system may clean that folder",
                hint="choose a lasting one with --root or VSTORE_ROOT",
            )
        return open_store(root, read_only=read_only, create=create, for_collection=for_collection)

    def find_spec(self, place: Path | None) -> Path:
        """Return the spec at a place, as `vstore.api.specs.find_spec` does. Say which it is, unless the place is it."""
        from vstore.api.specs import find_spec

        found = find_spec(place)
        if place is None or place.is_dir():
            self.reporter.note(f"spec: {found}")
        return found

    def open_source(self) -> Store:
        """Open the store to copy objects out of it: read-only if its file system is mounted so."""
        from vstore.api.stores import is_read_only

        return self.open_store(read_only=is_read_only(self.location()))

    def wait_seconds(self) -> float | None:
        """Return how long to wait for other processes: `--wait`, else `lock_wait` of config.toml, else None."""
        if self.wait is not None:
            return self.wait
        from vstore.api.config import read_config
        from vstore.api.stores import StoreLayout

        configured = read_config(StoreLayout(self.location()).config_file).lock_wait
        return configured.total_seconds() if configured is not None else None

    @property
    def reporter(self) -> Progress:
        """The reporter that shows progress, notes and warnings on standard error."""
        if self._reporter is None:
            from vstore.cli.progress import Progress

            self._reporter = Progress(
                live=not self.no_progress and not self.json,
                verbosity=-1 if self.quiet else self.verbose,
                color=shows_color(sys.stderr, self.color),
                log=self._open_log(),
            )
        return self._reporter

    def _open_log(self) -> LogFile | None:
        if self.log_file is None:
            return None
        from vstore.cli.log_file import LogFile

        return LogFile(self.log_file)

    def begin(self, command: str, *, live: bool = True) -> None:
        """Begin a command: open the log file, and if `live` show progress from now on. Raises UsageError."""
        if self.log_file is not None:
            from vstore.credentials import hide_secrets

            self.reporter.log("begin", f"vstore {__version__}: {' '.join(hide_secrets(sys.argv[1:]))}")
        if live and not (self.no_progress or self.json or self.quiet) and is_live(sys.stderr):
            self.reporter.begin(command)

    def log(self, kind: str, text: str) -> None:
        """Add lines to the log file, if there is one."""
        if self._reporter is not None:
            self._reporter.log(kind, text)

    def echo(self, text: str, *, err: bool = False) -> None:
        """Print a text, without styles where the stream must not have them."""
        click.echo(text, err=err, color=shows_color(sys.stderr if err else sys.stdout, self.color))

    def print_json(self, document: object) -> None:
        """Print a JSON document. A long list is written in pieces: its text takes several times its memory."""
        import json

        if not isinstance(document, list) or len(document) <= _PIECE:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            return
        for start in range(0, len(document), _PIECE):
            text = json.dumps(document[start : start + _PIECE], indent=2, ensure_ascii=False)
            click.echo(("," if start else "[") + text[1:-2], nl=False)
        click.echo("\n]")

    def close(self) -> None:
        """End the progress display."""
        if self._reporter is not None:
            self._reporter.close()

    def emit(self, document: object, text: Callable[[], str]) -> None:
        """Print the JSON document or, without `--json` and `--quiet`, the text."""
        self.close()
        if self.json:
            self.print_json(document)
        elif not self.quiet:
            self.echo(text())
