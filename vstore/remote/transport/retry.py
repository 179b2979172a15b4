"""Repeat failed requests: a transport around a transport.

A request is repeated with growing pauses, or after the pause that a busy place asks for. When several requests in a
row have failed for good, the place counts as down: every further request fails at once, so that a thousand objects
do not each wait for it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vstore.archive.model import Data
from vstore.remote.transport.protocol import (
    PATIENT,
    RequestLimits,
    Stat,
    ThrottledError,
    Transport,
    TransportError,
    creating,
    in_registry,
    listing,
    writable,
)

T = TypeVar("T")


class RetryingTransport:
    """A transport that repeats transient failures within `limits`. It raises TransportError for what `inner` cannot do.

    `sleep` waits for a number of seconds; it may raise to end the waiting. `on_request` is called with a description of
    each request and its time.
    """

    def __init__(
        self,
        inner: Transport,
        limits: RequestLimits = PATIENT,
        *,
        sleep: Callable[[float], None] = time.sleep,
        on_request: Callable[[str], object] | None = None,
    ) -> None:
        self.inner = inner
        self._limits = limits
        self._sleep = sleep
        self._on_request = on_request
        self._lock = threading.Lock()
        self._failures = 0
        self._reason = ""

    @property
    def url(self) -> str:
        """The URL of the inner transport."""
        return self.inner.url

    @property
    def down(self) -> str | None:
        """The reason why the place counts as down; None while it does not."""
        return self._reason if self._failures >= self._limits.max_failures else None

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file of the cache; None if there is no such file."""
        return self._retry(f"get {key}", lambda: self.inner.get(key, limit=limit))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        """Return the bytes of each range."""
        return self._retry(f"get {len(ranges)} parts of {key}", lambda: self.inner.get_ranges(key, ranges))

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file."""
        return self._retry(f"download {key}", lambda: self.inner.download(key, target, limit=limit))

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""
        return self._retry(f"head {key}", lambda: self.inner.head(key))

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield all files below a prefix, once all are known."""
        yield from self._retry(f"list {prefix}", lambda: list(listing(self.inner).scan(prefix)))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a file of the cache."""
        self._retry(f"put {key}", lambda: writable(self.inner).put(key, data), none="done")

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write a new file of the cache. Return False if the key exists."""
        return self._retry(f"create {key}", lambda: creating(self.inner).create(key, data))

    def unfinished(self) -> Iterator[Stat]:
        """Yield the partial files of killed writers."""
        yield from self._retry("list unfinished files", lambda: list(listing(self.inner).unfinished()))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files of the cache."""
        listed = list(keys)
        self._retry(f"delete {len(listed)} files", lambda: writable(self.inner).delete(listed), none="done")

    def tags(self) -> Iterator[str]:
        """Yield the tags of a repository, once all are known."""
        yield from self._retry("list tags", lambda: list(in_registry(self.inner).tags()))

    def mount(self, key: str, repository: str) -> bool:
        """Take a blob from another repository. Return False if that is not possible."""
        return self._retry(f"mount {key} from {repository}", lambda: in_registry(self.inner).mount(key, repository))

    def _retry(self, what: str, request: Callable[[], T], *, none: str = "nothing there") -> T:
        deadline = time.monotonic() + self._limits.retry_seconds
        pause = self._limits.first_pause_seconds
        for attempt in range(1, self._limits.attempts + 1):
            if (reason := self.down) is not None:
                raise TransportError(reason)
            started = time.monotonic()
            try:
                answer = request()
            except TransportError as error:
                self._report(what, started, f"failed: {error.message}")
                if not error.transient:
                    raise
                wait = pause * random.uniform(0.5, 1.0)
                if isinstance(error, ThrottledError) and error.wait_seconds is not None:
                    wait = max(wait, error.wait_seconds)
                if attempt == self._limits.attempts or time.monotonic() + wait > deadline:
                    with self._lock:
                        self._failures += 1
                        self._reason = error.message
                    raise
                self._sleep(wait)
                pause *= 2
            else:
                self._failures = 0
                self._report(what, started, none if answer is None else "done")
                return answer
        raise AssertionError("unreachable")

    def _report(self, what: str, started: float, outcome: str) -> None:
        if self._on_request is not None:
            self._on_request(f"{self.url}: {what}: {outcome} in {time.monotonic() - started:.3f} s")
