"""The processes that hold a lock on a file, from /proc/locks on Linux (proc_locks(5))."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from vstore.values import frozen

_LONGEST_COMMAND = 120


@frozen
class Holder:
    """A process that holds a lock. `since` is its start time, None if that cannot be read."""

    pid: int
    user: str
    command: str
    stopped: bool
    since: datetime | None

    def __str__(self) -> str:
        stopped = ", stopped" if self.stopped else ""
        started = f", running since {self.since.isoformat().replace('+00:00', 'Z')}" if self.since else ""
        return f"process {self.pid} of {self.user}{stopped}{started}: {self.command}"


def holders(files: Iterable[Path], *, writers: bool = False) -> list[Holder]:
    """Return the processes that hold a lock on any of these files; with `writers` an exclusive lock.

    Processes of another PID namespace are not found.
    """
    pids: set[int] = set()
    with suppress(OSError):
        locks = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
        for file in files:
            with suppress(OSError):
                pids |= _pids(locks, file.stat(), writers)
    return [holder for pid in sorted(pids) if (holder := _holder(pid)) is not None]


def _pids(locks: list[list[str]], status: os.stat_result, writers: bool) -> set[int]:
    """Return the process numbers in lines such as ``1: FLOCK ADVISORY WRITE 4242 fe:00:2211892 0 EOF``.

    In the line of a waiting process the second word is ``->``.
    """
    found: dict[bool, set[int]] = {True: set(), False: set()}
    device = (os.major(status.st_dev), os.minor(status.st_dev))
    for line in locks:
        if len(line) < 6 or line[1] == "->" or (writers and line[3] != "WRITE"):
            continue
        major, minor, inode = line[5].split(":")
        if int(inode) == status.st_ino:
            found[(int(major, 16), int(minor, 16)) == device].add(int(line[4]))
    return found[True] or found[False]  # some file systems give each subvolume a device of its own


def _holder(pid: int) -> Holder | None:
    place = Path("/proc") / str(pid)
    try:
        state, *rest = (place / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        words = (place / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        uid = place.stat().st_uid
    except OSError:  # it has ended
        return None
    command = " ".join(word.decode("utf-8", "replace") for word in words)
    shown = "".join(character if character.isprintable() else "?" for character in command)
    return Holder(
        pid=pid,
        user=_user(uid),
        command=shown if len(shown) <= _LONGEST_COMMAND else f"{shown[:_LONGEST_COMMAND]}…",
        stopped=state in ("T", "t"),
        since=_started(int(rest[18])),
    )


def _user(uid: int) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):
            return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _started(ticks: int) -> datetime | None:
    """Return the time that is `ticks` clock ticks after the start of the machine; None if that is unknown."""
    with suppress(OSError, ValueError, AttributeError):
        uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
        age = uptime - ticks / os.sysconf("SC_CLK_TCK")
        return datetime.fromtimestamp(int(time.time() - age), UTC)
    return None
