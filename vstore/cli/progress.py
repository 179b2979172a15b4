"""Shows what a long piece of work is doing: a live table for a person, plain lines for a log."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import Any

import click

from vstore.errors import printable


class Progress:
    """The `vstore.report.Report` of the command line. Rich is loaded only when something takes long."""

    def __init__(self, *, live: bool, verbosity: int) -> None:
        self._live = live and verbosity >= 0 and sys.stderr.isatty()
        self._verbosity = verbosity
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[str, int, int]] = {}
        self._since: dict[str, float] = {}
        self._display: Any = None

    def stage(self, subject: str, activity: str, done: int = 0, total: int = 0) -> None:
        with self._lock:
            new = self._stages.get(subject, ("", 0, 0))[0] != activity
            self._stages[subject] = (activity, done, total)
            self._since.setdefault(subject, time.monotonic())
            if self._live:
                self._show()
            elif new and self._verbosity >= 0:
                click.echo(f"{subject}: {activity}", err=True)

    def finished(self, subject: str, outcome: str, seconds: float) -> None:
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
        for subject, (activity, done, total) in self._stages.items():
            count = f"{done}/{total}" if total else ""
            rows.add_row(subject, activity, count, f"{time.monotonic() - self._since[subject]:.0f} s")
        self._display.update(rows)
