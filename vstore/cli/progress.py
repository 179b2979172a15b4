"""The progress display: lines that are redrawn on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vstore.cli.speed import Meter, span
from vstore.cli.terminal import Style, is_live, paint, paint_hints
from vstore.credentials import redact
from vstore.errors import printable
from vstore.plural import count
from vstore.reporter import Detail, Unit
from vstore.sizes import size

if TYPE_CHECKING:
    from vstore.cli.log_file import LogFile

_LINE_SECONDS = 1.0  # before an activity has a line in a log, and between two lines about one subject
_REPEAT_SECONDS = 10.0  # between two lines about one activity
_DELAY_SECONDS = 0.25  # before the display appears, so that short work does not load Rich
_SILENT_SECONDS = 1.0  # before it appears for work that reports nothing
_REDRAWS_PER_SECOND = 8
_BAR_COLUMNS = 16
_GOOD = frozenset(("built", "substituted", "adopted", "fetched", "pushed", "packed", "exported", "unpacked", "checked"))


class Stage(NamedTuple):
    """The last progress of a subject."""

    activity: str = ""
    done: int = 0
    total: int = 0
    unit: Unit = Unit.ITEMS

    @property
    def amount(self) -> str:
        """The progress as text, as in ``3 of 12``; empty if it is unknown."""
        if self.unit == Unit.BYTES:
            whole, done = size(self.total), size(self.done) if self.done else ""
            if self.total and done.endswith(whole.rpartition(" ")[2]):
                done = done.rpartition(" ")[0]
            return f"{done or 0} of {whole}" if self.total else done
        if self.unit == Unit.PACKAGES and self.done:
            return f"{count(self.done, 'package')}"
        return f"{self.done:,} of {self.total:,}" if self.total else ""

    def speed(self, meter: Meter, now: float) -> str:
        """Return the bytes per second, if they are known."""
        found = meter.per_second(now) if self.unit == Unit.BYTES else None
        return f"{size(round(found))}/s" if found else ""

    def left(self, meter: Meter, now: float) -> str:
        """Return the time left, if it is known."""
        if self.unit == Unit.NODES:
            return ""
        seconds = meter.seconds_left(now, self.total) if self.done < self.total else None
        return "" if seconds is None else f"{span(seconds)} left"


class _Activity:
    """The current activity of a subject: its last progress, its speed, and when it began.

    A log shows it at `line_at`, unless another one has begun by then.
    """

    def __init__(self, now: float, line_at: float) -> None:
        self.stage = Stage()
        self.meter = Meter()
        self.since = now
        self.line_at = line_at


class Progress:
    """The `vstore.reporter.Reporter` of the command line. Rich is loaded only when something takes long."""

    def __init__(self, *, live: bool, verbosity: int, color: bool = False, log: LogFile | None = None) -> None:
        self._live = live and verbosity >= 0 and is_live(sys.stderr)
        self._verbosity = verbosity
        self._color = color
        self._log = log
        self._lock = threading.RLock()
        self._activities: dict[str, _Activity] = {}
        self._display: Any = None
        self._ended = threading.Event()
        self._tells = False
        self._begun: tuple[str, float] | None = None

    @property
    def is_live(self) -> bool:
        """Whether there are lines that are redrawn, rather than plain ones."""
        return self._live

    def begin(self, command: str) -> None:
        """Show the progress of a command from now on, on a terminal: also the time of one that reports nothing."""
        self._begun = command, time.monotonic()
        if self._live:
            threading.Thread(target=self._appear, name="progress", daemon=True).start()

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        with self._lock:
            now, before = time.monotonic(), self._activities.get(subject)
            if before is None or before.stage.activity != activity:
                soon = now + _LINE_SECONDS
                self._activities[subject] = _Activity(now, min(before.line_at, soon) if before else soon)
                self.log("progress", f"{subject}: {activity}")
            if not self._live and not self._tells and self._verbosity >= 0:
                self._tells = True
                threading.Thread(target=self._tell, name="progress", daemon=True).start()
            one = self._activities[subject]
            one.stage = Stage(activity, done, total, unit)
            one.meter.add(now, done)

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._activities.pop(subject, None)
            self.log("outcome", f"{subject}: {outcome} in {seconds:.3f} s")
            if self._verbosity >= 0 and (outcome != "present" or self._verbosity > 0):
                shown = paint(outcome, Style.GOOD if outcome in _GOOD else Style.DIM)
                self._print(f"{subject}: {shown} in {seconds:.1f} s")

    def note(self, text: str) -> None:
        self.log("note", text)
        if self._verbosity >= 0:
            self._print(printable(text))

    def warn(self, text: str, hint: str | None = None) -> None:
        shown = printable(text) + (f"\n  hint: {printable(hint)}" if hint else "")
        self.log("warning", shown)
        self._print(f"{paint('warning:', Style.WARNING)} {paint_hints(shown)}")

    def detail(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        if self._log is None and self._verbosity < kind:
            return
        text = text() if callable(text) else text
        self.log("decision" if kind == Detail.DECISION else "call", text)
        if self._verbosity >= kind:
            self._print(paint(printable(text), Style.DIM))

    def log(self, kind: str, text: str) -> None:
        """Add lines to the log file only, if there is one."""
        if self._log is not None:
            self._log.write(kind, text)

    def close(self) -> None:
        """End the live display and restore the terminal."""
        self._ended.set()
        with self._lock:
            self._live = False
            if self._display is not None:
                with suppress(Exception):
                    self._display.stop()
                self._display = None

    def _print(self, text: str) -> None:
        text = redact(text)
        with self._lock:
            if self._display is not None:
                from rich.text import Text

                shown = Text.from_ansi(text) if self._color else click.unstyle(text)
                self._display.console.print(shown, markup=False, highlight=False, soft_wrap=True)
            else:
                click.echo(text, err=True, color=self._color)

    def _appear(self) -> None:
        """Start the display after a moment, if there is something to show. Without it (no terminal that Rich knows, no
        more threads) work continues.
        """
        assert self._begun is not None
        while not self._ended.wait(_DELAY_SECONDS):
            if self._activities or time.monotonic() - self._begun[1] >= _SILENT_SECONDS:
                with suppress(Exception):
                    self._start()
                return

    def _tell(self) -> None:
        """Print a line about each activity that lasts, and again from time to time."""
        while not self._ended.wait(_DELAY_SECONDS):
            with self._lock, suppress(OSError, ValueError):  # a log that is full or closed stops no work
                now = time.monotonic()
                for subject, one in self._activities.items():
                    if one.line_at <= now and not self._ended.is_set():
                        one.line_at = now + _REPEAT_SECONDS
                        amounts = one.stage.amount, one.stage.speed(one.meter, now), one.stage.left(one.meter, now)
                        known = ", ".join(filter(None, amounts))
                        self._print(f"{subject}: {one.stage.activity}{known and ' '}{known}")

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        display = Live(
            console=Console(stderr=True, no_color=not self._color),
            refresh_per_second=_REDRAWS_PER_SECOND,
            transient=True,
            get_renderable=self._render,
        )
        with self._lock:
            if not self._ended.is_set():
                display.start()
                self._display = display

    def _render(self) -> Any:
        """Return the lines of the display. Its thread calls this some times in a second."""
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        activities = dict(self._activities)
        width = self._display.console.width if self._display is not None else 80
        lines = [line(name, one.stage, one.meter, now, now - one.since, width) for name, one in activities.items()]
        moving = [one for one in activities.values() if one.stage.unit == Unit.BYTES and one.stage.total]
        if len(moving) > 1:
            done, total = sum(one.stage.done for one in moving), sum(one.stage.total for one in moving)
            whole = Stage("", done, total, Unit.BYTES)
            speed = sum(one.meter.per_second(now) or 0 for one in moving)
            known = [f"{size(round(speed))}/s", f"{span((whole.total - whole.done) / speed)} left"] if speed else []
            lines.append(_fitted(["total", whole.amount, *known], width))
        if not lines and self._begun is not None:
            lines.append(_fitted([self._begun[0], "working", span(now - self._begun[1])], width))
        return Group(*(Text(one, no_wrap=True, overflow="ellipsis") for one in lines))


def line(subject: str, stage: Stage, meter: Meter, now: float, elapsed: float, width: int) -> str:
    """Return the line of a subject, of at most `width` characters.

    What does not fit is left out: first the bar, then the time since the beginning, the activity and the speed.
    """
    amount, speed, left = stage.amount, stage.speed(meter, now), stage.left(meter, now)
    bar = ""
    if stage.total:
        filled = min(stage.done * _BAR_COLUMNS // stage.total, _BAR_COLUMNS)
        bar = "━" * filled + "╌" * (_BAR_COLUMNS - filled)
    parts = [subject, stage.activity, bar, amount, speed, left or span(elapsed)]
    for left_out in (2, 1, 4) if left else (2, 5, 1, 4):
        if len("  ".join(filter(None, parts))) <= width:
            break
        parts[left_out] = ""
    return _fitted(parts, width)


def _fitted(parts: list[str], width: int) -> str:
    text = "  ".join(filter(None, parts))
    return text if len(text) <= width else text[: width - 1] + "…"
