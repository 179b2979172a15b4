"""Unlinking the trash: the slow part of a collection, without any lock that others wait for.

It works on open folders, not on paths that another user could redirect, and never follows a link.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import lock_file
from vstore.fs.trees.removal import BY_HANDLE, DEEPEST, in_folder, move_up, open_folder
from vstore.fs.trees.usage import Tally, held_bytes, is_last_name, statuses
from vstore.gc.ownership import removable
from vstore.reporter import Reporter
from vstore.store import StoreLayout

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 8  # where removing waits for the disk, the threads share a commit of its journal
_WINDOW_SECONDS = 0.02  # time after which to decide that; otherwise threads only hinder each other
_LOCKS = 64  # threads that unlink inodes with the same remainder wait for each other


def empty_trash(layout: StoreLayout, reporter: Reporter) -> int:
    """Unlink the trash, except for other users' folders. Return the bytes that were freed.

    An entry that cannot be unlinked is reported as a warning, and stays for the next collection.
    """
    # two collectors would only hinder each other
    with lock_file(layout.locks.trash), layout.opened(layout.trash) as trash:
        return unlink_all(trash, [name for name in trash.names() if removable(trash.path / name)], reporter)


def unlink_all(folder: Folder, names: list[str], reporter: Reporter) -> int:
    """Unlink entries with all below them, with a warning for failures. Return the bytes that were freed."""
    if not names:
        return 0
    reporter.progress("gc", "unlinking", 0, len(names))
    work = _Unlinker(folder, names, reporter)
    failures = work.run()
    if failures:
        reporter.warn(
            f"{len(failures)} entries could not be unlinked: {failures[0]}",
            hint=f"the next `vstore gc` tries again; they are in {folder.path}",
        )
    return work.freed_bytes


class _Unlinker:
    """Removes entries of the trash in this thread, and in helpers if it mostly waits for the disk."""

    def __init__(self, trash: Folder, names: list[str], reporter: Reporter) -> None:
        self._trash = trash
        self._handle = trash.at if isinstance(trash.at, int) else -1  # -1 only without `BY_HANDLE`
        self._pending = deque(names)
        self._total = len(names)
        self._reporter = reporter
        self._failures: list[OSError] = []
        self._helpers: list[Future[None]] = []
        self._stopped = False
        self.freed_bytes = 0
        self._counting = threading.Lock()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def run(self) -> list[OSError]:
        from concurrent.futures import ThreadPoolExecutor  # other commands do without it

        with ThreadPoolExecutor(_THREADS - 1) as pool:
            try:
                self._lead(pool)
                for helper in self._helpers:
                    helper.result()
            finally:
                self._stopped = True
        return self._failures

    def _lead(self, pool: ThreadPoolExecutor) -> None:
        """Work, and start the helpers as soon as that is mostly waiting."""
        wall, busy = time.monotonic(), time.thread_time()
        for _ in self._work():
            passed = time.monotonic() - wall
            if passed > _WINDOW_SECONDS and not self._helpers:
                if time.thread_time() - busy < passed / 2:
                    self._helpers += [pool.submit(self._help) for _ in range(_THREADS - 1)]
                wall, busy = time.monotonic(), time.thread_time()

    def _help(self) -> None:
        for _ in self._work():
            pass

    def _work(self) -> Iterator[None]:
        """Remove one entry after the other, and yield after each."""
        while not self._stopped:
            try:
                name = self._pending.popleft()
            except IndexError:
                return
            try:
                if BY_HANDLE:
                    self._remove(name, self._handle)
                else:
                    self._freed(Tally().remove(statuses(self._trash.path / name)))
                    self._trash.remove(name)
            except OSError as error:
                self._failures.append(error)
            done = max(self._total - len(self._pending), 0)
            if done % 64 == 0:
                self._reporter.progress("gc", "unlinking", done, self._total)
            yield

    def _remove(self, name: str, parent: int) -> None:
        """Remove a file, a link, or a folder with all in it."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                self._remove_folder(name, parent, 0)
            else:
                self._unlink(name, parent)

    def _unlink(self, name: str, parent: int) -> None:
        """Unlink a file or link, and count its bytes if that was its last name.

        Threads that unlink names of one inode take turns; otherwise each could see the other's name.
        """
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if is_last_name(status):
            in_folder(os.unlink, name, parent)
        else:
            with self._locks[status.st_ino % _LOCKS]:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                in_folder(os.unlink, name, parent)
        if is_last_name(status):
            self._freed(held_bytes(status))

    def _freed(self, count: int) -> None:
        with self._counting:
            self.freed_bytes += count

    def _remove_folder(self, name: str, parent: int, depth: int) -> None:
        try:
            folder = open_folder(name, parent)
        except FileNotFoundError:
            return
        try:
            reached(Point.GC_UNLINKING)
            if depth >= DEEPEST and self._moved_up(name, parent):
                return
            with os.scandir(folder) as found:
                children = list(found)
            for child in children:
                if self._stopped:
                    return
                if child.is_dir(follow_symlinks=False):
                    self._remove_folder(child.name, folder, depth + 1)
                else:
                    with suppress(FileNotFoundError):
                        self._unlink(child.name, folder)
            held = held_bytes(os.fstat(folder))
        finally:
            os.close(folder)
        in_folder(os.rmdir, name, parent)
        self._freed(held)

    def _moved_up(self, name: str, parent: int) -> bool:
        """Move a folder to the top of the trash as an entry of its own, if the file system can."""
        aside = move_up(name, parent, self._handle)
        self._pending += [aside] if aside else []
        return aside is not None
