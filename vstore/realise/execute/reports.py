"""Reports of another process, as lines of text: written there, and passed on to the reporter here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from vstore.reporter import Detail, Reporter, Unit

_INTERVAL_SECONDS = 0.1  # between two reports of one activity


class ReportWriter:
    """A reporter that gives each report to `send` as one line of JSON. Safe for several threads.

    Of the progress of one activity, it sends at most ten reports in a second.
    """

    def __init__(self, send: Callable[[str], object]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._sent: dict[str, tuple[str, float]] = {}  # by subject: its activity, and when it was sent

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """Send the progress, unless the same activity was sent a moment ago."""
        now = time.monotonic()
        with self._lock:
            known, at = self._sent.get(subject, ("", 0.0))
            if activity == known and now - at < _INTERVAL_SECONDS:
                return
            self._sent[subject] = activity, now
        self._write("progress", subject, activity, done, total, str(unit))

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        """Send the outcome."""
        self._write("completed", subject, outcome, seconds)

    def note(self, text: str) -> None:
        """Send the note."""
        self._write("note", text)

    def warn(self, text: str, hint: str | None = None) -> None:
        """Send the warning."""
        self._write("warn", text, hint)

    def detail(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        """Send the detail."""
        self._write("detail", text() if callable(text) else text, int(kind))

    def _write(self, *report: object) -> None:
        self._send(json.dumps(report))


def pass_on(line: str, reporter: Reporter) -> None:
    """Give a report that a `ReportWriter` wrote to a reporter. Raises ValueError if it is malformed, and Cancelled."""
    match json.loads(line):
        case ["progress", str(subject), str(activity), int(done), int(total), str(unit)]:
            reporter.progress(subject, activity, done, total, Unit(unit))
        case ["completed", str(subject), str(outcome), int(seconds) | float(seconds)]:
            reporter.completed(subject, outcome, seconds)
        case ["note", str(text)]:
            reporter.note(text)
        case ["warn", str(text), str(hint) | (None as hint)]:
            reporter.warn(text, hint)
        case ["detail", str(text), int(kind)]:
            reporter.detail(text, Detail(kind))
        case _:
            raise ValueError(f"not a report: {line!r}")
