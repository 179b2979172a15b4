"""How long to wait and how often to ask again: a transport around a transport.

A request is repeated with growing pauses, or after the pause that a busy place asks for, while that may help. When
several in a row failed for good, the place counts as down: everything else fails at once, so nobody waits for each of a
thousand objects.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vstore.archive.model import Data
from vstore.remote.transport.protocol import Busy, Stat, Transport, TransportError

T = TypeVar("T")


class RetryingTransport:
    """Asks up to `attempts` times within `patience_seconds`; gives up on the place after `failures` in a row."""

    def __init__(
        self,
        inner: Transport,
        *,
        attempts: int = 4,
        first_pause_seconds: float = 0.2,
        patience_seconds: float = 30.0,
        failures: int = 3,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._attempts = attempts
        self._first_pause = first_pause_seconds
        self._patience = patience_seconds
        self._allowed = failures
        self._failed = 0
        self._sleep = sleep
        self._lock = threading.Lock()
        self._reason = ""

    @property
    def url(self) -> str:
        return self._inner.url

    @property
    def down(self) -> str | None:
        """Why nothing more is asked of this place, None while it is."""
        return self._reason if self._failed >= self._allowed else None

    def get(self, key: str, *, limit: int) -> bytes | None:
        return self._ask(lambda: self._inner.get(key, limit=limit))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        return self._ask(lambda: self._inner.get_ranges(key, ranges))

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        return self._ask(lambda: self._inner.download(key, target, limit=limit))

    def head(self, key: str) -> Stat | None:
        return self._ask(lambda: self._inner.head(key))

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        return self._ask(lambda: self._inner.put(key, data, create_only=create_only))

    def scan(self, prefix: str) -> Iterator[Stat]:
        yield from self._ask(lambda: list(self._inner.scan(prefix)))

    def unfinished(self) -> Iterator[Stat]:
        yield from self._ask(lambda: list(self._inner.unfinished()))

    def delete(self, keys: Iterable[str]) -> None:
        wanted = list(keys)
        self._ask(lambda: self._inner.delete(wanted))

    def _ask(self, question: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._patience
        pause = self._first_pause
        for attempt in range(1, self._attempts + 1):
            if (reason := self.down) is not None:
                raise TransportError(reason)
            try:
                answer = question()
            except TransportError as error:
                if not error.transient:
                    raise
                wait = pause * random.uniform(0.5, 1.0)
                if isinstance(error, Busy) and error.wait_seconds is not None:
                    wait = max(wait, error.wait_seconds)
                if attempt == self._attempts or time.monotonic() + wait > deadline:
                    self._failure(error)
                    raise
                self._sleep(wait)
                pause *= 2
            else:
                self._failed = 0
                return answer
        raise AssertionError("unreachable")

    def _failure(self, error: TransportError) -> None:
        with self._lock:
            self._failed += 1
            self._reason = error.message
