"""Connections to web servers with bounds: the bytes of an answer's head, and the time until the answer is read.

urllib3 limits the time to connect and the time without any byte. A `Deadline` ends the whole exchange. Commands that
use no web server load this module too, so it loads urllib3 late.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from urllib3 import PoolManager
    from urllib3.connectionpool import HTTPConnectionPool

_HEAD_BYTES = 64 << 10  # of an answer with all its interim ones; servers and proxies allow 8 to 32 KiB
_current = threading.local()


class Deadline:
    """Ends the exchange of this thread after `seconds`, or when `end` is called, by shutting down its connection."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._ended = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.deadline = None
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def watch(self, connection: socket.socket) -> None:
        """Shut down this connection at the deadline. A duplicate is kept, because TLS takes over the original."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = socket.socket(connection.family, connection.type, fileno=socket.dup(connection.fileno()))
            if self._ended:
                self._shut_down()

    def end(self) -> None:
        """End the exchange now."""
        with self._lock:
            self._ended = True
            self._shut_down()

    def check(self) -> None:
        """Raise TimeoutError if the exchange was ended: a closed connection may look like a whole answer."""
        if self._ended:
            raise TimeoutError

    def _expire(self) -> None:
        self.expired = True
        self.end()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the server has closed it
                self._socket.shutdown(socket.SHUT_RDWR)


def _watch(connection: socket.socket) -> None:
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None:
        deadline.watch(connection)


class _Head:
    """The lines of an answer's head, at most `_HEAD_BYTES`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._remaining = _HEAD_BYTES
        self.close = file.close

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(min(limit, self._remaining + 1))
        self._remaining -= len(line)
        if self._remaining < 0:
            from http.client import HTTPException

            raise HTTPException(f"the head of its answer has more than {_HEAD_BYTES >> 10} KiB")
        return line


@cache
def _pools() -> dict[str, type[HTTPConnectionPool]]:
    """Return connection pools, by scheme, whose connections obey the deadline of their thread."""
    from http.client import HTTPResponse

    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Answer(HTTPResponse):
        def begin(self) -> None:
            file, self.fp = self.fp, _Head(self.fp)  # type: ignore[assignment]
            try:
                super().begin()
            finally:
                if self.fp is not None:
                    self.fp = file

    class Watched(HTTPConnection):
        response_class = Answer

        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            _watch(made)
            return made

        def putrequest(self, method: str, url: str, *options: bool, **named: bool) -> None:
            if self.sock is not None:
                _watch(self.sock)  # of an earlier exchange
            super().putrequest(method, url, *options, **named)

    class WatchedTls(Watched, HTTPSConnection): ...

    class Pool(HTTPConnectionPool):
        ConnectionCls = Watched

    class PoolTls(HTTPSConnectionPool):
        ConnectionCls = WatchedTls

    return {"http": Pool, "https": PoolTls}


def open_pool(url: str, *, connections: int) -> PoolManager:
    """Return connections to a server, through the proxy that the environment names for it."""
    import ssl
    import urllib.request

    from urllib3 import PoolManager, ProxyManager

    parts = urlsplit(url)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        made: PoolManager = ProxyManager(
            proxy, proxy_headers=_proxy_login(proxy), maxsize=connections, ssl_context=context
        )
    else:
        made = PoolManager(maxsize=connections, ssl_context=context)
    made.pool_classes_by_scheme = _pools()
    return made


def _proxy_login(proxy: str) -> dict[str, str]:
    from urllib3.util import make_headers

    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {**make_headers(proxy_basic_auth=login)}


def reason(error: BaseException) -> str:
    """Return why an exchange failed, in one line, without the server's own words."""
    import ssl
    from http.client import BadStatusLine, HTTPException, IncompleteRead

    for one in _causes(error):
        match one:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {one.verify_message}"
            case ConnectionRefusedError():
                return "connection refused"
            case ConnectionResetError() | BrokenPipeError():
                return "connection closed by the server"
            case BadStatusLine():
                return "its answer is not HTTP"
            case IncompleteRead():
                return "its answer ended early"
            case HTTPException() if one.args:
                return str(one).partition("\n")[0][:200]
            case TimeoutError():
                return "no answer in time"
            case socket.gaierror():
                return f"the host is not known: {one.strerror}"
            case OSError() if one.strerror:
                return one.strerror
    return str(error).partition("\n")[0][:200] or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that led to it, the deepest first."""
    for one in (error.__cause__, *(arg for arg in error.args if isinstance(arg, BaseException))):
        if one is not None:
            yield from _causes(one)
    yield error
