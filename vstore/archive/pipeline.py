"""Process many items in threads, in order, with a bounded number in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_CHECK_SECONDS = 0.1


def in_order(
    work: Callable[[_In], _Out], items: Iterable[_In], *, jobs: int, check: Callable[[], object] | None = None
) -> Generator[_Out]:
    """Yield the results in the order of the items; `jobs` threads work while one result waits to be taken.

    `check` is called every 0.1 s while a result is awaited; it may raise to end the work. With a `check`, running work
    is not awaited then, so it may only read and compute.
    """
    pool = ThreadPoolExecutor(jobs)
    pending: deque[Future[_Out]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > jobs:
                yield _result(pending.popleft(), check)
        while pending:
            yield _result(pending.popleft(), check)
    finally:
        pool.shutdown(wait=check is None, cancel_futures=True)


def _result(future: Future[_Out], check: Callable[[], object] | None) -> _Out:
    while check is not None and not wait((future,), _CHECK_SECONDS).done:
        check()
    return future.result()
