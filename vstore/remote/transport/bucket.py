"""The transport for buckets, through obstore: ``s3``, ``gs``, ``az``.

Credentials, regions and endpoints come from the variables of each service's own tools (``AWS_…``, ``GOOGLE_…``,
``AZURE_…``), or from the options of the cache in config.toml.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import urlsplit

from vstore.archive.model import Data
from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.extras import require_extra
from vstore.remote.transport.event_loop import wait_for
from vstore.remote.transport.protocol import (
    MAX_LISTED,
    AccessDeniedError,
    RangesUnsupportedError,
    RequestLimits,
    Stat,
    ThrottledError,
    TransportError,
    ended_early,
    is_transient,
    too_large,
    too_many,
    too_short,
)

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore

_LOGIN_HINT = "credentials of buckets come from AWS_…, GOOGLE_… or AZURE_… variables, or `options` in config.toml"
_CONNECT = timedelta(seconds=5)
_UPLOAD_SECONDS = 3600.0
_CHUNK_BYTES = 4 << 20
_MAX_RANGES = 10  # of one call at the same time
_PART_BYTES = 16 << 20  # of a multipart upload: S3 allows 10,000 parts
_PREAMBLE = re.compile(r"^Generic \S+ error: (Error performing .* in \S+ - )?")
_STATUS = re.compile(r"non-2xx status code: (\d+)")
T = TypeVar("T")


class BucketTransport:
    """A bucket or a prefix in one. It repeats nothing: see `vstore.remote.transport.retry`.

    Time limits as in `RequestLimits`; writing an archive may take an hour. Setting `cancel` ends all requests.
    """

    schemes: ClassVar[tuple[str, ...]] = ("s3", "gs", "az")

    def __init__(self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken) -> None:
        self.url = public_url(url)
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query:
            raise UsageError(f"the URL of a bucket has no login and no parameters: {self.url}", hint=_LOGIN_HINT)
        require_extra("buckets", f"caches in buckets ({self.url})")
        self._given_url = url.rstrip("/")
        self._options = dict(options)
        self._limits = limits
        self._cancel = cancel
        self._stores: dict[float, ObjectStore] = {}

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file of the cache; None if there is no such file."""
        import obstore

        def read() -> bytes:
            result = self._wait(lambda: obstore.get_async(self._store(), key))
            size = result.meta["size"]
            if size > limit:
                raise too_large(self.url, key, limit)
            data = self._wait(lambda: _read(result, size))
            if len(data) != size:
                raise ended_early(self.url, key)
            return bytes(data)

        return self._run(read)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        """Return the bytes of each range, several requests at a time."""

        def read() -> Sequence[Data]:
            store = self._store(self._limits.range_seconds)
            pieces = self._wait(lambda: _read_ranges(store, key, ranges))
            if [len(piece) for piece in pieces] != [end - start for start, end in ranges]:
                raise too_short(self.url, key)
            return pieces

        return self._run(read) if ranges else []

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file."""
        import obstore

        def read() -> int:
            seconds, size = self._limits.download_seconds(limit), 0
            result = self._wait(lambda: obstore.get_async(self._store(seconds), key))
            with target.open("wb") as file:
                for chunk in self._each(result.stream(min_chunk_size=_CHUNK_BYTES)):
                    size += len(chunk)
                    if size > limit:
                        raise too_large(self.url, key, limit)
                    file.write(chunk)
            if size != result.meta["size"]:
                raise ended_early(self.url, key)
            return size

        return self._run(read)

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""
        import obstore

        return self._run(lambda: _stat(self._wait(lambda: obstore.head_async(self._store(), key))))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a file, a large one in parts."""
        import obstore

        store = self._store(_UPLOAD_SECONDS if isinstance(data, Path) else None)
        self._write(key, lambda: obstore.put_async(store, key, data, chunk_size=_PART_BYTES))

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write a new file. Return False if the key exists."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        store = self._store(_UPLOAD_SECONDS if isinstance(data, Path) else None)
        refusals = (AlreadyExistsError, PreconditionError)
        return self._write(key, lambda: obstore.put_async(store, key, data, mode="create"), refusals)

    def _write(
        self, key: str, start: Callable[[], Awaitable[object]], refusals: tuple[type[Exception], ...] = ()
    ) -> bool:
        """Run a request that writes. Return False if it is refused in one of these ways."""

        def write() -> bool:
            try:
                self._wait(start)
            except refusals:
                return False
            return True

        done = self._run(write)
        if done is None:
            raise TransportError(f"cannot write {self.url}/{key}: no such bucket")
        return done

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield all files below a prefix, once all are known."""
        import obstore

        def read() -> list[Stat]:
            found: list[Stat] = []
            for chunk in self._each(obstore.list(self._store(), prefix, chunk_size=1000)):
                found += map(_stat, chunk)
                if len(found) > MAX_LISTED:
                    raise too_many(self.url, prefix)
            return found

        yield from self._run(read) or ()

    def unfinished(self) -> Iterator[Stat]:
        """Yield nothing: a bucket's own rule ends uploads of killed writers."""
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files, all in one request if none is missing."""
        import obstore

        def delete(wanted: Sequence[str]) -> bool:
            self._wait(lambda: obstore.delete_async(self._store(), wanted))
            return True

        listed = list(keys)
        if len(listed) > 1 and self._run(lambda: delete(listed)):
            return
        for key in listed:  # one of them is missing, at which Azure stops
            self._run(partial(delete, [key]))

    def _wait(self, start: Callable[[], Awaitable[T]]) -> T:
        return wait_for(start, self._cancel)

    def _each(self, stream: AsyncIterator[T]) -> Iterator[T]:
        """Yield the items of a stream in this thread, so that the event loop only waits."""
        end = object()
        while (item := self._wait(lambda: anext(stream, end))) is not end:
            yield item  # type: ignore[misc]

    def _store(self, seconds: float | None = None) -> ObjectStore:
        """Return the store whose requests may take so many seconds, `record_seconds` by default."""
        limit = seconds or self._limits.record_seconds
        if limit not in self._stores:
            self._stores[limit] = self._open(limit)
        return self._stores[limit]

    def _open(self, seconds: float) -> ObjectStore:
        from obstore.store import from_url

        client: ClientConfig = {
            "allow_http": True,  # contents are verified by digest, everything else by signature
            "connect_timeout": _CONNECT,
            "read_timeout": timedelta(seconds=self._limits.stall_seconds),
            "timeout": timedelta(seconds=seconds),
        }
        try:
            store: ObjectStore = from_url(
                self._given_url,
                client_options=client,
                retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
                config=self._options or None,  # type: ignore[call-overload]  # the keys differ between the services
            )
        except Exception as error:  # obstore's own errors have no common ancestor with ValueError
            raise UsageError(f"cannot use {self.url}: {_first_line(error)}") from error
        return store

    def _run(self, request: Callable[[], T]) -> T | None:
        """Return the result, None for a missing file; raise TransportError for every other failure."""
        from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError

        try:
            return request()
        except FileNotFoundError:
            return None
        except NotSupportedError as error:
            raise RangesUnsupportedError(f"{self.url} does not serve parts of a file") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            status = _status(error)
            reason = f"HTTP status {status}" if status else _first_line(error)
            raise AccessDeniedError(self.url, reason, hint=_LOGIN_HINT) from error
        except (BaseError, OSError) as error:
            text, status = _first_line(error), _status(error)
            if status in (401, 403):  # of listings and deletions obstore raises another class
                raise AccessDeniedError(self.url, f"HTTP status {status}", hint=_LOGIN_HINT) from error
            if status in (429, 503):
                raise ThrottledError(self.url, text, None) from error
            raise TransportError(f"{self.url}: {text}", transient=is_transient(status)) from error


async def _read_ranges(store: ObjectStore, key: str, ranges: Sequence[tuple[int, int]]) -> list[Data]:
    """Return the bytes of each range, fewer where the file ends early."""
    from asyncio import Semaphore, gather

    import obstore

    turns = Semaphore(_MAX_RANGES)

    async def read(start: int, end: int) -> Data:
        if start == end:
            return b""
        async with turns:
            result = await obstore.get_async(store, key, options={"range": (start, end)})
            return await _read(result, end - start) if result.range[0] == start else b""

    return await gather(*(read(start, end) for start, end in ranges))


async def _read(result: GetResult, size: int) -> Data:
    """Return the first `size` bytes of an answer, fewer if it ends early, regardless of its head. Read no more."""
    parts: list[memoryview] = []
    missing = size
    if missing:
        chunks: AsyncIterator[Data] = result.stream(min_chunk_size=min(size, _CHUNK_BYTES))
        async for chunk in chunks:
            parts.append(memoryview(chunk)[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _stat(meta: ObjectMeta) -> Stat:
    return Stat(key=meta["path"], size_bytes=meta["size"], modified=meta["last_modified"])


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of the server's answer, if there was one."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def _first_line(error: BaseException) -> str:
    """Return obstore's message without the request and without the page that a server sent along."""
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return _PREAMBLE.sub("", line).partition(": <")[0].removesuffix(":")
