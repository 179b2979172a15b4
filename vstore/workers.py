"""Work that keeps an interpreter busy, divided among processes.

Each process is fed over pipes: a pickled call, answered by its pickled result. They are started with the path of
modules of who asks, not by multiprocessing, which would run the script of whoever uses the API again.
"""

from __future__ import annotations

import json
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from subprocess import Popen

T = TypeVar("T")

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from vstore.workers import answer
answer()
"""


@contextmanager
def map_unordered(calls: Sequence[Callable[[], T]], processes: int) -> Iterator[Iterator[tuple[int, T]]]:
    """The number and the result of each call, as they come, made by this process and `processes` - 1 others.

    The calls and their results can be pickled. What a process had in hand that has died, or in which it failed, is
    made by this one, which raises what it finds. Leaving the block ends the others.
    """
    waiting = deque(range(len(calls)))
    made: SimpleQueue[tuple[int, T] | None] = SimpleQueue()

    def feed(process: Popen[bytes]) -> None:
        while (number := _next(waiting)) is not None:
            try:
                made.put((number, cast("T", _ask(process, calls[number]))))
            except Exception:  # it is made here instead, and shows what is wrong
                waiting.append(number)
                made.put(None)
                return

    def results() -> Iterator[tuple[int, T]]:
        left = len(calls)
        while left:
            if made.empty() and (number := _next(waiting)) is not None:
                made.put((number, calls[number]()))
            if (answer := made.get()) is not None:
                left -= 1
                yield answer

    with ExitStack() as ends:
        for _ in range(processes - 1):
            ends.enter_context(_process(feed))
        yield results()


def _next(waiting: deque[int]) -> int | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


@contextmanager
def _process(feed: Callable[[Popen[bytes]], None]) -> Iterator[None]:
    from subprocess import DEVNULL, PIPE, Popen  # most commands do without

    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path)]
    with suppress(BrokenPipeError), Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        feeder = Thread(target=feed, args=[process])
        feeder.start()
        try:
            yield
        finally:
            process.kill()
            feeder.join()


def _ask(process: Popen[bytes], call: Callable[[], object]) -> object:
    assert process.stdin is not None and process.stdout is not None
    pickle.dump(call, process.stdin)
    process.stdin.flush()
    return pickle.load(process.stdout)


def answer() -> None:
    """What such a process does, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C, who asked ends it
    with suppress(EOFError):
        while True:
            result = pickle.load(sys.stdin.buffer)()
            pickle.dump(result, sys.stdout.buffer)
            sys.stdout.buffer.flush()
