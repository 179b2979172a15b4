"""SIGINT and SIGTERM end a command: by an exception where Python hears them, else by leaving at once.

Python runs a signal's handler between two of its own steps. A query of SQLite, a read from a stale network mount or a
flush can be one step that takes minutes. So a thread looks whether the handler ran; if not, it ends the process as if
it had been killed, which leaves the store valid at any moment. The same if the undoing of what was begun takes long.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType

from vstore.cancel import end_waits

INTERRUPTED = "interrupted; what is complete is kept, the next run goes on"
_HEARING_SECONDS = 0.7
_UNDOING_SECONDS = 5.0

_heard = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: what it has begun is undone."""


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM end this process, unless somebody else decided about them."""
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is default:
            signal.signal(number, _end)
    if os.name == "posix":
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()


def exit_code(cause: BaseException | None) -> int:
    """The exit code of a command that a signal ended; `cause` is what was raised."""
    return 128 + (signal.SIGTERM if isinstance(cause, Terminated) else signal.SIGINT)


def _end(number: int, _: FrameType | None) -> None:
    """End the command. The threads that wait for locks end too, or this one would wait for them."""
    _heard.set()
    end_waits()
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _watch(reader: int) -> None:
    """Read the numbers of signals as they come, and see to it that those of ours end the process."""
    while numbers := os.read(reader, 1):
        if signal.getsignal(numbers[0]) is _end:
            if _heard.wait(_HEARING_SECONDS):
                threading.Event().wait(_UNDOING_SECONDS)
            with suppress(OSError):
                os.write(2, f"{INTERRUPTED}\n".encode())
            os._exit(128 + numbers[0])
