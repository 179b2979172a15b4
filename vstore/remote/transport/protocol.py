"""The interfaces of a transport: a few methods on keys and bytes, for the place where a cache lies.

Every transport reads (`Transport`). `WritableTransport`, `CreatingTransport` and `ListingTransport` are what only some
places can do; `FileTransport` is all of it, as folders and buckets can. `RepositoryTransport` is for registries. The
modules beside this one implement them, `retry` wraps any of them, and `schemes` lists their URL schemes. A missing file
is None, because asking for one is normal; every other failure is a TransportError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from vstore.archive.model import Data
from vstore.errors import CacheError
from vstore.values import frozen, replace

MAX_LISTED = 500_000  # entries below one prefix: some 150 MiB
MAX_RANGE_BYTES = 8 << 20  # of one request: a slow connection can still read this within its time limit


@frozen
class RequestLimits:
    """The time limits of requests, and how often a failed request is repeated.

    A request fails after `stall_seconds` without any byte. In all it may take `record_seconds` for a record, and
    `range_seconds` for each `MAX_RANGE_BYTES` of an archive. It is repeated up to `attempts` times within
    `retry_seconds`. After `max_failures` requests in a row have failed for good, the place counts as down.
    """

    stall_seconds: float = 15.0
    record_seconds: float = 30.0
    range_seconds: float = 60.0
    attempts: int = 4
    first_pause_seconds: float = 0.2
    retry_seconds: float = 30.0
    max_failures: int = 3

    def within(self, seconds: float) -> Self:
        """Return these limits, but none for a record, its retries or a silent place is longer than `seconds`."""
        return replace(
            self,
            stall_seconds=min(self.stall_seconds, seconds),
            record_seconds=min(self.record_seconds, seconds),
            retry_seconds=min(self.retry_seconds, seconds),
        )

    def download_seconds(self, size_bytes: int) -> float:
        """Return the time limit in seconds for a whole file of this size: a power of two times `range_seconds`."""
        ranges = max(-(-size_bytes // MAX_RANGE_BYTES), 1)
        return self.range_seconds * (1 << (ranges - 1).bit_length())


PATIENT = RequestLimits()
FAIL_FAST = RequestLimits(
    stall_seconds=8.0, record_seconds=10.0, attempts=2, retry_seconds=10.0, max_failures=1
)  # for callers that can do without the cache


class TransportError(CacheError):
    """A request failed. `transient` means that the same request may succeed later."""

    def __init__(self, message: str, *, transient: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.transient = transient


class UnreadableFileError(TransportError):
    """The place answers, and one file there cannot be read: it is a folder or a FIFO, or larger than its limit."""


class AccessDeniedError(TransportError):
    """The place requires another login (HTTP 401, 403, 407). It may still contain the file."""

    def __init__(self, url: str, reason: str, *, hint: str) -> None:
        super().__init__(f"access to {url} is refused: {reason}", hint=hint)


class ThrottledError(TransportError):
    """The place is busy (HTTP 429, 503). `wait_seconds` is the pause that it asks for, if any."""

    def __init__(self, url: str, reason: str, wait_seconds: float | None) -> None:
        later = "" if wait_seconds is None else f"; it asks for a pause of {wait_seconds:.0f} s"
        super().__init__(f"{url} is busy: {reason}{later}", transient=True)
        self.wait_seconds = wait_seconds


class RangesUnsupportedError(TransportError):
    """The place serves whole files only."""


class ListingUnsupportedError(TransportError):
    """The place cannot list its files, as plain web servers cannot."""


@frozen
class Stat:
    """The size and the time of one file."""

    key: str
    size_bytes: int
    modified: datetime


class Transport(Protocol):
    """A flat collection of named byte strings. All methods may be called from many threads."""

    @property
    def url(self) -> str:
        """The URL without secrets, for messages and as the identity of the cache."""

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file; None if there is no such file.

        Raises TransportError if it is larger than `limit` bytes.
        """

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        """Return the bytes of each range, from start up to but not including end.

        Raises RangesUnsupportedError where only whole files are served, TransportError for a shorter file.
        """

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file.

        Raises TransportError if it is larger than `limit` bytes.
        """

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""


@runtime_checkable
class WritableTransport(Transport, Protocol):
    """A transport that also writes and deletes."""

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a file, whole or not at all."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files. A missing one is no error."""


@runtime_checkable
class CreatingTransport(Transport, Protocol):
    """A transport that also creates a file only once, whoever else tries at the same time."""

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write a new file, whole or not at all. Return False if the key exists already."""


@runtime_checkable
class ListingTransport(Transport, Protocol):
    """A transport that also lists its files, with their times."""

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield all files whose keys start with ``prefix/``, in no particular order."""

    def unfinished(self) -> Iterator[Stat]:
        """Yield the partial files of killed writers. `scan` does not list them; `delete` removes them."""


@runtime_checkable
class RepositoryTransport(WritableTransport, Protocol):
    """A transport for a repository of a registry."""

    def tags(self) -> Iterator[str]:
        """Yield the tags of the repository, in no particular order."""

    def mount(self, key: str, repository: str) -> bool:
        """Take a blob from another repository of the registry. Return False if that is not possible."""


class FileTransport(WritableTransport, CreatingTransport, ListingTransport, Protocol):
    """A transport that can do all of it."""


def writable(transport: Transport) -> WritableTransport:
    """Return the transport for writing. Raises TransportError if it only reads."""
    if not isinstance(transport, WritableTransport):
        raise _read_only(transport)
    return transport


def creating(transport: Transport) -> CreatingTransport:
    """Return the transport for creating files. Raises TransportError if it cannot."""
    if not isinstance(transport, CreatingTransport):
        raise _read_only(transport)
    return transport


def listing(transport: Transport) -> ListingTransport:
    """Return the transport for listing. Raises ListingUnsupportedError if it cannot list."""
    if not isinstance(transport, ListingTransport):
        raise ListingUnsupportedError(
            f"files cannot be listed there: {transport.url}", hint="give the folder or bucket behind it"
        )
    return transport


def in_registry(transport: Transport) -> RepositoryTransport:
    """Return the transport for a repository. Raises TransportError if it is for another place."""
    if not isinstance(transport, RepositoryTransport):
        raise TransportError(f"not a repository of a registry: {transport.url}")
    return transport


def _read_only(transport: Transport) -> TransportError:
    return TransportError(
        f"cannot write to {transport.url}: it is read-only", hint="give the folder or bucket behind it"
    )


def is_transient(status: int | None) -> bool:
    """Return whether a repeated request may succeed: not after HTTP 4xx, except 408 and 429."""
    return status is None or not 400 <= status < 500 or status in (408, 429)


def too_large(url: str, key: str, limit: int) -> UnreadableFileError:
    """Return the error for a file that is larger than its limit."""
    return UnreadableFileError(f"{url}/{key} is larger than the limit of {limit} bytes")


def too_short(url: str, key: str) -> TransportError:
    """Return the error for a range beyond the end of a file."""
    return TransportError(f"{url}/{key} is shorter than the requested range")


def too_many(url: str, prefix: str) -> TransportError:
    """Return the error for a listing of more than `MAX_LISTED` entries."""
    return TransportError(f"{url}/{prefix} lists more than {MAX_LISTED} entries")


def ended_early(url: str, key: str) -> TransportError:
    """Return the error for an answer that was cut off."""
    return TransportError(f"{url}/{key} ended early", transient=True)
