"""Waiting for another process: reported after a second, limited in time, and ended by a signal.

The policy of the whole process is `vstore.cancel.WAITING`. A program that sets none waits silently, with
the default limits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vstore.cancel import WAITING, Cancelled, CancelToken
from vstore.errors import BusyError
from vstore.fs.locking.holders import holders

LIMIT_SECONDS = 600.0
BUILD_LIMIT_SECONDS = 86400.0  # if the other process builds or fetches the same object
LOOK_SECONDS = 0.1  # how often a waiting function must call `Wait.go_on`
_REPORT_SECONDS = 1.0
_UNSEEN = "an unknown process"


class Wait:
    """One wait for other processes that hold a lock on `files`. It begins with the first call of `go_on`."""

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
        self._reported = False

    def go_on(self) -> None:
        """Report the wait after a second. Raises BusyError at the time limit, and Cancelled if cancelled."""
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
        if waited >= _REPORT_SECONDS and not self._reported:
            self._reported = True
            names = "; ".join(map(str, holders(self._files, writers=self._shared)))
            WAITING.tell(f"waiting for {self._what}, held by {names or _UNSEEN}")

    def busy(self, hint: str = "wait until it has ended") -> BusyError:
        """Return the error that names the lock and its holders."""
        found = holders(self._files, writers=self._shared)
        stopped = " ".join(str(holder.pid) for holder in found if holder.stopped)
        return BusyError(
            f"in use by another process: {self._what}",
            details=map(str, found) if found else [f"held by {_UNSEEN}"],
            hint=f"`kill -CONT {stopped}` lets the stopped process go on" if stopped else hint,
        )
