"""Wait until a scheduler answers, which may just be starting. This needs no Dask, which takes a second to load."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from vstore.errors import ClusterError

_PAUSE_SECONDS = 0.2
_TLS_HINT = "docs/workers.md tells about the TLS files of a cluster"
_HINT = "`vstore scheduler` starts a scheduler, `vstore worker SCHEDULER` a worker"


def wait_for_scheduler(
    url: str, context: ssl.SSLContext | None, limit_seconds: float, tell: Callable[[str], object]
) -> None:
    """Wait until something at a URL, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``, accepts a connection and greets.

    `tell` gets one line if that is not so at once. Raises ClusterError after the limit, or for TLS that fails.
    """
    ends, is_told = time.monotonic() + limit_seconds, False
    while (reason := _failure(url, context, ends)) is not None:
        if time.monotonic() + _PAUSE_SECONDS >= ends:
            raise no_scheduler(url, limit_seconds, reason)
        if not is_told:
            is_told = True
            tell(f"no scheduler answers at {url}: {reason}; waiting {limit_seconds:g} s for one")
        time.sleep(_PAUSE_SECONDS)


def no_scheduler(url: str, limit_seconds: float, reason: str) -> ClusterError:
    """Return the error of a scheduler that does not answer."""
    why = f": {reason}" if reason else ""
    return ClusterError(f"no scheduler answers at {url} within {limit_seconds:g} s{why}", hint=_HINT)


def _failure(url: str, context: ssl.SSLContext | None, ends: float) -> str | None:
    """Return why no scheduler greets, None if one does. Raises ClusterError for TLS that fails."""

    def left_seconds() -> float:
        return max(ends - time.monotonic(), _PAUSE_SECONDS)

    parts = urlsplit(url)
    try:
        connection = socket.create_connection((parts.hostname, parts.port), left_seconds())
        with closing(context.wrap_socket(connection) if context else connection) as greeted:
            greeted.settimeout(left_seconds())
            return None if greeted.recv(1) else "it closes connections"  # the listener of Dask speaks first
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise ClusterError(f"TLS with the scheduler at {url} fails: {reason}", hint=_TLS_HINT) from error
    except TimeoutError:
        return "it is silent"
    except OSError as error:
        return error.strerror or str(error)
