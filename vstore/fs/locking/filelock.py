"""Kernel locks between processes. A lock ends with its process, so no lock is ever stale.

A lock belongs to the open file description (flock(2), LockFileEx), not to the process: it also excludes other threads.
The lock file has no content. If it is removed, one process could lock the old file and another a new one. So a process
that gets the lock checks that its file is still in place, and tries again otherwise.

A user who can read a file can lock it. So only users who can write to a folder can open its lock files.
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
    """The file system has no locks, as on some network mounts."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"the file system has no file locks: {path}",
            hint="put the store on a local disk: --root DIR, or VSTORE_ROOT",
        )


@contextmanager
def _no_locks_as_error(path: Path) -> Iterator[None]:
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
    """Hold the lock of `path`, created if missing, and yield its descriptor. A `transient` file is removed at the end.

    Raises BusyError, naming the holders, after the time limit of `vstore.fs.locking.waits` (with `builds` a day), or
    with ``blocking=False`` at once. Raises Cancelled once `cancel` is set, StoreError if the path is not a file, and
    NoFileLocks if the file system has no locks.
    """
    handle = _locked(path, shared, blocking, Wait(_label(path), [path], shared=shared, builds=builds, cancel=cancel))
    try:
        yield handle
    finally:
        if transient:
            with suppress(OSError):  # Windows refuses this while it is open; a collection removes it later
                path.unlink()
        os.close(handle)


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _locked(path: Path, shared: bool, blocking: bool, wait: Wait) -> int:
    while True:
        handle = _opened(path)
        with _no_locks_as_error(path):
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
    """A wait for a lock in the kernel, which is fair but cannot be interrupted.

    So a thread waits, and closes the descriptor itself if the caller has given up.
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
        """Wait for the lock. Raises as `Wait.go_on`, and OSError; the descriptor is closed then, at once or later."""
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
    """Open a lock file, created if missing, from its open folder and not following a link."""
    folder = None
    try:
        folder = os.open(path.parent, _FOLDER) if os.open in os.supports_dir_fd else None
        name = path if folder is None else path.name
        while True:
            try:
                return open_handle(name, follow=False, dir_fd=folder, access=os.O_RDWR)
            except FileNotFoundError:
                with suppress(FileExistsError):  # created by another process meanwhile
                    return _create(name, folder, os.stat(path.parent if folder is None else folder).st_mode)
    except OSError as error:
        if error.errno not in _NO_LOCK_FILE:
            raise
        reason = f", {error.strerror}" if error.errno in (errno.EINVAL, errno.EISDIR) else ""
        raise StoreError(f"not a lock file{reason}: {path}", hint="check who owns it, and move it away") from error
    finally:
        if folder is not None:
            os.close(folder)


def _create(name: str | Path, folder: int | None, folder_mode: int) -> int:
    """Create a file for the users who can write to the folder, regardless of the umask."""
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
    """Return whether a process holds the lock now; False if the path is missing or not a file."""
    try:
        handle = open_handle(path, follow=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCK_FILE:
            return False
        raise
    try:
        with _no_locks_as_error(path):
            return not _acquire(
                handle, shared=True, blocking=False
            )  # shared: two processes that test it do not see each other
    finally:
        os.close(handle)
