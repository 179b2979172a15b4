"""The progress display: a live table on a terminal, plain lines in a log."""

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

_REPEAT_SECONDS = 10.0  # between two lines in a log about the bytes or packages of one subject


class _State(NamedTuple):
    """The last progress of a subject."""

    activity: str = ""
    done: int = 0
    total: int = 0
    unit: Unit = Unit.ITEMS

    @property
    def amount(self) -> str:
        """The progress as text; empty if it is unknown."""
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
        self._stages: dict[str, _State] = {}
        self._shown_at: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._display: Any = None

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        with self._lock:
            stage, now = _State(activity, done, total, unit), time.monotonic()
            new = self._stages.get(subject, _State()).activity != activity
            self._stages[subject] = stage
            self._since.setdefault(subject, now)
            if self._live:
                self._show()
            elif self._verbosity >= 0 and (new or self._is_due(subject, stage, now)):
                self._shown_at[subject] = now
                count = "" if new or not stage.amount else f" {stage.amount}"
                self._print(f"{subject}: {activity}{count}")

    def _is_due(self, subject: str, stage: _State, now: float) -> bool:
        return stage.unit != Unit.ITEMS and now - self._shown_at.get(subject, now) > _REPEAT_SECONDS

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
        """End the live display and restore the terminal."""
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
        """Update the display. If it fails (no more threads, an unknown terminal), work continues without it."""
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
            whole = _State("", sum(one.done for one in moving), sum(one.total for one in moving), Unit.BYTES)
            rows.add_row("total", "", whole.amount, "")
        self._display.update(rows)
