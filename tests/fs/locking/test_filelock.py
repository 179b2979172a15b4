"""Locks between processes: who may take them, and how waiting for one is told and ends."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vstore.cancel import Cancelled, CancelToken
from vstore.errors import BusyError, StoreError
from vstore.fs.locking.filelock import is_held, lock_file

SOURCE = Path(__file__).parents[3]

HOLD = """
import sys; from pathlib import Path; from vstore.fs.locking.filelock import lock_file
with lock_file(Path(sys.argv[1]), shared=len(sys.argv) > 2):
    print("held", flush=True); sys.stdin.read()
"""

WAIT = """
import sys; from pathlib import Path
from vstore.fs.locking.filelock import lock_file; from vstore.cancel import set_waiting
set_waiting(lambda text: print(text, flush=True), lambda: float(sys.argv[2]))
with lock_file(Path(sys.argv[1])):
    print("mine", flush=True)
"""

IN_A_THREAD = """
import signal, sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path
from vstore.fs.locking.filelock import lock_file; from vstore.cancel import end_waits
def end(*_): end_waits(); raise KeyboardInterrupt
signal.signal(signal.SIGTERM, end)
def wait():
    with lock_file(Path(sys.argv[1])): pass
with ThreadPoolExecutor() as pool:
    future = pool.submit(wait)
    print("waiting", flush=True)
    future.result()
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=SOURCE,
    )


@contextmanager
def held(path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock."""
    holder = start(HOLD, path, *options)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o600), (0o700, 0o600), (0o2775, 0o660), (0o1777, 0o666)])
@pytest.mark.parametrize("mask", [0, 0o077])
def test_who_may_write_to_the_folder_may_lock_and_nobody_else(
    tmp_path: Path, folder: int, file: int, mask: int
) -> None:
    tmp_path.chmod(folder)
    old = os.umask(mask)
    try:
        with lock_file(tmp_path / "lock") as handle:
            assert stat.S_IMODE(os.fstat(handle).st_mode) == file
    finally:
        os.umask(old)


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a lock file, it is a link"), lock_file(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
    assert not is_held(tmp_path / "lock")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs in folders")
def test_what_is_no_file_is_no_lock_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name, kind in (("fifo", "a FIFO"), ("folder", "a folder")):
        with pytest.raises(StoreError, match=f"not a lock file, it is {kind}"), lock_file(tmp_path / name):
            pass
        assert not is_held(tmp_path / name)


def test_waiting_is_told_after_a_second_with_the_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock) as holder:
        waiter = start(WAIT, lock, 60)
        assert waiter.stdout is not None
        said = waiter.stdout.readline()
        known = rf"process {holder.pid} of \w+, running since \S+Z: \S*python.*"
        assert re.fullmatch(f"waiting for {tmp_path.name}/lock, held by {known}\n", said)
        holder.communicate("")
        assert waiter.communicate(timeout=30)[0] == "mine\n"


def test_waiting_ends_with_an_error_that_names_who_is_stopped(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock) as holder:
        holder.send_signal(signal.SIGSTOP)
        out, err = start(WAIT, lock, 1.2).communicate(timeout=30)
        assert f"process {holder.pid} of " in out and ", stopped" in out
        assert "BusyError: in use by another process" in err
        assert f"hint: `kill -CONT {holder.pid}` lets the stopped process go on" in err


def test_who_does_not_wait_is_told_the_holders_at_once(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock, "shared") as one, held(lock, "shared") as other:
        with pytest.raises(BusyError) as caught, lock_file(lock, blocking=False):
            pass
        assert [f"process {holder.pid} of " in "".join(caught.value.details) for holder in (one, other)] == [True] * 2
        with lock_file(lock, shared=True):
            assert is_held(lock) is False, "who shares it is not in the way of one who shares it"


def test_a_wait_that_is_given_up_takes_nothing(tmp_path: Path) -> None:
    """The thread in the kernel gets the lock later, and lets it go at once."""
    lock, cancel = tmp_path / "lock", CancelToken()
    with held(lock) as holder:
        timer = threading.Timer(0.3, cancel.set)
        timer.start()
        with pytest.raises(Cancelled), lock_file(lock, cancel=cancel):
            pass
        holder.communicate("")
    with lock_file(lock):
        pass


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM on Windows is no signal")
def test_a_signal_ends_the_waits_of_threads(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with held(lock):
        waiter = start(IN_A_THREAD, lock)
        assert waiter.stdout is not None and waiter.stdout.readline() == "waiting\n"
        time.sleep(0.5)
        waiter.terminate()
        _, err = waiter.communicate(timeout=10)
        assert "KeyboardInterrupt" in err


def test_many_wait_in_turn(tmp_path: Path) -> None:
    lock, inside, most = tmp_path / "lock", [0], [0]

    def work() -> None:
        for _ in range(20):
            with lock_file(lock):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0002)
                inside[0] -= 1

    with ExitStack() as stack:
        for _ in range(8):
            thread = threading.Thread(target=work)
            thread.start()
            stack.callback(thread.join)
    assert most == [1]
