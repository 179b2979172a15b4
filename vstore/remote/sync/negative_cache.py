"""The negative cache: requests that failed a short while ago and are not repeated until their entry expires.

Each entry is an empty file in ``cache/remote``, the disposable part of the store. Its time is the expiry time.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from vstore.digest import hash_fields

ABSENT_SECONDS = 60.0
BAD_SECONDS = 600.0
DOWN_SECONDS = 60.0
_MAX_FILES = 2000  # before expired entries are deleted
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))


class NegativeCache:
    """The entries of one folder. Safe for many threads and processes; losing them costs only requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, request: tuple[str, str]) -> bool:
        """Return whether (URL, key) has an entry that has not expired."""
        try:
            return self._file(*request).lstat().st_mtime > time.time()
        except OSError:
            return False

    def add(self, url: str, key: str, seconds: float) -> None:
        """Add an entry for so many seconds. A full disk is no error."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            file, ends = self._file(url, key), time.time() + seconds
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o666)
            try:
                if os.fstat(handle).st_nlink == 1:  # else it is also another file
                    os.utime(handle if os.utime in os.supports_fd else file, (ends, ends))
            finally:
                os.close(handle)
            self._prune()

    def _file(self, url: str, key: str) -> Path:
        return self._folder / hash_fields("miss 1", url.encode(), key.encode()).short

    def _prune(self) -> None:
        with os.scandir(self._folder) as found:
            files = list(found)
        if len(files) > _MAX_FILES:
            for file in files:
                if file.stat(follow_symlinks=False).st_mtime < time.time():
                    Path(file.path).unlink(missing_ok=True)
