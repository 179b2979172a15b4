"""Reporters: progress, notes, warnings and details of long work. `vstore.cli.progress` shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum, StrEnum
from typing import Protocol

from vstore.cancel import CancelToken


class Unit(StrEnum):
    """The unit of progress."""

    ITEMS = "items"
    BYTES = "bytes"
    PACKAGES = "packages"
    NODES = "nodes"  # of a plan: one takes a moment, another an hour, so no time left is foreseen


class Detail(IntEnum):
    """The kind of a detail."""

    DECISION = 1  # a choice, and the reason
    CALL = 2  # a call of uv or of a server, with its time


class Reporter(Protocol):
    """Receives progress, notes, warnings and details. Its methods are called from several threads."""

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """Report the current activity of a subject, such as a layer. `done` and `total` are in `unit`, 0 if unknown."""

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        """Report that the work on a subject is complete. `outcome` is one word such as ``built``."""

    def note(self, text: str) -> None:
        """Report a fact that may be of interest."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Report a problem that does not stop the work."""

    def detail(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        """Report a decision with its reason, or a call with its time. Logins in it are hidden where it is shown.

        `text` may be a function that makes the text, if that takes time.
        """


class ByteProgress:
    """Reports the progress of an activity, from 0 bytes on, as bytes are added."""

    def __init__(self, reporter: Reporter, subject: str, activity: str, total_bytes: int = 0) -> None:
        self._reporter = reporter
        self._subject = subject
        self._activity = activity
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self.add(0)

    def add(self, size_bytes: int) -> None:
        """Add bytes to those that are done, and report them."""
        self._done_bytes += size_bytes
        self._reporter.progress(self._subject, self._activity, self._done_bytes, self._total_bytes, Unit.BYTES)


class NullReporter:
    """Discards all reports."""

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """Discard the progress."""

    def completed(self, subject: str, outcome: str, seconds: float) -> None:
        """Discard the outcome."""

    def note(self, text: str) -> None:
        """Discard the note."""

    def warn(self, text: str, hint: str | None = None) -> None:
        """Discard the warning."""

    def detail(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        """Discard the detail."""


class CancellableReporter:
    """Passes reports on; `progress` raises Cancelled once `cancel` is set. All other reports still pass."""

    def __init__(self, reporter: Reporter | None = None, cancel: CancelToken | None = None) -> None:
        self.cancel = cancel or CancelToken()
        reporter = reporter or NullReporter()
        self._progress = reporter.progress
        self.completed = reporter.completed
        self.note = reporter.note
        self.warn = reporter.warn
        self.detail = reporter.detail

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """Pass the progress on. Raises Cancelled if the work is cancelled."""
        self.cancel.check()
        self._progress(subject, activity, done, total, unit)


class RenamingReporter(CancellableReporter):
    """Passes reports on, with other words for some subjects, activities and outcomes."""

    def __init__(self, reporter: Reporter, words: Mapping[str, str]) -> None:
        super().__init__(reporter)
        self._words = words
        self._completed = reporter.completed
        self.completed = self._renamed

    def progress(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        """Pass the progress on in other words."""
        super().progress(self._words.get(subject, subject), self._words.get(activity, activity), done, total, unit)

    def _renamed(self, subject: str, outcome: str, seconds: float) -> None:
        self._completed(subject, self._words.get(outcome, outcome), seconds)
