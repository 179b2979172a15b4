"""Waiting for a network so that a stop ends it: obstore's own calls that wait could not be woken, even by Ctrl-C.

One event loop in a thread of its own, made when it is first needed, serves all that wait.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from vstore.cancel import Cancelled, CancelToken

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # most commands do without it

_lock = threading.Lock()
_loop: AbstractEventLoop | None = None
T = TypeVar("T")


def wait_for(begin: Callable[[], Awaitable[T]], cancel: CancelToken) -> T:
    """Run `begin`'s coroutine on the shared event loop and return its result. Raises Cancelled once `cancel` is set."""
    import asyncio
    from concurrent.futures import CancelledError

    async def run() -> T:
        return await begin()

    cancel.check()
    future = asyncio.run_coroutine_threadsafe(run(), _running())
    try:
        with cancel.calling(future.cancel):
            return future.result()
    except CancelledError:
        raise Cancelled from None
    except BaseException:
        future.cancel()  # Ctrl-C in the thread that waits
        raise


def _running() -> AbstractEventLoop:
    import asyncio

    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="network", daemon=True).start()
        return _loop
