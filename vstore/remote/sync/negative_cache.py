"""What a cache did not have, or had badly, a short while ago: not asked for again until then.

One empty file per miss in the disposable part of the store, ``cache/remote``; its time is when it ends.
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
_MANY = 2000
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))


class Misses:
    """Safe for many threads and processes; losing it costs only requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, what: tuple[str, str]) -> bool:
        """Whether (URL, key) is not to be asked for now."""
        try:
            return self._file(*what).lstat().st_mtime > time.time()
        except OSError:
            return False

    def add(self, url: str, key: str, seconds: float) -> None:
        with suppress(OSError):  # a full disk is no reason to fail here
            self._folder.mkdir(parents=True, exist_ok=True)
            file, ends = self._file(url, key), time.time() + seconds
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o666)
            try:
                if os.fstat(handle).st_nlink == 1:  # else it is somebody's file
                    os.utime(handle if os.utime in os.supports_fd else file, (ends, ends))
            finally:
                os.close(handle)
            self._prune()

    def discard(self, url: str, key: str) -> None:
        self._file(url, key).unlink(missing_ok=True)

    def _file(self, url: str, key: str) -> Path:
        return self._folder / hash_fields("miss 1", url.encode(), key.encode()).short

    def _prune(self) -> None:
        with os.scandir(self._folder) as found:
            files = list(found)
        if len(files) > _MANY:
            for file in files:
                if file.stat(follow_symlinks=False).st_mtime < time.time():
                    Path(file.path).unlink(missing_ok=True)
