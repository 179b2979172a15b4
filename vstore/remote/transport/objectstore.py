"""Folders and buckets through obstore: ``file``, ``s3``, ``gs``, ``az``.

Credentials, regions and endpoints come from where each service's own tools take them (``AWS_…``, ``GOOGLE_…``,
``AZURE_…``), or from the options of the cache in config.toml.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from vstore.archive.model import Data
from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.remote.transport.event_loop import wait_for
from vstore.remote.transport.folder import copy_file, modified_at, read_file, read_ranges, stat_file
from vstore.remote.transport.protocol import Busy, NoRanges, Refused, Stat, TransportError, may_help, whole_seconds

SCHEMES = ("file", "s3", "gs", "az")
_LOGIN_HINT = "credentials of buckets come from AWS_…, GOOGLE_… or AZURE_… variables, or `options` in config.toml"
_CONNECT = timedelta(seconds=5)
_WHOLE_SECONDS = 3600.0
_CHUNK_BYTES = 4 << 20
_RANGES_AT_ONCE = 10
_MOST_LISTED = 500_000  # below one prefix: some 150 MiB
_PART_BYTES = 16 << 20  # of a multipart upload: S3 allows 10,000 parts
_UNFINISHED = re.compile(r".*#\d+")  # in a folder obstore writes NAME#1 beside NAME; it neither lists nor deletes these
_SAID_ALREADY = re.compile(r"^Generic \S+ error: (Error performing .* in \S+ - )?")
_STATUS = re.compile(r"non-2xx status code: (\d+)")
T = TypeVar("T")


class ObjectStoreTransport:
    """One place that obstore can reach. It retries nothing: see `vstore.remote.transport.retry`.

    Every request has a time limit: `record_seconds` for small ones, `ranges_seconds` for each `PIECE_BYTES` of what is
    read, an hour to write an archive; and one that brings nothing for `stall_seconds` is given up.
    Setting `cancel` ends them all.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, str] | None = None,
        *,
        stall_seconds: float = 15.0,
        record_seconds: float = 30.0,
        ranges_seconds: float = 60.0,
        cancel: CancelToken | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise UsageError(f"not a cache that can be reached: {url}", hint=f"URLs start with {', '.join(SCHEMES)}")
        self.url = public_url(url)
        if "@" in parts.netloc or parts.query:
            raise UsageError(f"the URL of a folder or bucket holds no login and no parameters: {url}", hint=_LOGIN_HINT)
        self._given_url = url.rstrip("/")
        self._options = dict(options or {})
        self._stall_seconds = stall_seconds
        self._record_seconds = record_seconds
        self._ranges_seconds = ranges_seconds
        self._cancel = cancel or CancelToken()
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        self._opened: dict[float, Any] = {}

    def _store(self, seconds: float | None = None) -> Any:
        """The store whose requests may take so long; FileNotFoundError for a folder that is not there."""
        if self._folder is not None and not self._folder.is_dir():
            raise FileNotFoundError(self._folder)
        limit = seconds or self._record_seconds
        if limit not in self._opened:
            self._opened[limit] = self._open(limit)
        return self._opened[limit]

    def _open(self, seconds: float) -> Any:
        from obstore.store import LocalStore, from_url

        try:
            if self._folder is not None:
                return LocalStore(self._folder)
            client = {
                "allow_http": True,  # contents prove themselves, and what does not is signed
                "connect_timeout": _CONNECT,
                "read_timeout": timedelta(seconds=self._stall_seconds),
                "timeout": timedelta(seconds=seconds),
            }
            retries = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
            config: dict[str, Any] = {"config": self._options} if self._options else {}
            return from_url(self._given_url, client_options=client, retry_config=retries, **config)  # type: ignore[call-overload]
        except Exception as error:  # obstore's own kinds of error have no common ancestor with ValueError
            raise UsageError(f"cannot use {self.url}: {_first_line(error)}") from error

    def get(self, key: str, *, limit: int) -> bytes | None:
        folder = self._folder
        if folder is not None:
            return self._asked(key, lambda: read_file(folder, key, limit=limit))
        import obstore

        def read() -> bytes:
            result = self._call(obstore, "get", self._store(), key)
            size = result.meta["size"]
            if size > limit:
                raise TransportError(f"{self.url}/{key} has more than {limit} bytes")
            data = wait_for(lambda: _exactly(result, size), self._cancel)
            if len(data) != size:
                raise TransportError(f"{self.url}/{key} ended early", transient=True)
            return bytes(data)

        return self._asked(key, read)

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        folder = self._folder
        if folder is not None:
            return self._asked(key, lambda: read_ranges(folder, key, ranges))

        def read() -> Sequence[Data]:
            store = self._store(self._ranges_seconds)
            pieces = wait_for(lambda: _ranges(store, key, ranges), self._cancel)
            if [len(piece) for piece in pieces] != [end - start for start, end in ranges]:
                raise TransportError(f"{self.url}/{key} is shorter than the bytes that were asked for")
            return pieces

        return self._asked(key, read) if ranges else []

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        folder = self._folder
        if folder is not None:
            return self._asked(key, lambda: copy_file(folder, key, target, limit=limit))
        import obstore

        def read() -> int:
            result, size = self._call(obstore, "get", self._store(whole_seconds(limit, self._ranges_seconds)), key), 0
            with target.open("wb") as file:
                for chunk in self._each(result.stream(min_chunk_size=_CHUNK_BYTES)):
                    size += len(chunk)
                    if size > limit:
                        raise TransportError(f"{self.url}/{key} has more than {limit} bytes")
                    file.write(chunk)
            if size != result.meta["size"]:
                raise TransportError(f"{self.url}/{key} ended early", transient=True)
            return size

        return self._asked(key, read)

    def head(self, key: str) -> Stat | None:
        folder = self._folder
        if folder is not None:
            return self._asked(key, lambda: stat_file(folder, key))
        import obstore

        return self._asked(key, lambda: _stat(self._call(obstore, "head", self._store(), key)))

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def write() -> bool:
            way: dict[str, Any] = {"mode": "create"} if create_only else {"chunk_size": _PART_BYTES}
            try:
                self._call(obstore, "put", self._made(data), key, data, **way)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        done = self._asked(key, write)
        if done is None:
            raise TransportError(f"cannot write {self.url}/{key}: there is no such place")
        return done

    def scan(self, prefix: str) -> Iterator[Stat]:
        yield from self._asked(prefix, lambda: self._listing(prefix)) or ()

    def _listing(self, prefix: str) -> list[Stat]:
        import obstore

        found: list[Stat] = []
        for chunk in self._each(obstore.list(self._store(), prefix, chunk_size=1000)):
            found += map(_stat, chunk)
            if len(found) > _MOST_LISTED:
                raise TransportError(f"{self.url}/{prefix} lists more than {_MOST_LISTED} entries")
        return found

    def unfinished(self) -> Iterator[Stat]:
        if self._folder is not None:
            for place in self._folder.rglob("*#*"):
                if _UNFINISHED.fullmatch(place.name):
                    with suppress(FileNotFoundError):  # its writer has just finished it
                        status = place.stat()
                        key = place.relative_to(self._folder).as_posix()
                        yield Stat(key=key, size_bytes=status.st_size, modified=modified_at(status))

    def delete(self, keys: Iterable[str]) -> None:
        import obstore

        wanted = list(keys)
        if self._folder is not None:
            for key in filter(_UNFINISHED.fullmatch, wanted):
                (self._folder / key).unlink(missing_ok=True)
            wanted = [key for key in wanted if not _UNFINISHED.fullmatch(key)]

        def together() -> bool:
            self._call(obstore, "delete", self._store(), wanted)
            return True

        if len(wanted) > 1 and self._asked(wanted[0], together):
            return
        for key in wanted:  # one of them is not there, at which a folder and Azure end
            self._asked(key, lambda key=key: self._call(obstore, "delete", self._store(), key))  # type: ignore[misc]

    def _made(self, data: bytes | Path) -> Any:
        """The store to write this to, its folder made."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._store(_WHOLE_SECONDS if isinstance(data, Path) else None)

    def _call(self, owner: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """What this function of obstore's gives. A disk keeps nobody waiting, a network only until a stop."""
        if self._folder is not None:
            self._cancel.check()
            return getattr(owner, name)(*arguments, **options)
        return wait_for(lambda: getattr(owner, f"{name}_async")(*arguments, **options), self._cancel)

    def _each(self, stream: Any) -> Iterator[Any]:
        """What one of obstore's streams gives."""
        if self._folder is not None:
            yield from stream
            return
        end = object()
        while (item := wait_for(lambda: anext(stream, end), self._cancel)) is not end:
            yield item

    def _asked(self, key: str, question: Callable[[], T]) -> T | None:
        """The answer, None for not there, a TransportError for everything else."""
        from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError

        try:
            if self._folder is not None:
                self._cancel.check()
            return question()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NotSupportedError as error:
            raise NoRanges(f"{self.url} does not give parts of an object") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            status, hint = _status(error), _LOGIN_HINT if self._folder is None else "ask the owner of the folder"
            raise Refused(self.url, f"HTTP status {status}" if status else _first_line(error), hint=hint) from error
        except (BaseError, OSError) as error:
            if self._folder is not None and isinstance(error, OSError):
                raise TransportError(f"{self.url}/{key}: {error.strerror or _first_line(error)}") from error
            text, status = _first_line(error), _status(error)
            if status in (401, 403):  # of listings and deletions obstore does not say it by its kind
                raise Refused(self.url, f"HTTP status {status}", hint=_LOGIN_HINT) from error
            if status in (429, 503):
                raise Busy(self.url, text, None) from error
            raise TransportError(f"{self.url}: {text}", transient=may_help(status)) from error


async def _ranges(store: Any, key: str, ranges: Sequence[tuple[int, int]]) -> list[Data]:
    """The bytes of each range, several at a time; fewer where the object ends earlier."""
    from asyncio import Semaphore, gather

    import obstore

    turns = Semaphore(_RANGES_AT_ONCE)

    async def read(start: int, end: int) -> Data:
        if start == end:
            return b""
        async with turns:
            result = await obstore.get_async(store, key, options={"range": (start, end)})
            return await _exactly(result, end - start) if result.range[0] == start else b""

    return await gather(*(read(start, end) for start, end in ranges))


async def _exactly(result: Any, size: int) -> Data:
    """The first `size` bytes of an answer, whatever its head says, or fewer if it ends. Nothing more is read of it."""
    parts: list[memoryview] = []
    missing = size
    if missing:
        async for chunk in result.stream(min_chunk_size=min(size, _CHUNK_BYTES)):
            parts.append(memoryview(chunk)[:missing])
            missing -= len(parts[-1])
            if not missing:
                break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _stat(meta: Any) -> Stat:
    return Stat(key=meta["path"], size_bytes=meta["size"], modified=meta["last_modified"])


def _status(error: BaseException) -> int | None:
    """What the server answered, if it did."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def _first_line(error: BaseException) -> str:
    """What obstore says, without where it was said and without the page that a server sent along."""
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return _SAID_ALREADY.sub("", line).partition(": <")[0].removesuffix(":")
