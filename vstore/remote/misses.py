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


class Misses:
    """Safe for many threads and processes; losing it costs only requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, what: tuple[str, str]) -> bool:
        """Whether (URL, key) is not to be asked for now."""
        try:
            return self._file(*what).stat().st_mtime > time.time()
        except OSError:
            return False

    def add(self, url: str, key: str, seconds: float) -> None:
        with suppress(OSError):  # a full disk is no reason to fail here
            self._folder.mkdir(parents=True, exist_ok=True)
            file, ends = self._file(url, key), time.time() + seconds
            file.touch()
            os.utime(file, (ends, ends))
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
                if file.stat().st_mtime < time.time():
                    Path(file.path).unlink(missing_ok=True)
