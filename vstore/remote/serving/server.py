"""Serve on the network: uvicorn with limits on connections, on waiting for clients, and on the log.

A connection waits for its client while the request's head is incomplete, and while the client does not read the
answer. A connection that waits too long is closed. When there are too many, the one that has waited longest is closed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import unquote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vstore.cancel import CancelToken
from vstore.credentials import redact
from vstore.errors import BusyError, UsageError, printable
from vstore.fs.descriptors import raise_descriptor_limit

if TYPE_CHECKING:
    from starlette.applications import Starlette

HEAD_SECONDS = 5.0  # for a request's head, and between requests
STALLED_SECONDS = 60.0  # for a client to read some of the answer
STOP_SECONDS = 1  # for running answers when the server stops
_MAX_CONNECTIONS = 1000
_MAX_ACCEPTED = 32  # in one turn of the event loop; a connection is counted, or closed, some turns later
_OTHER_DESCRIPTORS = 64 + 8 * _MAX_ACCEPTED
_WANTED_DESCRIPTORS = 2 * _MAX_CONNECTIONS + _OTHER_DESCRIPTORS
_MAX_HEAD_BYTES = 16 << 10
_MAX_LINES, _WINDOW_SECONDS = 50, 10.0


class LimitedConnection(H11Protocol):
    """One connection, closed when its client keeps it waiting."""

    waiting_since: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request. Close the connection that has waited longest if there are too many."""
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)
        if len(self.connections) > most_connections():
            waiting = [
                one for one in self.connections if isinstance(one, LimitedConnection) and one.waiting_since is not None
            ]
            min(waiting, key=lambda one: one.waiting_since or 0.0).abort()

    def abort(self) -> None:
        """Close the connection. It counts until the event loop has closed it, but no longer as waiting."""
        self._stop_waiting()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the request's head is complete."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request is there already
            self._wait(HEAD_SECONDS)

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._wait(STALLED_SECONDS)

    def resume_writing(self) -> None:
        """Stop waiting."""
        super().resume_writing()
        self._stop_waiting()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self.waiting_since = self.loop.time()
        self._timer = self.loop.call_later(seconds, self.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.waiting_since = self._timer = None


def most_connections() -> int:
    """Return how many connections the limit on descriptors allows: each may have an open file beside its socket."""
    return min(_MAX_CONNECTIONS, max((raise_descriptor_limit(_WANTED_DESCRIPTORS) - _OTHER_DESCRIPTORS) // 2, 8))


class RateLimit(logging.Filter):
    """Passes `_MAX_LINES` lines in ten seconds. The first line after that states how many were dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a line."""
        if time.monotonic() - self._began > _WINDOW_SECONDS:
            if self._lines > _MAX_LINES:
                record.msg, record.args = f"{self._lines - _MAX_LINES} lines dropped; {record.getMessage()}", ()
            self._began, self._lines = time.monotonic(), 0
        self._lines += 1
        return self._lines <= _MAX_LINES


def _is_not_cancelled(record: logging.LogRecord) -> bool:
    """Return whether a line is about anything but an answer that ended because the server stops."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


class _Redacted(logging.Formatter):
    """Hides logins: a client may send one in the URL of its request."""

    def format(self, record: logging.LogRecord) -> str:
        record.msg, record.args = printable(redact(unquote(record.getMessage()))), ()
        return super().format(record)


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises BusyError for a port in use, UsageError for an unavailable address."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_MAX_ACCEPTED)
    except UnicodeError as error:
        raise UsageError(
            f"not a host name: {host}", hint="give a name or an address of this machine with --host, such as 127.0.0.1"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE or getattr(error, "winerror", None) == 10048:
            raise BusyError(f"the port is in use: {host}:{port}", hint="give another one with --port") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ports below 1024 need privileges: give another one with --port"
            raise UsageError(f"not permitted to listen on {host}:{port}", hint=hint) from error
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="give an address of this machine with --host, such as 127.0.0.1",
        ) from error


class _Server(uvicorn.Server):
    """A server that sets `cancel` when a signal stops it."""

    def __init__(self, config: uvicorn.Config, cancel: CancelToken) -> None:
        super().__init__(config)
        self._cancel = cancel

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._cancel.set()
        super().handle_exit(sig, frame)


def listen(application: Starlette, bound: socket.socket, cancel: CancelToken, *, log_requests: bool) -> None:
    """Answer requests until a signal stops the server; running answers then have a second. Sets `cancel` then."""
    handler = logging.StreamHandler()
    handler.addFilter(_is_not_cancelled)
    handler.addFilter(RateLimit())
    handler.setFormatter(_Redacted("%(asctime)s %(message)s"))
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    config = uvicorn.Config(
        application,
        http=LimitedConnection,
        ws="none",
        lifespan="off",
        backlog=_MAX_ACCEPTED,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        log_config=None,
        log_level="info" if log_requests else "warning",
        access_log=log_requests,
        server_header=False,
    )
    _Server(config, cancel).run(sockets=[bound])
