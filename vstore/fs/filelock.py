"""Kernel locks between processes: they end with the process, so nothing stale is ever left behind.

A lock is on the open file description (flock(2), LockFileEx), not on a process: two threads exclude each other too.
The lock file itself carries no meaning. Removing it could let two holders in, one with the old file and one
with a new one; so whoever gets the lock looks whether its file is still the one in place, and else tries again.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.errors import BusyError
from vstore.stop import Stop

_ASK_AGAIN_SECONDS = 0.05
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

if sys.platform == "win32":
    from vstore.fs.windows import lock as _acquire
else:
    import fcntl

    def _acquire(handle: int, *, shared: bool, blocking: bool) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(handle, kind | (0 if blocking else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES) and not blocking:
                return False
            raise
        return True


@contextmanager
def lock_file(
    path: Path, *, shared: bool = False, blocking: bool = True, transient: bool = False, stop: Stop | None = None
) -> Iterator[int]:
    """Hold the lock of `path` (made if absent); yields the open descriptor.

    With ``blocking=False`` raises BusyError when another holds it, with a `stop` that is set Stopped.
    A transient one's file is removed at the end.
    """
    handle = _locked(path, shared, blocking, stop)
    try:
        yield handle
    finally:
        if transient:
            with suppress(OSError):  # Windows refuses while it is open; a collector removes it later
                path.unlink()
        os.close(handle)


def _locked(path: Path, shared: bool, blocking: bool, stop: Stop | None) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)  # the umask says who shares it
        try:
            while not _acquire(handle, shared=shared, blocking=blocking and stop is None):
                if blocking and stop is not None:  # a thread that waits in the kernel could not be woken
                    stop.wait(_ASK_AGAIN_SECONDS)
                    continue
                raise BusyError(f"in use by another process: {path.name}")
            if _in_place(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _in_place(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now; False if there is no such file."""
    try:
        handle = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return False
    try:
        return not _acquire(handle, shared=True, blocking=False)  # shared: two who ask do not see each other
    finally:
        os.close(handle)
