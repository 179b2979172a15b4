"""Plan which byte ranges of an archive to fetch (pure)."""

from __future__ import annotations

from collections.abc import Container, Iterable

from vstore.archive.model import ArchiveIndex, ByteRange, FetchPlan

GAP_BYTES = 64 << 10  # the cost of a request: a smaller gap is read along with its neighbours
REQUEST_BYTES = 4 << 20  # longer ranges are split, so that they can be read in parallel


def plan_fetch(
    index: ArchiveIndex,
    local: Container[bytes] = (),
    *,
    gap_bytes: int = GAP_BYTES,
    request_bytes: int = REQUEST_BYTES,
) -> FetchPlan:
    """Return the cheapest way to the whole tree when the files with the BLAKE3 digests in `local` are at hand.

    A frame is read if it contains another file. `gap_bytes` is the cost of a request, as bytes that could be read
    instead.
    """
    numbers = [number for number, entry in enumerate(index.files) if entry.size and entry.digest in local]
    fetched = set(range(len(index.files))).difference(numbers)
    return plan_files(index, numbers, fetched, gap_bytes=gap_bytes, request_bytes=request_bytes)


def plan_files(
    index: ArchiveIndex,
    local: Iterable[int],
    fetched: Iterable[int],
    *,
    gap_bytes: int = GAP_BYTES,
    request_bytes: int = REQUEST_BYTES,
) -> FetchPlan:
    """Return the plan for exactly these files, by their numbers."""
    numbers = tuple(sorted(fetched, key=index.offsets.__getitem__))
    wanted = sorted({frame for number in numbers for frame in index.frames_of(number)})
    return FetchPlan(
        index=index,
        local=tuple(local),
        fetched=numbers,
        frames=tuple(wanted),
        ranges=tuple(_ranges(index, wanted, gap_bytes, request_bytes)),
    )


def _ranges(index: ArchiveIndex, frames: Iterable[int], gap_bytes: int, request_bytes: int) -> list[ByteRange]:
    """Merge ranges over small gaps, split them between frames where a request would become too long."""
    ranges: list[ByteRange] = []
    for number in frames:
        frame = index.frames[number]
        start, end = frame.offset, frame.offset + frame.size_bytes
        if ranges and start - ranges[-1].end <= gap_bytes and end - ranges[-1].start <= request_bytes:
            start = ranges.pop().start
        ranges.append(ByteRange(start, end))
    return ranges
