"""Requests to one server, for the transports over HTTP: every answer is bounded in bytes and in time.

Of a body no more is read than the requested length, of a head no more than `connection` allows. A request ends at its
deadline, however slowly the server sends. Redirects are followed within the origin only, unless the caller allows
others; never from https to http, and never for a request that writes. The login goes to the origin alone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import urljoin, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
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
from vstore.values import frozen

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 1 << 20
_ERROR_BYTES = 16 << 10  # of the body of an error
_MAX_RANGES = 10  # of one call at the same time
_MAX_CONNECTIONS = 64  # kept open
_MAX_REDIRECTS = 5
_UPLOAD_STALL_SECONDS = 300.0  # a registry hashes a whole blob before it answers
_GOOD = (200, 201, 202, 204, 206)
_NOT_FOUND = (404, 410)
_ACCESS_DENIED = (401, 403, 407)
_PROXY_HINT = "give the proxy's login: http_proxy=http://user:password@proxy"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")
_LENGTH = re.compile(r"\d{1,19}")


@frozen
class HttpRequest:
    """A request. Errors name its key. The time limit is `record_seconds` where none is given.

    `scope` states the rights that it needs, in the words of the server's tokens.
    """

    key: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes | Path | None = None
    seconds: float | None = None
    scope: str = ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method in ("GET", "HEAD")


class HttpStatusError(TransportError):
    """The answer is an error, neither of the login nor of a busy server. `body` is its start."""

    def __init__(self, url: str, key: str, status: int, body: bytes) -> None:
        super().__init__(f"{url}: HTTP status {status} for {key}", transient=is_transient(status))
        self.status = status
        self.body = body


class HttpLogin(Protocol):
    """The login that requests to a server carry. Safe for several threads."""

    @property
    def hint(self) -> str:
        """The advice after a refusal."""

    def headers(self, request: HttpRequest) -> Mapping[str, str]:
        """Return the headers with the login. Raises TransportError."""

    def renew(self, request: HttpRequest, sent: Mapping[str, str], challenges: Sequence[str]) -> bool:
        """Return whether a request that was refused (HTTP 401) is worth another try, with other headers than `sent`.

        `challenges` are the values of WWW-Authenticate. Raises TransportError.
        """


class HttpClient:
    """Requests to the server at `base`. Errors call it `name`. It repeats nothing but after a renewed login.

    Time limits as in `RequestLimits`. Setting `cancel` ends all requests.
    """

    def __init__(
        self, base: str, login: HttpLogin, limits: RequestLimits, cancel: CancelToken, *, name: str, anywhere: bool
    ) -> None:
        self.name = name
        self.limits = limits
        self._base = base
        self._login = login
        self._cancel = cancel
        self._anywhere = anywhere
        self._lock = threading.Lock()
        self._pool: PoolManager | None = None

    def get(self, request: HttpRequest, *, limit: int) -> bytes | None:
        """Return the body of an answer. Raises TransportError if it has more than `limit` bytes."""
        with self.send(request) as answer:
            return None if answer is None else b"".join(self.content(answer, request, limit))

    def get_ranges(self, request: HttpRequest, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        """Return the bytes of each range, several requests at a time."""
        if len(ranges) < 2:
            found = [self._get_range(request, one) for one in ranges]
        else:
            with ThreadPoolExecutor(min(len(ranges), _MAX_RANGES)) as pool, self._cancel.set_after(errors=False):
                found = list(pool.map(lambda one: self._get_range(request, one), ranges))
        pieces = [piece for piece in found if piece is not None]
        return pieces if len(pieces) == len(ranges) else None

    def _get_range(self, request: HttpRequest, one: tuple[int, int]) -> bytes | None:
        start, end = one
        if start == end:
            return b""
        headers = {**request.headers, "Range": f"bytes={start}-{end - 1}"}
        part = HttpRequest(key=request.key, url=request.url, headers=headers, seconds=self.limits.range_seconds)
        with self.send(part) as answer:
            if answer is None:
                return None
            if answer.status != 206:
                raise RangesUnsupportedError(f"{self.name} does not serve parts of a file")
            found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise TransportError(f"{self.name}/{request.key}: the answer has another range than requested")
            data = answer.read(end - start, decode_content=False)
            if len(data) != end - start:
                early = int(found[2]) + 1 < end
                raise too_short(self.name, request.key) if early else ended_early(self.name, request.key)
            return data

    def head(self, request: HttpRequest) -> Stat | None:
        """Return the size and the time that an answer states."""
        with self.send(request) as answer:
            if answer is None:
                return None
            size = _declared_bytes(answer)
            if size is None:
                raise TransportError(f"{self.name}/{request.key}: the answer has no length")
            return Stat(key=request.key, size_bytes=size, modified=_modified(answer.headers.get("Last-Modified")))

    def content(self, answer: BaseHTTPResponse, request: HttpRequest, limit: int) -> Iterator[bytes]:
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
        raise too_large(self.name, request.key, limit)

    @contextmanager
    def send(self, request: HttpRequest) -> Iterator[BaseHTTPResponse | None]:
        """Yield the answer, None for a missing file; raise TransportError for every other failure."""
        from urllib3.exceptions import HTTPError

        self._cancel.check()
        deadline = Deadline(request.seconds or self.limits.record_seconds)
        try:
            with deadline, self._cancel.calling(deadline.end), self._follow_redirects(request) as answer:
                deadline.check()
                yield answer
                deadline.check()
        except (HTTPError, ValueError, TimeoutError) as error:
            self._cancel.check()
            text = f"no whole answer within {deadline.seconds:g} seconds" if deadline.expired else reason(error)
            raise TransportError(f"{self.name}: {text}", transient=True) from error

    @contextmanager
    def _follow_redirects(self, request: HttpRequest) -> Iterator[BaseHTTPResponse | None]:
        """Yield the answer at the end of the redirects, if it is a good one.

        Close an answer that was not read to its end.
        """
        at = request.url
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._answer(request, at)
            try:
                to = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
                if to is None:
                    yield self._checked(answer, request)
                    return
            finally:
                answer.close()
            at = self._redirect(request, at, to)
        raise TransportError(f"{self.name}/{request.key} redirects more than {_MAX_REDIRECTS} times")

    def _redirect(self, request: HttpRequest, before: str, to: str) -> str:
        """Return the address to which an answer redirects. Raises TransportError if it must not be followed."""
        at = urljoin(before, to)
        if not request.reads:
            raise TransportError(f"{self.name} redirects a request that writes: {public_url(at)}")
        if urlsplit(before).scheme == "https" != urlsplit(at).scheme:
            raise TransportError(f"{self.name} redirects from https to {urlsplit(at).scheme}: {public_url(at)}")
        if not self._anywhere and not self.is_home(at):
            raise TransportError(
                f"{self.name} redirects to another server: {public_url(at)}",
                hint='to follow it set `options = { redirects = "anywhere" }` of the cache in config.toml',
            )
        return at

    def _answer(self, request: HttpRequest, at: str) -> BaseHTTPResponse:
        """Return the answer of one address, if it asks for a login that of the second try."""
        if not self.is_home(at):
            return self._ask(request, at, {})
        sent = self._login.headers(request)
        answer = self._ask(request, at, sent)
        if answer.status == 401:
            _drain(answer)
            if self._login.renew(request, sent, answer.headers.getlist("WWW-Authenticate")):
                answer.close()
                answer = self._ask(request, at, self._login.headers(request))
        return answer

    def _ask(self, request: HttpRequest, at: str, login: Mapping[str, str]) -> BaseHTTPResponse:
        from urllib3 import Timeout

        headers = {**request.headers, **login, "Accept-Encoding": "identity"}
        stall = max(self.limits.stall_seconds, 0 if request.reads else _UPLOAD_STALL_SECONDS)
        with _opened(request.body) as (body, size):
            if size is not None:
                headers["Content-Length"] = str(size)
            return self._connections().request(
                request.method,
                at,
                body=body,
                headers=headers,
                timeout=Timeout(connect=_CONNECT_SECONDS, read=stall),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )

    def _checked(self, answer: BaseHTTPResponse, request: HttpRequest) -> BaseHTTPResponse | None:
        status = answer.status
        if status in _GOOD:
            return answer
        body = _drain(answer)
        if status in _NOT_FOUND:
            return None
        if status in _ACCESS_DENIED:
            hint = _PROXY_HINT if status == 407 else self._login.hint
            raise AccessDeniedError(self.name, f"HTTP status {status}", hint=hint)
        if status in (429, 503):
            raise ThrottledError(self.name, f"HTTP status {status}", _wait_seconds(answer.headers.get("Retry-After")))
        if status == 416:
            raise too_short(self.name, request.key)
        raise HttpStatusError(self.name, request.key, status, body)

    def is_home(self, url: str) -> bool:
        """Return whether an address is on the server itself."""
        return _origin(url) == _origin(self._base)

    def _connections(self) -> PoolManager:
        with self._lock:
            if self._pool is None:
                self._pool = open_pool(self._base, connections=_MAX_CONNECTIONS)
            return self._pool


@contextmanager
def _opened(body: bytes | Path | None) -> Iterator[tuple[bytes | BinaryIO | None, int | None]]:
    """Yield a body from its start, and its size in bytes."""
    if isinstance(body, Path):
        with body.open("rb") as file:
            yield file, body.stat().st_size
    else:
        yield body, None if body is None else len(body)


def _drain(answer: BaseHTTPResponse) -> bytes:
    """Return the start of an error's body. One that is read to its end leaves its connection for the next request."""
    declared = _declared_bytes(answer)
    return b"" if declared is None or declared > _ERROR_BYTES else answer.read(_ERROR_BYTES, decode_content=False)


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
