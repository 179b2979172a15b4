"""The transport that keeps everything in this process: for tests and experiments."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vstore.remote.transport.protocol import Stat, too_large, too_short


class MemoryReader:
    """Reads byte strings that `find` returns. Subclasses keep them."""

    def __init__(self, url: str) -> None:
        self.url = url

    def find(self, key: str) -> bytes | None:
        """Return the whole content of a file; None if there is no such file."""
        raise NotImplementedError

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file of the cache; None if there is no such file."""
        found = self.find(key)
        if found is not None and len(found) > limit:
            raise too_large(self.url, key, limit)
        return found

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Return the bytes of each range."""
        found = self.find(key)
        if found is None:
            return None
        if any(not 0 <= start <= end <= len(found) for start, end in ranges):
            raise too_short(self.url, key)
        return [found[start:end] for start, end in ranges]

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file."""
        found = self.get(key, limit=limit)
        return None if found is None else target.write_bytes(found)


class MemoryTransport(MemoryReader):
    """A dictionary behind a lock."""

    def __init__(self, url: str = "memory://") -> None:
        super().__init__(url)
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def find(self, key: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""
        with self._lock:
            found = self._objects.get(key)
        return found[0] if found else None

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""
        with self._lock:
            found = self._objects.get(key)
        return Stat(key=key, size_bytes=len(found[0]), modified=found[1]) if found else None

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a file."""
        content = _content(data)
        with self._lock:
            self._objects[key] = (content, datetime.now(UTC))

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write a new file. Return False if the key exists."""
        made = _content(data), datetime.now(UTC)
        with self._lock:
            return self._objects.setdefault(key, made) is made

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield all files below a prefix."""
        with self._lock:
            found = list(self._objects.items())
        for key, (data, modified) in found:
            if key.startswith(f"{prefix}/"):
                yield Stat(key=key, size_bytes=len(data), modified=modified)

    def unfinished(self) -> Iterator[Stat]:
        """Yield nothing: objects appear whole."""
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files."""
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)


def _content(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else bytes(data)
