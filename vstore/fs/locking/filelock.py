"""Kernel locks between processes: they end with the process, so nothing stale is ever left behind.

A lock is on the open file description (flock(2), LockFileEx), not on a process: two threads exclude each other too.
The lock file itself carries no meaning. Removing it could let two holders in, one with the old file and one
with a new one; so whoever gets the lock looks whether its file is still the one in place, and else tries again.

Whoever may read a file may lock it. So lock files can be opened by those only who may write to their folder.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vstore.cancel import CancelToken
from vstore.errors import StoreError
from vstore.fs.locking.waits import LOOK_SECONDS, Wait
from vstore.fs.reading import open_handle

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW"))
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_LOCK_FILE = (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENOTDIR)  # a FIFO, a folder, a link, in no folder

if sys.platform == "win32":
    from vstore.fs.locking.windows import lock as _acquire
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


class NoFileLocks(StoreError):
    """The file system has no locks, as that of some network mounts."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the file system has no file locks: {path}", hint="put it on a local disk; see --root")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoFileLocks(path) from error
        raise


@contextmanager
def lock_file(
    path: Path,
    *,
    shared: bool = False,
    blocking: bool = True,
    transient: bool = False,
    builds: bool = False,
    cancel: CancelToken | None = None,
) -> Iterator[int]:
    """Hold the lock of `path` (made if absent); yields the open descriptor.

    Raises BusyError naming the holders when they hold it for too long (see `vstore.fs.locking.waits`; for a day with
    `builds`), or at all with ``blocking=False``; Cancelled when a `cancel` is set; StoreError for what is no file, and
    NoFileLocks for one on a file system without locks. The file of a transient one is removed at the end.
    """
    handle = _locked(path, shared, blocking, Wait(_what(path), [path], shared=shared, builds=builds, cancel=cancel))
    try:
        yield handle
    finally:
        if transient:
            with suppress(OSError):  # Windows refuses while it is open; a collector removes it later
                path.unlink()
        os.close(handle)


def _what(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _locked(path: Path, shared: bool, blocking: bool, wait: Wait) -> int:
    while True:
        handle = _opened(path)
        with _told(path):
            try:
                taken = _acquire(handle, shared=shared, blocking=False)
                if not taken and not blocking:
                    raise wait.busy()
            except BaseException:
                os.close(handle)
                raise
            if not taken:
                _InKernel(handle, shared).wait(wait)
        if _in_place(handle, path):
            return handle
        os.close(handle)


class _InKernel:
    """A wait for a lock in the kernel, which wakes those who wait in turn, but cannot be ended.

    So a thread waits there, and keeps the descriptor when the one who wanted the lock has given up.
    """

    def __init__(self, handle: int, shared: bool) -> None:
        self._handle = handle
        self._shared = shared
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._given_up = False
        self._error: OSError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, wait: Wait) -> None:
        """Until it is locked. Raises what `wait` does and OSError; then the descriptor is, or will be, closed."""
        try:
            while not self._ended.wait(LOOK_SECONDS):
                wait.go_on()
            if self._error is not None:
                raise self._error
        except BaseException:
            self._leave()
            raise

    def _run(self) -> None:
        try:
            _acquire(self._handle, shared=self._shared, blocking=True)
        except OSError as error:
            self._error = error
        with self._mutex:
            self._ended.set()
            if self._given_up:
                os.close(self._handle)

    def _leave(self) -> None:
        with self._mutex:
            self._given_up = True
            if self._ended.is_set():
                os.close(self._handle)


def _opened(path: Path) -> int:
    """Open a lock file, made if absent: in its folder as that is now, and never through a link."""
    folder = None
    try:
        folder = os.open(path.parent, _FOLDER) if os.open in os.supports_dir_fd else None
        name = path if folder is None else path.name
        while True:
            try:
                return open_handle(name, follow=False, dir_fd=folder, access=os.O_RDWR)
            except FileNotFoundError:
                with suppress(FileExistsError):  # made by another process meanwhile
                    return _made(name, folder, os.stat(path.parent if folder is None else folder).st_mode)
    except OSError as error:
        if error.errno not in _NO_LOCK_FILE:
            raise
        reason = f", {error.strerror}" if error.errno in (errno.EINVAL, errno.EISDIR) else ""
        raise StoreError(f"not a lock file{reason}: {path}", hint="see whose it is, and move it away") from error
    finally:
        if folder is not None:
            os.close(folder)


def _made(name: str | Path, folder: int | None, folder_mode: int) -> int:
    """A new file for those who may write to the folder, whatever the umask says."""
    writers = folder_mode & 0o222
    mode = 0o600 | writers | writers << 1
    handle = os.open(name, _NEW, mode, dir_fd=folder)
    if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(handle).st_mode) != mode:
        os.fchmod(handle, mode)
    return handle


def _in_place(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now. What is not there, or no file, is held by nobody."""
    try:
        handle = open_handle(path, follow=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCK_FILE:
            return False
        raise
    try:
        with _told(path):
            return not _acquire(handle, shared=True, blocking=False)  # shared: two who ask do not see each other
    finally:
        os.close(handle)
