"""Reading what lies in a cache that is a folder: regular files only, so that nobody waits for a FIFO."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vstore.fs.reading import open_regular, read_pieces, read_regular
from vstore.remote.transport.protocol import Stat, TransportError


def stat_file(folder: Path, key: str) -> Stat:
    """The size and time of a file. Raises OSError."""
    with open_regular(_place(folder, key)) as file:
        status = os.fstat(file.fileno())
    return Stat(key=key, size_bytes=status.st_size, modified=modified_at(status))


def modified_at(status: os.stat_result) -> datetime:
    """The time of a file to the microsecond, cut off as in a listing: rounded, a file would seem to be touched."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=status.st_mtime_ns // 1000)


def read_file(folder: Path, key: str, *, limit: int) -> bytes:
    """A whole file. Raises OSError, also if it has more than `limit` bytes."""
    return read_regular(_place(folder, key), limit=limit)


def read_ranges(folder: Path, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
    """The bytes from start to before end of each range. Raises OSError, and TransportError for a shorter file."""
    found = []
    with open_regular(_place(folder, key)) as file:
        size = os.fstat(file.fileno()).st_size
        for start, end in ranges:
            file.seek(start)
            found.append(file.read(end - start) if end <= size else b"")
    if [len(piece) for piece in found] != [end - start for start, end in ranges]:
        raise TransportError(f"{folder / key} is shorter than the bytes that were asked for")
    return found


def copy_file(folder: Path, key: str, target: Path, *, limit: int) -> int:
    """Write the content of a file to another; return its size. Raises OSError, and TransportError beyond `limit`."""
    size = 0
    with target.open("wb") as file:
        for piece in read_pieces(_place(folder, key)):
            size += len(piece)
            if size > limit:
                raise TransportError(f"{folder / key} has more than {limit} bytes")
            file.write(piece)
    return size


def _place(folder: Path, key: str) -> Path:
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise TransportError(f"not a key of a cache: {key}")
    return folder / key
