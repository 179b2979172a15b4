"""Kernel locks between processes: they end with the process, so nothing stale is ever left behind.

A lock is on the open file description (flock(2), LockFileEx), not on a process: two threads exclude each other too.
The lock file itself carries no meaning. Removing it could let two holders in, one with the old file and one
with a new one; so whoever gets the lock looks whether its file is still the one in place, and else tries again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.errors import BusyError, StoreError
from vstore.fs.reading import open_handle
from vstore.stop import Stop

_ASK_AGAIN_SECONDS = 0.05
_FLAGS = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
_FOLDER = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW"))

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
        handle = _opened(path)
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


def _opened(path: Path) -> int:
    """Open a lock file, made if absent: in its folder as that is now, and never through a link."""
    folder = os.open(path.parent, _FOLDER) if os.open in os.supports_dir_fd else None
    try:
        name = path if folder is None else path.name
        handle = os.open(name, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666, dir_fd=folder)  # the umask says who shares it
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENOTDIR):
            raise
        raise StoreError(f"not a lock file: {path}", hint="see whose it is, and move it away") from error
    finally:
        if folder is not None:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StoreError(f"not a lock file: {path}", hint="see whose it is, and move it away")
    return handle


def _in_place(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now; False if there is no such file, or something else lies there."""
    try:
        handle = open_handle(path, follow=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EISDIR, errno.ELOOP):
            return False
        raise
    try:
        return not _acquire(handle, shared=True, blocking=False)  # shared: two who ask do not see each other
    finally:
        os.close(handle)
