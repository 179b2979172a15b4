"""Processes that run functions of vstore, and CPU-bound calls divided among such processes.

Workers inherit the caller's ``sys.path``. They are not started by multiprocessing, which would run the caller's script
again. Those that divide calls receive pickled calls over a pipe, and answer with pickled results.
"""

from __future__ import annotations

import gc
import json
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from subprocess import Popen

T = TypeVar("T")

_START = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
module, _, function = sys.argv[2].partition(":")
getattr(importlib.import_module(module), function)()
"""


def start_process(function: str, *arguments: str, errors: IO[bytes] | None = None) -> Popen[bytes]:
    """Start a process that calls ``MODULE:FUNCTION``, with pipes for its standard input and output.

    It finds the arguments at the end of ``sys.argv``. Its standard error is written to `errors`, or discarded.
    """
    from subprocess import DEVNULL, PIPE, Popen  # not needed by most commands

    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path), function, *arguments]
    return Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL if errors is None else errors)


@contextmanager
def map_unordered(calls: Sequence[Callable[[], T]], processes: int) -> Iterator[Iterator[tuple[int, T]]]:
    """Yield the number and the result of each call as they complete, in this process and `processes` - 1 others.

    Calls and results must be picklable. A call that fails in another process, or whose process died, is repeated in
    this one, which raises its error. Leaving the block ends the other processes.
    """
    waiting = deque(range(len(calls)))
    made: SimpleQueue[tuple[int, T] | None] = SimpleQueue()

    def feed(process: Popen[bytes]) -> None:
        while (number := _next(waiting)) is not None:
            try:
                made.put((number, cast("T", _ask(process, calls[number]))))
            except Exception:  # the call is repeated in this process, which raises the error
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
    with suppress(BrokenPipeError), start_process("vstore.workers:answer") as process:
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
    """Answer calls on standard input until it ends. This is the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C, the caller ends it
    gc.set_threshold(100_000)  # as the command line does
    with suppress(EOFError):
        while True:
            result = pickle.load(sys.stdin.buffer)()
            pickle.dump(result, sys.stdout.buffer)
            sys.stdout.buffer.flush()
