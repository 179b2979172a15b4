"""SIGINT and SIGTERM end a command by an exception or, if Python does not handle it in time, at once.

Python runs signal handlers between bytecode instructions. A query of SQLite, a read from a stale network mount or a
flush is one instruction, and can take minutes. So a thread checks whether the handler ran. If not, it ends the process
as if it was killed, which leaves the store valid at any moment. It does the same if the clean-up takes long.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

from vstore.cancel import end_waits

_STOPPING = "stopping: unfinished work is undone"
INTERRUPTED = "interrupted; complete objects are kept, and the next run continues"
_HANDLER_SECONDS = 0.7
_STOPPING_SECONDS = 1.0  # before a clean-up is told
_CLEANUP_SECONDS = 4.0

_handled = threading.Event()
_serving = threading.Event()


class Terminated(KeyboardInterrupt):
    """Raised for SIGTERM. It ends a command as Ctrl-C does: unfinished work is undone."""


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM end this process, unless their handlers were changed before."""
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is default:
            signal.signal(number, _end)
    if os.name == "posix":
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()


def serve_until_signal() -> None:
    """Let a signal be the ordinary end of this process, which is a server: without a text, with exit code 0."""
    _serving.set()


def is_serving() -> bool:
    """Return whether this process is a server."""
    return _serving.is_set()


def exit_code(cause: BaseException | None) -> int:
    """Return the exit code of a command that a signal ended, given the exception that was raised."""
    return 128 + (signal.SIGTERM if isinstance(cause, Terminated) else signal.SIGINT)


def _end(number: int, _: FrameType | None) -> None:
    """End the command and all waits for locks: the main thread would wait for the threads that wait."""
    _handled.set()
    end_waits()
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _watch(reader: int) -> None:
    """Read the numbers of signals, and make sure that SIGINT and SIGTERM end the process."""
    while numbers := os.read(reader, 1):
        if signal.getsignal(numbers[0]) is _end:
            if _handled.wait(_HANDLER_SECONDS):
                threading.Event().wait(_STOPPING_SECONDS)
                _tell(_STOPPING)
                threading.Event().wait(_CLEANUP_SECONDS)
            _tell(INTERRUPTED)
            os._exit(0 if is_serving() else 128 + numbers[0])


def _tell(text: str) -> None:
    """Write a line, unless this process is a server."""
    if not is_serving():
        with suppress(OSError):
            os.write(2, f"{text}\n".encode())
