"""What every command shares: the root, how much to say, JSON or text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vstore.cli.places import FOLDER
from vstore.cli.progress import Progress
from vstore.cli.progress import size as size

if TYPE_CHECKING:
    from vstore.api.stores import Store

_PIECE = 1000


@dataclass(slots=True)
class Settings:
    """Filled in by the shared options, which may stand before or after the command's name."""

    root: Path | None = None
    json: bool = False
    verbosity: int = 0
    progress: bool = True
    wait: float | None = None
    _reporter: Progress | None = None

    def location(self) -> Path:
        from vstore.api.stores import default_root

        return self.root or default_root()

    def open_store(self, *, read_only: bool = False) -> Store:
        from vstore.api.stores import open_store

        return open_store(self.location(), read_only=read_only)

    def open_source(self) -> Store:
        """Open the store for a command that takes objects out of it: read-only where its file system is."""
        from vstore.api.stores import is_read_only

        return self.open_store(read_only=is_read_only(self.location()))

    def wait_seconds(self) -> float | None:
        """How long to wait for what another process holds; None where nobody has said."""
        if self.wait is not None:
            return self.wait
        from vstore.api.config import read_config
        from vstore.api.stores import Layout

        configured = read_config(Layout(self.location()).config_file).lock_wait
        return configured.total_seconds() if configured is not None else None

    @property
    def reporter(self) -> Progress:
        if self._reporter is None:
            self._reporter = Progress(live=self.progress and not self.json, verbosity=self.verbosity)
        return self._reporter

    def print_json(self, document: object) -> None:
        """A long list in pieces: its text is several times as large as what it says."""
        if not isinstance(document, list) or len(document) <= _PIECE:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
            return
        for start in range(0, len(document), _PIECE):
            text = json.dumps(document[start : start + _PIECE], indent=2, ensure_ascii=False)
            click.echo(("," if start else "[") + text[1:-2], nl=False)
        click.echo("\n]")

    def close(self) -> None:
        """End the progress display, if there is one."""
        if self._reporter is not None:
            self._reporter.close()

    def emit(self, document: object, text: Callable[[], str]) -> None:
        """Print the JSON document, or the text for people, after the progress display."""
        self.close()
        if self.json:
            self.print_json(document)
        elif self.verbosity >= 0:
            click.echo(text())


def _setter(name: str, convert: Callable[[Any], Any] = lambda value: value) -> Callable[..., None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value or isinstance(value, float):  # 0 seconds are meant
            setattr(ctx.ensure_object(Settings), name, convert(value))

    return callback


def _seconds(value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("not a number of seconds")
    return value


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of design section 6 that every command takes."""
    options = [
        click.option("--root", type=FOLDER, expose_value=False, callback=_setter("root"), help="Where the store is."),
        click.option("--json", is_flag=True, expose_value=False, callback=_setter("json"), help="JSON on stdout."),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_setter("verbosity", lambda _: -1),
            help="Errors only.",
        ),
        click.option(
            "-v", "--verbose", count=True, expose_value=False, callback=_setter("verbosity"), help="Say more."
        ),
        click.option(
            "--no-progress",
            is_flag=True,
            expose_value=False,
            callback=_setter("progress", lambda _: False),
            help="No moving display.",
        ),
        click.option(
            "--wait",
            type=click.FloatRange(0),
            metavar="SECONDS",
            expose_value=False,
            callback=_setter("wait", _seconds),
            help="How long to wait for what another process holds (default: 10 minutes; a day for its builds).",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A subcommand with the shared options; its function takes the Settings first."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def call(settings: Settings, /, *arguments: Any, **options: Any) -> Any:
            try:
                return function(settings, *arguments, **options)
            finally:
                settings.close()

        return click.command(name)(shared_options(click.pass_obj(call)))

    return decorate


def table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> str:
    """Format rows as aligned text; `columns` maps a row's key to its heading."""
    if not rows:
        return "nothing"
    cells = [list(columns.values())] + [[_cell(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "*" if value else ""
    return str(value)


def when(moment: datetime) -> str:
    """A time as every output has it: UTC, ISO 8601, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
