"""Waiting for another process: told after a second, bounded, and ended by a signal.

The policy of the whole process is `vstore.cancel.WAITING`. A program that sets none waits in silence, as long as the
defaults say.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vstore.cancel import WAITING, Cancelled, CancelToken
from vstore.errors import BusyError
from vstore.fs.locking.holders import holders

LIMIT_SECONDS = 600.0
BUILD_LIMIT_SECONDS = 86400.0  # where others build or fetch what this process needs too
LOOK_SECONDS = 0.1  # how often whoever waits must ask `Wait.go_on`
_TOLD_SECONDS = 1.0
_UNSEEN = "a process that cannot be seen from here"


class Wait:
    """One wait for what other processes hold a lock on `files` for; it begins when `go_on` is first asked."""

    def __init__(
        self,
        what: str,
        files: Sequence[Path],
        *,
        shared: bool = False,
        builds: bool = False,
        cancel: CancelToken | None = None,
    ) -> None:
        self._what = what
        self._files = files
        self._shared = shared
        self._builds = builds
        self._cancel = cancel
        self._began: float | None = None
        self._limit = 0.0
        self._told = False

    def go_on(self) -> None:
        """After a second, report what is waited for. Raises BusyError at the time limit, Cancelled if cancelled."""
        if WAITING.ended:
            raise Cancelled
        if self._cancel is not None:
            self._cancel.check()
        if self._began is None:
            self._began = time.monotonic()
            limit = WAITING.limit_seconds()
            self._limit = limit if limit is not None else BUILD_LIMIT_SECONDS if self._builds else LIMIT_SECONDS
        waited = time.monotonic() - self._began
        if waited >= self._limit:
            raise self.busy("`--wait SECONDS` waits longer")
        if waited >= _TOLD_SECONDS and not self._told:
            self._told = True
            names = "; ".join(map(str, holders(self._files, writers=self._shared)))
            WAITING.tell(f"waiting for {self._what}, held by {names or _UNSEEN}")

    def busy(self, hint: str = "wait for its end") -> BusyError:
        """The error that names what is held, and who holds it."""
        found = holders(self._files, writers=self._shared)
        stopped = " ".join(str(holder.pid) for holder in found if holder.stopped)
        return BusyError(
            f"in use by another process: {self._what}",
            details=map(str, found) if found else [f"held by {_UNSEEN}"],
            hint=f"`kill -CONT {stopped}` lets the stopped process go on" if stopped else hint,
        )
