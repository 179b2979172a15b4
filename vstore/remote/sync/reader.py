"""Read ranges of an archive in a cache: large ranges in pieces, several requests at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from vstore.archive.model import Data
from vstore.errors import CacheError
from vstore.remote.records.blob import Blob
from vstore.remote.records.cache import Cache, request_threads
from vstore.remote.transport.protocol import MAX_RANGE_BYTES

_MAX_REQUESTS = 8  # at the same time
_TAIL_BYTES = 1 << 20


class RemoteReader:
    """A `RangeReader` of one object in a cache. Raises CacheError if it is missing, and the transport's errors.

    `on_bytes` is called with the number of bytes fetched.
    """

    def __init__(
        self, cache: Cache, blob: Blob, size_bytes: int, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        self.size_bytes = size_bytes
        self.fetched_bytes = 0
        self._cache = cache
        self._blob = blob
        self._on_bytes = on_bytes
        self._lock = threading.Lock()
        self._tail_start, self._tail = 0, b""

    def read(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        """Return the bytes of each range, from start up to but not including end.

        The end of the archive, which contains the index, is cached: for a small archive that is all of it.
        """
        start = self._tail_start
        if self._in_tail(ranges):
            return [self._tail[first - start : last - start] for first, last in ranges]
        found = self._fetch(ranges)
        if len(ranges) == 1 and ranges[0][1] == self.size_bytes and len(found[0]) <= _TAIL_BYTES:
            self._tail_start, self._tail = ranges[0][0], bytes(found[0])
        return found

    def cost_bytes(self, ranges: Sequence[tuple[int, int]]) -> int:
        """Return how many bytes reading these ranges would fetch, at most."""
        return 0 if self._in_tail(ranges) else sum(last - first for first, last in ranges)

    def _in_tail(self, ranges: Sequence[tuple[int, int]]) -> bool:
        start, end = self._tail_start, self._tail_start + len(self._tail)
        return bool(self._tail) and all(start <= first and last <= end for first, last in ranges)

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        pieces = [
            (number, at, min(at + MAX_RANGE_BYTES, end))
            for number, (start, end) in enumerate(ranges)
            for at in range(start, end, MAX_RANGE_BYTES)
        ]
        found: list[list[Data]] = [[] for _ in ranges]
        batches = _batches(pieces)
        if len(batches) == 1:
            answers = [self._read(batches[0])]
        else:
            with request_threads(self._cache, min(_MAX_REQUESTS, max(len(batches), 1))) as pool:
                answers = list(pool.map(self._read, batches))
        for batch, answer in zip(batches, answers, strict=True):
            for (number, _, _), data in zip(batch, answer, strict=True):
                found[number].append(data)
        return [b"".join(parts) if len(parts) != 1 else parts[0] for parts in found]

    def _read(self, batch: list[tuple[int, int, int]]) -> Sequence[Data]:
        data = self._blob.get_ranges([(start, end) for _, start, end in batch])
        if data is None:
            raise CacheError(f"{self._cache.url} does not have {self._blob.key}")
        count = sum(map(len, data))
        with self._lock:
            self.fetched_bytes += count
        if self._on_bytes is not None:
            self._on_bytes(count)
        return data


def _batches(pieces: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Group small pieces up to the size of a large one: fewer requests, each bounded."""
    batches: list[list[tuple[int, int, int]]] = []
    size = MAX_RANGE_BYTES
    for piece in pieces:
        length = piece[2] - piece[1]
        if size + length > MAX_RANGE_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(piece)
        size += length
    return batches
