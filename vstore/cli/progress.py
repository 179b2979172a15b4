"""Shows what a long piece of work is doing: a live table for a person, plain lines for a log."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import Any, NamedTuple

import click

from vstore.cli.text import size
from vstore.credentials import redact
from vstore.errors import printable
from vstore.reporter import Unit

_TELL_AGAIN_SECONDS = 10.0  # in a log, of the bytes or packages that come


class _Stage(NamedTuple):
    activity: str = ""
    done: int = 0
    total: int = 0
    unit: Unit = Unit.ITEMS

    @property
    def amount(self) -> str:
        """How far it is, for people; empty where nothing is known."""
        if self.unit == Unit.BYTES:
            return f"{size(self.done)} of {size(self.total)}" if self.total else size(self.done) if self.done else ""
        if self.unit == Unit.PACKAGES and self.done:
            return f"{self.done} packages"
        return f"{self.done}/{self.total}" if self.total else ""


class Progress:
    """The `vstore.reporter.Reporter` of the command line. Rich is loaded only when something takes long."""

    def __init__(self, *, live: bool, verbosity: int) -> None:
        self._live = live and verbosity >= 0 and sys.stderr.isatty()
        self._verbosity = verbosity
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._told: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._display: Any = None

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        with self._lock:
            stage, now = _Stage(activity, done, total, unit), time.monotonic()
            new = self._stages.get(subject, _Stage()).activity != activity
            self._stages[subject] = stage
            self._since.setdefault(subject, now)
            if self._live:
                self._show()
            elif self._verbosity >= 0 and (new or self._is_due(subject, stage, now)):
                self._told[subject] = now
                count = "" if new or not stage.amount else f" {stage.amount}"
                self._print(f"{subject}: {activity}{count}")

    def _is_due(self, subject: str, stage: _Stage, now: float) -> bool:
        return stage.unit != Unit.ITEMS and now - self._told.get(subject, now) > _TELL_AGAIN_SECONDS

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._stages.pop(subject, None)
            if self._live and self._display is not None:
                self._show()
            if self._verbosity >= 0 and (outcome != "present" or self._verbosity > 0):
                self._print(f"{subject}: {outcome} in {seconds:.1f} s")

    def note(self, text: str) -> None:
        if self._verbosity >= 0:
            self._print(text)

    def warn(self, text: str, hint: str | None = None) -> None:
        self._print(f"warning: {printable(text)}" + (f"\n  hint: {printable(hint)}" if hint else ""))

    def close(self) -> None:
        """End the live display, leaving the terminal as it was."""
        if self._display is not None:
            with suppress(Exception):
                self._display.stop()
            self._display = None

    def _print(self, text: str) -> None:
        text = redact(text)
        if self._display is not None:
            self._display.console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def _show(self) -> None:
        """Update the display. A display that fails (no thread, an odd terminal) is given up: the work goes on."""
        try:
            self._update()
        except Exception:
            self._live = False
            self.close()

    def _update(self) -> None:
        from rich.table import Table

        if self._display is None:
            from rich.console import Console
            from rich.live import Live

            self._display = Live(console=Console(stderr=True), refresh_per_second=8, transient=True)
            self._display.start()
        rows = Table.grid(padding=(0, 2))
        for subject, stage in self._stages.items():
            rows.add_row(subject, stage.activity, stage.amount, f"{time.monotonic() - self._since[subject]:.0f} s")
        moving = [stage for stage in self._stages.values() if stage.unit == Unit.BYTES]
        if len(moving) > 1:
            whole = _Stage("", sum(one.done for one in moving), sum(one.total for one in moving), Unit.BYTES)
            rows.add_row("all together", "", whole.amount, "")
        self._display.update(rows)
