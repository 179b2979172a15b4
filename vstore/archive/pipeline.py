"""Work on many items in threads, in order, with a bounded number in flight."""

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
    """The results in the order of the items; up to `jobs` at work while one waits to be taken.

    While a result is waited for, `check` is called now and then, and may raise to end it. With a `check`, work that is
    then under way is not waited for, so it may only read and compute.
    """
    pool = ThreadPoolExecutor(jobs)
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > jobs:
                yield _result(waiting.popleft(), check)
        while waiting:
            yield _result(waiting.popleft(), check)
    finally:
        pool.shutdown(wait=check is None, cancel_futures=True)


def _result(future: Future[_Out], check: Callable[[], object] | None) -> _Out:
    while check is not None and not wait((future,), _CHECK_SECONDS).done:
        check()
    return future.result()
