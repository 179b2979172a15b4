"""Reading parts of an archive where it lies: large ranges in pieces, several pieces at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from vstore.archive.model import Data
from vstore.errors import CacheError
from vstore.remote.records.cache import Cache
from vstore.remote.transport.protocol import PIECE_BYTES

_AT_ONCE = 8
_TAIL_BYTES = 1 << 20


class RemoteReader:
    """The ranges of one object in a cache. Raises CacheError when it is gone, and as its transport does."""

    def __init__(self, cache: Cache, key: str, size_bytes: int, on_bytes: Callable[[int], None] | None = None) -> None:
        self.size_bytes = size_bytes
        self.moved_bytes = 0
        self._cache = cache
        self._key = key
        self._on_bytes = on_bytes
        self._lock = threading.Lock()
        self._tail_start, self._tail = 0, b""

    def read(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        """The bytes of each range, in order; `ranges` are of start and the one after the last byte.

        The end of the archive, where its index is, is kept: of a small archive that is all of it.
        """
        start = self._tail_start
        if self._holds(ranges):
            return [self._tail[first - start : last - start] for first, last in ranges]
        found = self._fetch(ranges)
        if len(ranges) == 1 and ranges[0][1] == self.size_bytes and len(found[0]) <= _TAIL_BYTES:
            self._tail_start, self._tail = ranges[0][0], bytes(found[0])
        return found

    def to_move_bytes(self, ranges: Sequence[tuple[int, int]]) -> int:
        """How much reading these would move, at most."""
        return 0 if self._holds(ranges) else sum(last - first for first, last in ranges)

    def _holds(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Whether all of them lie in the end of the archive that is kept."""
        start, end = self._tail_start, self._tail_start + len(self._tail)
        return bool(self._tail) and all(start <= first and last <= end for first, last in ranges)

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data]:
        pieces = [
            (number, at, min(at + PIECE_BYTES, end))
            for number, (start, end) in enumerate(ranges)
            for at in range(start, end, PIECE_BYTES)
        ]
        found: list[list[Data]] = [[] for _ in ranges]
        batches = list(_batched(pieces))
        if len(batches) == 1:
            answers = [self._read(batches[0])]
        else:
            with self._cache.threads(min(_AT_ONCE, max(len(batches), 1))) as pool:
                answers = list(pool.map(self._read, batches))
        for batch, answer in zip(batches, answers, strict=True):
            for (number, _, _), data in zip(batch, answer, strict=True):
                found[number].append(data)
        return [b"".join(parts) if len(parts) != 1 else parts[0] for parts in found]

    def _read(self, batch: list[tuple[int, int, int]]) -> Sequence[Data]:
        data = self._cache.transport.get_ranges(self._key, [(start, end) for _, start, end in batch])
        if data is None:
            raise CacheError(f"{self._cache.url} does not have {self._key}")
        count = sum(map(len, data))
        with self._lock:
            self.moved_bytes += count
        if self._on_bytes is not None:
            self._on_bytes(count)
        return data


def _batched(pieces: list[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Small pieces together, up to the size of one large one: fewer questions, each bounded."""
    batches: list[list[tuple[int, int, int]]] = []
    size = PIECE_BYTES
    for piece in pieces:
        length = piece[2] - piece[1]
        if size + length > PIECE_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(piece)
        size += length
    return batches
