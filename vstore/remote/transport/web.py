"""The transport for web servers, through urllib3: read-only, with every answer bounded in bytes and in time.

Of a body no more is read than the requested length, of a head no more than `_HEAD_BYTES`. A request ends at its
deadline, however slowly the server sends. Redirects are followed within the origin only, unless the option
``redirects`` of the cache is ``anywhere``; never from https to http. The login, from the URL or the netrc file, goes
to the origin alone.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote, urljoin, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.fs.netrc import netrc_login
from vstore.remote.transport.connection import Deadline, open_pool, reason
from vstore.remote.transport.protocol import (
    AccessDeniedError,
    RangesUnsupportedError,
    RequestLimits,
    Stat,
    ThrottledError,
    TransportError,
    ended_early,
    is_transient,
    too_large,
    too_short,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 256 << 10
_MAX_RANGES = 10  # of one call at the same time
_MAX_CONNECTIONS = 64  # kept open
_MAX_REDIRECTS = 5
_NOT_FOUND = (404, 410)
_ACCESS_DENIED = (401, 403, 407)
_LOGIN_HINT = "give a login: in the netrc file, or in the URL (https://user:password@host/…)"
_PROXY_HINT = "give the proxy's login: http_proxy=http://user:password@proxy"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")
_LENGTH = re.compile(r"\d{1,19}")


class WebTransport:
    """A folder behind a web server. It repeats nothing: see `vstore.remote.transport.retry`.

    Time limits as in `RequestLimits`. Setting `cancel` ends all requests.
    """

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")

    def __init__(self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken) -> None:
        self._parts = urlsplit(url)
        self.url = public_url(url)
        self._redirects_anywhere = options.get("redirects") == "anywhere"
        if set(options) - {"redirects"}:
            raise UsageError(f"a web server has no other option than `redirects`: {self.url}")
        self._limits = limits
        self._cancel = cancel
        self._lock = threading.Lock()
        self._pool: PoolManager | None = None

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a file of the cache; None if there is no such file."""
        with self._request("GET", key, self._limits.record_seconds) as answer:
            return None if answer is None else b"".join(self._content(answer, key, limit))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        """Return the bytes of each range, several requests at a time."""
        if len(ranges) < 2:
            found = [self._get_range(key, one) for one in ranges]
        else:
            with ThreadPoolExecutor(min(len(ranges), _MAX_RANGES)) as pool, self._cancel.set_after(errors=False):
                found = list(pool.map(lambda one: self._get_range(key, one), ranges))
        pieces = [piece for piece in found if piece is not None]
        return pieces if len(pieces) == len(ranges) else None

    def _get_range(self, key: str, one: tuple[int, int]) -> bytes | None:
        start, end = one
        if start == end:
            return b""
        headers = {"Range": f"bytes={start}-{end - 1}"}
        with self._request("GET", key, self._limits.range_seconds, headers) as answer:
            if answer is None:
                return None
            if answer.status != 206:
                raise RangesUnsupportedError(f"{self.url} does not serve parts of a file")
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise TransportError(f"{self.url}/{key}: the answer has another range than requested")
            data = answer.read(end - start, decode_content=False)
            if len(data) != end - start:
                raise too_short(self.url, key) if int(found[2]) + 1 < end else ended_early(self.url, key)
            return data

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a file of the cache to `target`. Return its size in bytes; None if there is no such file."""
        with self._request("GET", key, self._limits.download_seconds(limit)) as answer:
            if answer is None:
                return None
            with target.open("wb") as file:
                return sum(file.write(chunk) for chunk in self._content(answer, key, limit))

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file; None if there is no such file."""
        with self._request("HEAD", key, self._limits.record_seconds) as answer:
            if answer is None:
                return None
            size = _declared_bytes(answer)
            if size is None:
                raise TransportError(f"{self.url}/{key}: the answer has no length")
            return Stat(key=key, size_bytes=size, modified=_modified(answer.headers.get("Last-Modified")))

    def _content(self, answer: BaseHTTPResponse, key: str, limit: int) -> Iterator[bytes]:
        """Yield the whole body. Raises TransportError if it has more than `limit` bytes."""
        declared, size = _declared_bytes(answer), 0
        while declared is None or declared <= limit:
            chunk = answer.read(min(_CHUNK_BYTES, limit + 1 - size), decode_content=False)
            size += len(chunk)
            if not chunk:
                return
            if size > limit:
                break
            yield chunk
        raise too_large(self.url, key, limit)

    @contextmanager
    def _request(
        self, method: str, key: str, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Iterator[BaseHTTPResponse | None]:
        """Yield the answer, None for a missing file; raise TransportError for every other failure."""
        from urllib3.exceptions import HTTPError

        self._cancel.check()
        deadline = Deadline(seconds)
        try:
            with (
                deadline,
                self._cancel.calling(deadline.end),
                self._follow_redirects(method, key, headers or {}) as answer,
            ):
                deadline.check()
                yield answer
                deadline.check()
        except (HTTPError, ValueError, TimeoutError) as error:
            self._cancel.check()
            text = f"no whole answer within {seconds:g} seconds" if deadline.expired else reason(error)
            raise TransportError(f"{self.url}: {text}", transient=True) from error

    @contextmanager
    def _follow_redirects(self, method: str, key: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse | None]:
        """Yield the answer at the end of the redirects, if it is a good one.

        Close an answer that was not read to its end.
        """
        at = self._address(key)
        for _ in range(_MAX_REDIRECTS + 1):
            at_home = _origin(at) == _origin(self._address(""))
            answer = self._connections().request(
                method,
                at,
                headers={**headers, **(self._login if at_home else {}), "Accept-Encoding": "identity"},
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
            try:
                to = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
                if to is None:
                    yield None if answer.status in _NOT_FOUND else self._checked(answer, key)
                    return
            finally:
                answer.close()
            before, at = at, urljoin(at, to)
            if urlsplit(before).scheme == "https" != urlsplit(at).scheme:
                raise TransportError(f"{self.url} redirects from https to {urlsplit(at).scheme}: {public_url(at)}")
            if not self._redirects_anywhere and _origin(at) != _origin(self._address("")):
                raise TransportError(
                    f"{self.url} redirects to another server: {public_url(at)}",
                    hint='to follow it set `options = { redirects = "anywhere" }` of the cache in config.toml',
                )
        raise TransportError(f"{self.url}/{key} redirects more than {_MAX_REDIRECTS} times")

    def _checked(self, answer: BaseHTTPResponse, key: str) -> BaseHTTPResponse:
        status = answer.status
        if status in (200, 206):
            return answer
        if status in _ACCESS_DENIED:
            hint = _PROXY_HINT if status == 407 else _LOGIN_HINT
            raise AccessDeniedError(self.url, f"HTTP status {status}", hint=hint)
        if status in (429, 503):
            raise ThrottledError(self.url, f"HTTP status {status}", _wait_seconds(answer.headers.get("Retry-After")))
        if status == 416:
            raise too_short(self.url, key)
        raise TransportError(f"{self.url}: HTTP status {status} for {key}", transient=is_transient(status))

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

    def _connections(self) -> PoolManager:
        with self._lock:
            if self._pool is None:
                self._pool = open_pool(
                    self._address(""),
                    connections=_MAX_CONNECTIONS,
                    connect_seconds=_CONNECT_SECONDS,
                    stall_seconds=self._limits.stall_seconds,
                )
            return self._pool


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _declared_bytes(answer: BaseHTTPResponse) -> int | None:
    """Return the length of the body that the head declares."""
    found = answer.headers.get("Content-Length", "")
    return int(found) if _LENGTH.fullmatch(found) else None


def _wait_seconds(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3)."""
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
