"""Cancelling work: a token that the work checks, and that ends its waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancelled(BaseException):
    """Raised in cancelled work. A BaseException, so that ``except Exception`` does not treat it as a failure."""


class CancelToken:
    """Whether work is cancelled. Safe for several threads."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._actions: set[Callable[[], object]] = set()

    def set(self) -> None:
        """Cancel: run the actions of `calling`, and let `check` raise from now on."""
        with self._lock:
            self._set.set()
            for action in self._actions:
                action()

    def check(self) -> None:
        """Raise Cancelled if the work is cancelled."""
        if self._set.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Cancelled as soon as the work is cancelled."""
        if self._set.wait(seconds):
            raise Cancelled

    @contextmanager
    def set_after(self, *, errors: bool) -> Iterator[None]:
        """Cancel when the block is interrupted, as by Ctrl-C; with `errors` also when it raises any other exception."""
        try:
            yield
        except BaseException as error:
            if errors or not isinstance(error, Exception):
                self.set()
            raise

    @contextmanager
    def calling(self, action: Callable[[], object]) -> Iterator[None]:
        """Run `action` if the work is cancelled during the block, or was before: it kills a process, for instance."""
        with self._lock:
            self._actions.add(action)
            if self._set.is_set():
                action()
        try:
            yield
        finally:
            with self._lock:
                self._actions.discard(action)


class WaitPolicy:
    """The way in which this process waits for locks that other processes hold."""

    def __init__(self) -> None:
        self.tell: Callable[[str], object] = lambda text: None
        self.limit_seconds: Callable[[], float | None] = lambda: None
        self.ended = False


WAITING = WaitPolicy()


def set_waiting(tell: Callable[[str], object], limit_seconds: Callable[[], float | None]) -> None:
    """Report waits longer than a second to `tell`, and bound them; a limit of None means the defaults.

    `limit_seconds` is called when there is something to wait for.
    """
    WAITING.tell, WAITING.limit_seconds = tell, limit_seconds


def end_waits() -> None:
    """End every wait of this process within a moment. Takes no lock, so that a signal handler may call it."""
    WAITING.ended = True
