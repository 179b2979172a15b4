"""What to fetch of an archive (pure)."""

from __future__ import annotations

from collections.abc import Container, Iterable

from vstore.archive.model import ByteRange, FetchPlan, Index

GAP_BYTES = 64 << 10  # as much as a request costs: a smaller gap is read along with its neighbours
REQUEST_BYTES = 4 << 20  # longer ranges are cut, so that they can be fetched side by side


def plan_fetch(
    index: Index,
    have: Container[bytes] = (),
    *,
    gap_bytes: int = GAP_BYTES,
    request_bytes: int = REQUEST_BYTES,
) -> FetchPlan:
    """The cheapest way to the whole tree when donors have the files of these BLAKE3 digests.

    A frame is read if it holds a file that no donor has. `gap_bytes` is what a request costs, in bytes that could be
    read instead.
    """
    donated = [number for number, entry in enumerate(index.files) if entry.size and entry.digest in have]
    fetched = set(range(len(index.files))).difference(donated)
    return plan_files(index, donated, fetched, gap_bytes=gap_bytes, request_bytes=request_bytes)


def plan_files(
    index: Index,
    donated: Iterable[int],
    fetched: Iterable[int],
    *,
    gap_bytes: int = GAP_BYTES,
    request_bytes: int = REQUEST_BYTES,
) -> FetchPlan:
    """Plan for exactly these files, by their numbers."""
    places = index.places
    numbers = tuple(sorted(fetched, key=places.__getitem__))
    wanted = sorted({frame for number in numbers for frame in index.frames_of(number)})
    return FetchPlan(
        index=index,
        donated=tuple(donated),
        fetched=numbers,
        frames=tuple(wanted),
        ranges=tuple(_ranges(index, wanted, gap_bytes, request_bytes)),
    )


def _ranges(index: Index, frames: Iterable[int], gap_bytes: int, request_bytes: int) -> list[ByteRange]:
    """Merge over small gaps, cut at frames where a request would become too long."""
    ranges: list[ByteRange] = []
    for number in frames:
        frame = index.frames[number]
        start, end = frame.offset, frame.offset + frame.size_bytes
        if ranges and start - ranges[-1].end <= gap_bytes and end - ranges[-1].start <= request_bytes:
            start = ranges.pop().start
        ranges.append(ByteRange(start, end))
    return ranges
