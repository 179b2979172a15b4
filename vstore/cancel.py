"""Ending work before it is done: whoever works asks now and then, and what it waits for is ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vstore.reporter import Reporter, Unit


class Cancelled(BaseException):
    """Raised in work that was stopped. No Exception, as nothing failed: it is neither told nor handled as a failure."""


class CancelToken:
    """Whether some work is to end early. Safe for several threads."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._ends: set[Callable[[], object]] = set()

    def set(self) -> None:
        """End it: what `calling` was given is called, and `check` raises from now on."""
        with self._lock:
            self._set.set()
            for end in self._ends:
                end()

    def check(self) -> None:
        """Raise Cancelled once it is set."""
        if self._set.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Cancelled as soon as it is set."""
        if self._set.wait(seconds):
            raise Cancelled

    @contextmanager
    def set_after(self, *, errors: bool) -> Iterator[None]:
        """Set it when the block is interrupted, as by Ctrl-C; with `errors` also after whatever else ends it early."""
        try:
            yield
        except BaseException as error:
            if errors or not isinstance(error, Exception):
                self.set()
            raise

    @contextmanager
    def calling(self, end: Callable[[], object]) -> Iterator[None]:
        """Call this when it is set, meanwhile or already: it kills a process, or ends what else is waited for."""
        with self._lock:
            self._ends.add(end)
            if self._set.is_set():
                end()
        try:
            yield
        finally:
            with self._lock:
                self._ends.discard(end)


class CancellableReporter:
    """A report that ends the work that tells it of a stage, once a stop is set."""

    def __init__(self, reporter: Reporter, cancel: CancelToken) -> None:
        self._reporter = reporter
        self._cancel = cancel
        self.finished = reporter.finished
        self.note = reporter.note
        self.warn = reporter.warn

    def stage(self, subject: str, activity: str, done: int = 0, total: int = 0, unit: Unit = Unit.ITEMS) -> None:
        self._cancel.check()
        self._reporter.stage(subject, activity, done, total, unit)
