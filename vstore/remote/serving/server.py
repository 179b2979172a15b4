"""Listening on the network: uvicorn with limits on connections, on waiting for a client, and on the log.

A connection waits for its client while no whole request head has come, and while nobody reads the answer. One that
waits too long is cut; when there are too many connections, the one that has waited longest is cut at once.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import unquote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vstore.cancel import CancelToken
from vstore.credentials import redact
from vstore.errors import BusyError, UsageError, printable

if TYPE_CHECKING:
    from starlette.applications import Starlette

HEAD_SECONDS = 5.0  # for a request's head, and between requests
STALLED_SECONDS = 60.0  # for a client to take some of the answer
STOP_SECONDS = 1  # how long a stop waits for answers that are under way
_MOST_CONNECTIONS = 1000
_ACCEPTED_AT_ONCE = 32  # in one turn of the loop; a connection is counted, or cut, some turns later
_OTHER_DESCRIPTORS = 64 + 8 * _ACCEPTED_AT_ONCE
_WANTED_DESCRIPTORS = 2 * _MOST_CONNECTIONS + _OTHER_DESCRIPTORS
_HEAD_BYTES = 16 << 10
_LINES, _WINDOW_SECONDS = 50, 10.0


class Guarded(H11Protocol):
    """One connection, cut when its client keeps it waiting."""

    waiting_since: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)
        if len(self.connections) > most_connections():
            waiting = [one for one in self.connections if isinstance(one, Guarded) and one.waiting_since is not None]
            min(waiting, key=lambda one: one.waiting_since or 0.0).cut()

    def cut(self) -> None:
        """Close the connection. It counts as a connection until the event loop has closed it, but waits no more."""
        self._go_on()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and not self.cycle.response_complete:
            self._go_on()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request had come already
            self._wait(HEAD_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(STALLED_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def _wait(self, seconds: float) -> None:
        """The client is waited for, from now on."""
        self._go_on()
        self.waiting_since = self.loop.time()
        self._timer = self.loop.call_later(seconds, self.cut)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.waiting_since = self._timer = None


def most_connections() -> int:
    """How many connections the limit on descriptors allows: each may have a file open beside its socket."""
    return min(_MOST_CONNECTIONS, max((_descriptors() - _OTHER_DESCRIPTORS) // 2, 8))


def _descriptors() -> int:
    """The limit on descriptors, raised as far as that is useful and allowed."""
    if sys.platform == "win32":
        return _WANTED_DESCRIPTORS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _WANTED_DESCRIPTORS and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = _WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_WANTED_DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


class RateLimit(logging.Filter):
    """Lets through so many lines in ten seconds; the first after that says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if time.monotonic() - self._began > _WINDOW_SECONDS:
            if self._lines > _LINES:
                record.msg, record.args = f"{self._lines - _LINES} lines left out; {record.getMessage()}", ()
            self._began, self._lines = time.monotonic(), 0
        self._lines += 1
        return self._lines <= _LINES


def _is_no_stop(record: logging.LogRecord) -> bool:
    """Whether a line tells of something else than an answer that was ended because the server stops."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


class _Redacted(logging.Formatter):
    """Hides logins: a client may send one in the URL that it asks for."""

    def format(self, record: logging.LogRecord) -> str:
        record.msg, record.args = printable(redact(unquote(record.getMessage()))), ()
        return super().format(record)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. BusyError for a port in use, UsageError for an address that cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_ACCEPTED_AT_ONCE)
    except UnicodeError as error:
        raise UsageError(f"not the name of a host: {host}", hint="see --host") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE or getattr(error, "winerror", None) == 10048:
            raise BusyError(f"the port is in use: {host}:{port}", hint="give another one with --port") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "ports below 1024 need privileges: give another one with --port"
            raise UsageError(f"not permitted to listen on {host}:{port}", hint=hint) from error
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", hint="see --host and --port") from error


class _Server(uvicorn.Server):
    """A server that ends its own work when a signal says to stop."""

    def __init__(self, config: uvicorn.Config, cancel: CancelToken) -> None:
        super().__init__(config)
        self._cancel = cancel

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._cancel.set()
        super().handle_exit(sig, frame)


def listen(application: Starlette, bound: socket.socket, cancel: CancelToken, *, log_requests: bool) -> None:
    """Answer until a signal says to stop; answers under way then have a second. Sets `cancel` then."""
    handler = logging.StreamHandler()
    handler.addFilter(_is_no_stop)
    handler.addFilter(RateLimit())
    handler.setFormatter(_Redacted("%(asctime)s %(message)s"))
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    config = uvicorn.Config(
        application,
        http=Guarded,
        ws="none",
        lifespan="off",
        backlog=_ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        log_config=None,
        log_level="info" if log_requests else "warning",
        access_log=log_requests,
        server_header=False,
    )
    _Server(config, cancel).run(sockets=[bound])
