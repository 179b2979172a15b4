"""Web servers, read with urllib3: whatever an answer's head says, it is bounded in bytes and in time.

The body is read up to the length asked for and no further, its head up to `_HEAD_BYTES`, and a request ends when its
time is over, however little at a time the server sends. Redirects are followed within the origin only, unless the
option ``redirects`` of the cache is ``anywhere``; never from https to http. The login, of the URL or of the netrc
file, goes to the origin alone.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.fs.netrc import netrc_login
from vstore.remote.transport.exchange import Guard, open_pool, reason
from vstore.remote.transport.protocol import (
    Busy,
    NoListing,
    NoRanges,
    Refused,
    Stat,
    TransportError,
    may_help,
    whole_seconds,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

SCHEMES = ("http", "https")
_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 256 << 10
_RANGES_AT_ONCE = 10
_CONNECTIONS = 64  # kept open
_REDIRECTS = 5
_NOT_THERE = (404, 410)
_REFUSED = (401, 403, 407)
_LOGIN_HINT = "give a login: in the netrc file, or in the URL (https://user:password@host/…)"
_PROXY_HINT = "give the proxy's login: http_proxy=http://user:password@proxy"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")
_LENGTH = re.compile(r"\d{1,19}")


class WebTransport:
    """A folder behind a web server, read only. It retries nothing: see `vstore.remote.transport.retry`.

    Time limits as those of `ObjectStoreTransport`. Setting `cancel` ends all requests.
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
        self._parts = urlsplit(url)
        self.url = public_url(url)
        self._anywhere = (options or {}).get("redirects") == "anywhere"
        if set(options or ()) - {"redirects"}:
            raise UsageError(f"a web server has no other option than `redirects`: {self.url}")
        self._stall_seconds = stall_seconds
        self._record_seconds = record_seconds
        self._ranges_seconds = ranges_seconds
        self._cancel = cancel or CancelToken()
        self._lock = threading.Lock()
        self._made: PoolManager | None = None

    def get(self, key: str, *, limit: int) -> bytes | None:
        with self._asked("GET", key, self._record_seconds) as answer:
            return None if answer is None else b"".join(self._content(answer, key, limit))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        if len(ranges) < 2:
            found = [self._get_range(key, one) for one in ranges]
        else:
            with ThreadPoolExecutor(min(len(ranges), _RANGES_AT_ONCE)) as pool, self._cancel.set_after(errors=False):
                found = list(pool.map(lambda one: self._get_range(key, one), ranges))
        pieces = [piece for piece in found if piece is not None]
        return pieces if len(pieces) == len(ranges) else None

    def _get_range(self, key: str, one: tuple[int, int]) -> bytes | None:
        start, end = one
        if start == end:
            return b""
        with self._asked("GET", key, self._ranges_seconds, {"Range": f"bytes={start}-{end - 1}"}) as answer:
            if answer is None:
                return None
            if answer.status != 206:
                raise NoRanges(f"{self.url} does not give parts of an object")
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise TransportError(f"{self.url}/{key} answers with other bytes than those that were asked for")
            data = answer.read(end - start, decode_content=False)
            if len(data) != end - start:
                if int(found[2]) + 1 < end:
                    raise TransportError(f"{self.url}/{key} is shorter than the bytes that were asked for")
                raise TransportError(f"{self.url}/{key} ended early", transient=True)
            return data

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        with self._asked("GET", key, whole_seconds(limit, self._ranges_seconds)) as answer:
            if answer is None:
                return None
            with target.open("wb") as file:
                return sum(file.write(chunk) for chunk in self._content(answer, key, limit))

    def head(self, key: str) -> Stat | None:
        with self._asked("HEAD", key, self._record_seconds) as answer:
            if answer is None:
                return None
            size = _declared(answer)
            if size is None:
                raise TransportError(f"{self.url}/{key} has no length")
            return Stat(key=key, size_bytes=size, modified=_modified(answer.headers.get("Last-Modified")))

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        self._cancel.check()
        raise TransportError(f"cannot write {self.url}/{key}: a web server is only read from")

    def scan(self, prefix: str) -> Iterator[Stat]:
        raise NoListing(f"a web server does not list objects: {self.url}", hint="give the folder or bucket behind it")

    def unfinished(self) -> Iterator[Stat]:
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        self._cancel.check()
        raise TransportError(f"cannot delete from {self.url}: a web server is only read from")

    def _content(self, answer: BaseHTTPResponse, key: str, limit: int) -> Iterator[bytes]:
        """Give the whole body, at most `limit` bytes of it."""
        declared, size = _declared(answer), 0
        while declared is None or declared <= limit:
            chunk = answer.read(min(_CHUNK_BYTES, limit + 1 - size), decode_content=False)
            size += len(chunk)
            if not chunk:
                return
            if size > limit:
                break
            yield chunk
        raise TransportError(f"{self.url}/{key} has more than {limit} bytes")

    @contextmanager
    def _asked(
        self, method: str, key: str, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Iterator[BaseHTTPResponse | None]:
        """The answer to a request, None for an object that is not there, a TransportError for everything else."""
        from urllib3.exceptions import HTTPError

        self._cancel.check()
        guard = Guard(seconds)
        try:
            with guard, self._cancel.calling(guard.end), self._followed(method, key, headers or {}) as answer:
                guard.check()
                yield answer
                guard.check()
        except (HTTPError, ValueError, TimeoutError) as error:
            self._cancel.check()
            said = f"no whole answer within {seconds:g} seconds" if guard.over else reason(error)
            raise TransportError(f"{self.url}: {said}", transient=True) from error

    @contextmanager
    def _followed(self, method: str, key: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse | None]:
        """The answer at the end of the redirects, if it is a good one. Closes what was not read to its end."""
        at = self._address(key)
        for _ in range(_REDIRECTS + 1):
            mine = _origin(at) == _origin(self._address(""))
            answer = self._pool().request(
                method,
                at,
                headers={**headers, **(self._login if mine else {}), "Accept-Encoding": "identity"},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
            try:
                to = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
                if to is None:
                    yield None if answer.status in _NOT_THERE else self._good(answer, key)
                    return
            finally:
                answer.close()
            before, at = at, urljoin(at, to)
            if urlsplit(before).scheme == "https" != urlsplit(at).scheme:
                raise TransportError(f"{self.url} redirects from https to {urlsplit(at).scheme}: {public_url(at)}")
            if not self._anywhere and _origin(at) != _origin(self._address("")):
                raise TransportError(
                    f"{self.url} redirects to another server: {public_url(at)}",
                    hint='to follow it set `options = { redirects = "anywhere" }` of the cache in config.toml',
                )
        raise TransportError(f"{self.url}/{key} redirects more than {_REDIRECTS} times")

    def _good(self, answer: BaseHTTPResponse, key: str) -> BaseHTTPResponse:
        status = answer.status
        if status in (200, 206):
            return answer
        if status in _REFUSED:
            raise Refused(self.url, f"HTTP status {status}", hint=_PROXY_HINT if status == 407 else _LOGIN_HINT)
        if status in (429, 503):
            raise Busy(self.url, f"HTTP status {status}", _wait_seconds(answer.headers.get("Retry-After")))
        if status == 416:
            raise TransportError(f"{self.url}/{key} is shorter than the bytes that were asked for")
        raise TransportError(f"{self.url}: HTTP status {status} for {key}", transient=may_help(status))

    def _address(self, key: str) -> str:
        host = self._parts.netloc.rpartition("@")[2]
        query = f"?{self._parts.query}" if self._parts.query else ""
        return f"{self._parts.scheme}://{host}{self._parts.path.rstrip('/')}/{quote(key)}{query}"

    @cached_property
    def _login(self) -> dict[str, str]:
        from urllib3.util import make_headers

        login: tuple[str, str] | None
        if self._parts.username is not None:
            login = unquote(self._parts.username), unquote(self._parts.password or "")
        else:
            try:
                login = netrc_login(self._parts.hostname or "", os.environ)
            except ValueError as error:
                raise TransportError(str(error)) from None
        return {**make_headers(basic_auth=":".join(login))} if login else {}

    def _pool(self) -> PoolManager:
        with self._lock:
            if self._made is None:
                self._made = open_pool(
                    self._address(""),
                    connections=_CONNECTIONS,
                    connect_seconds=_CONNECT_SECONDS,
                    stall_seconds=self._stall_seconds,
                )
            return self._made


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _declared(answer: BaseHTTPResponse) -> int | None:
    """The length of the body that the head declares."""
    found = answer.headers.get("Content-Length", "")
    return int(found) if _LENGTH.fullmatch(found) else None


def _wait_seconds(text: str | None) -> float | None:
    """Return the seconds that Retry-After says, as a number or as a date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    with suppress(ValueError, TypeError, OverflowError):
        if _LENGTH.fullmatch(text or ""):
            return float(text or "")
        return max((parsedate_to_datetime(text or "").astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    return None


def _modified(text: str | None) -> datetime:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
