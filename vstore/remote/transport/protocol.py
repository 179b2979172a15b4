"""What a cache asks of the place it lies in: a few methods on keys and bytes.

`memory` and `objectstore` beside this module implement it, `retry` wraps any of
them. "Not there" is None, because asking is normal; everything else is a TransportError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from vstore.archive.model import Data
from vstore.errors import CacheError
from vstore.values import frozen

PIECE_BYTES = 8 << 20  # of one request: what a slow connection still brings within its time limit


class TransportError(CacheError):
    """The place did not do what it was asked. `transient` when asking again may help."""

    def __init__(self, message: str, *, transient: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class Refused(TransportError):
    """The place wants another login, or none of this user (HTTP 401, 403, 407). It says nothing of what is there."""

    def __init__(self, url: str, reason: str, *, hint: str) -> None:
        super().__init__(f"access to {url} is refused: {reason}", hint=hint)


class Busy(TransportError):
    """The place wants to be asked later (HTTP 429, 503), after `wait_seconds` if it said so."""

    def __init__(self, url: str, reason: str, wait_seconds: float | None) -> None:
        later = "" if wait_seconds is None else f", and asks to come back in {wait_seconds:.0f} s"
        super().__init__(f"{url} is busy: {reason}{later}", transient=True)
        self.wait_seconds = wait_seconds


class NoRanges(TransportError):
    """This place gives whole objects only."""


class NoListing(TransportError):
    """This place cannot say what it holds, as plain web servers cannot."""


@frozen
class Stat:
    """What is known of one object without its content."""

    key: str
    size_bytes: int
    modified: datetime


class Transport(Protocol):
    """A flat place of named byte strings. All methods may be called from many threads."""

    @property
    def url(self) -> str:
        """Where it is, for people and for remembering it; without secrets."""

    def get(self, key: str, *, limit: int) -> bytes | None:
        """The whole object; TransportError if it has more than `limit` bytes."""

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        """The bytes from start to before end of each range, exactly; NoRanges where only whole objects are given."""

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write the whole object to a new file; returns its size. At most `limit` bytes are written."""

    def head(self, key: str) -> Stat | None: ...

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        """Write it whole or not at all; False when it is there already and was only to be created."""

    def scan(self, prefix: str) -> Iterator[Stat]:
        """All objects whose keys start with ``prefix/``, in no particular order. NoListing where that is not known."""

    def unfinished(self) -> Iterator[Stat]:
        """What writers that were killed left, where `delete` can remove that; it is nothing that `scan` gives."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove them; one that is not there is no error."""


def may_help(status: int | None) -> bool:
    """Whether asking again may help: not when the server itself said no (HTTP 4xx but for 408 and 429)."""
    return status is None or not 400 <= status < 500 or status in (408, 429)


def whole_seconds(limit: int, ranges_seconds: float) -> float:
    """How long a whole object of `limit` bytes may take where a piece of 8 MiB may take `ranges_seconds`."""
    pieces = max(-(-limit // PIECE_BYTES), 1)
    return ranges_seconds * (1 << (pieces - 1).bit_length())
