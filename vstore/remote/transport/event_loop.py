"""Wait for a network so that a cancellation ends the wait: obstore's own blocking calls ignore even Ctrl-C.

One event loop in a thread of its own, started when it is first needed, serves all callers.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from vstore.cancel import Cancelled, CancelToken

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # most commands need none

_lock = threading.Lock()
_loop: AbstractEventLoop | None = None
T = TypeVar("T")


def wait_for(start: Callable[[], Awaitable[T]], cancel: CancelToken) -> T:
    """Run the coroutine of `start` on the shared event loop and return its result. Raises Cancelled."""
    import asyncio
    from concurrent.futures import CancelledError

    async def run() -> T:
        return await start()

    cancel.check()
    future = asyncio.run_coroutine_threadsafe(run(), _running_loop())
    try:
        with cancel.calling(future.cancel):
            return future.result()
    except CancelledError:
        raise Cancelled from None
    except BaseException:
        future.cancel()  # Ctrl-C in the waiting thread
        raise


def _running_loop() -> AbstractEventLoop:
    import asyncio

    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="network", daemon=True).start()
        return _loop
