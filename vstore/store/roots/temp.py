"""Temp roots: the objects that a living process is about to use.

A process names an object in its temp root file *before* it checks that the object is valid, and a collector reads all
these files under its exclusive lock. So an object that was valid after it was named stays.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from vstore.fs.faults import Point, reached
from vstore.fs.folder import Folder
from vstore.fs.locking.filelock import lock_file
from vstore.objects import StorePath
from vstore.store.layout import StoreLayout

_MAX_BYTES = 1 << 26


class TempRoots:
    """The temp roots of this process: one locked file. It counts for nothing once the process has ended."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._held = ExitStack()
        self._handle = -1
        self._named: set[StorePath] = set()
        self._mutex = threading.Lock()

    def add(self, paths: Iterable[StorePath]) -> None:
        """Keep these objects alive until `close`. Waits while a collector holds its lock."""
        with self._mutex:
            new = [path for path in paths if path not in self._named]
            if not new:
                return
            with lock_file(self._layout.locks.gc, shared=True):
                if self._handle < 0:
                    self._open()
                data = "".join(f"\n{path}" for path in new).encode()  # a line torn by a full disk ends at the next
                while data:
                    data = data[os.write(self._handle, data) :]
            self._named.update(new)

    def _open(self) -> None:
        file = self._layout.temp_roots / f"{os.getpid()}-{os.urandom(4).hex()}"
        folder = self._held.enter_context(self._layout.opened(file.parent))
        self._held.callback(folder.unlink, file.name)
        self._handle = self._held.enter_context(lock_file(file))
        reached(Point.TEMP_ROOT_MADE)

    def close(self) -> None:
        """End the temp roots."""
        with self._mutex:
            self._held.close()
            self._handle = -1
            self._named.clear()


def read_temp_roots(folder: Folder, name: str) -> Iterator[StorePath]:
    """Yield the store paths in a temp root file. A torn line belongs to a process whose write failed."""
    try:
        lines = folder.read(name, limit=_MAX_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield StorePath.parse(line)
        except ValueError:
            continue
