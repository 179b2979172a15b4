"""Whether an object is as it was registered; of a large store in processes of their own.

A core is kept busy by the interpreter alone when it reads many small files, and threads only get in each other's way.
So the processes are fed over pipes: a pickled `ObjectInfo` each time, answered by a list of what is wrong.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.errors import StoreError
from vstore.fs.tree import FROZEN_TIME, scan, shown
from vstore.objects import ObjectInfo, StorePath
from vstore.store.layout import Layout
from vstore.store.manifests import read_manifest

if TYPE_CHECKING:
    from subprocess import Popen

_TIME = FROZEN_TIME * 10**9
_FROZEN = {stat.S_IFDIR | 0o555, stat.S_IFREG | 0o444, stat.S_IFREG | 0o555}
_TOP = "the object's folder"
_FILES_EACH = 5000  # a process takes as long to start as to hash so many files
_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from vstore.store.checking import answer
answer(sys.argv[2])
"""


@contextmanager
def checked(
    layout: Layout, infos: Sequence[ObjectInfo], *, contents: bool, jobs: int
) -> Iterator[Iterable[tuple[ObjectInfo, list[str]]]]:
    """What is wrong with each, as it is found; with `contents` by up to `jobs` processes, if that is worth it.

    StoreError when one of them dies. Leaving the block ends them.
    """
    count = min(jobs, len(infos), sum(info.files for info in infos) // _FILES_EACH) if contents else 1
    if count < 2:
        yield ((info, list(faults(layout, info, contents=contents))) for info in infos)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed  # other commands do without it
    from queue import SimpleQueue

    with ThreadPoolExecutor(count) as pool, ExitStack() as ends:
        idle: SimpleQueue[Popen[bytes]] = SimpleQueue()
        for _ in range(count):
            idle.put(ends.enter_context(_checker(layout)))

        def check(info: ObjectInfo) -> list[str]:
            checker = idle.get()
            try:
                return _ask(checker, info)
            finally:
                idle.put(checker)

        answers = {pool.submit(check, info): info for info in infos}
        yield ((answers[answer], answer.result()) for answer in as_completed(answers))


@contextmanager
def _checker(layout: Layout) -> Iterator[Popen[bytes]]:
    from subprocess import DEVNULL, PIPE, Popen

    command = [sys.executable, "-I", "-c", _START, json.dumps(sys.path), os.fspath(layout.root)]
    with suppress(BrokenPipeError), Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(checker: Popen[bytes], info: ObjectInfo) -> list[str]:
    assert checker.stdin is not None and checker.stdout is not None
    try:
        pickle.dump(info, checker.stdin)
        checker.stdin.flush()
        found: list[str] = pickle.load(checker.stdout)
    except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
        text = f"the process that checked {info.path} has died: exit code {checker.wait()}"
        raise StoreError(text, hint="with `-j 1` there is none") from error
    return found


def answer(root: str) -> None:
    """What such a process does, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C, who asked ends it
    layout = Layout(Path(root))
    with suppress(EOFError):
        while True:
            info = pickle.load(sys.stdin.buffer)
            pickle.dump(list(faults(layout, info, contents=True)), sys.stdout.buffer)
            sys.stdout.buffer.flush()


def faults(layout: Layout, info: ObjectInfo, *, contents: bool) -> Iterator[str]:
    """What is wrong with an object, in lines; with `contents` each of its files is hashed."""
    folder = layout.object(info.path)
    if folder.is_symlink() or not folder.is_dir():
        yield "the object's folder is missing"
        return
    found, unreadable = None, None
    thawed: list[tuple[bytes, str]] = []

    def look(path: bytes, status: os.stat_result) -> None:
        thawed.extend((path, fault) for fault in _thawed(status))

    try:
        found = scan(folder, on_status=look) if contents else None
    except (StoreError, OSError) as error:
        unreadable = error
    try:
        manifest, _ = read_manifest(layout.manifest(info.path), likely=found)
    except (StoreError, OSError) as error:
        yield str(error)
        return
    if manifest.digest != info.digest or StorePath.make(manifest.digest, info.path.name) != info.path:
        yield "the manifest is not the one of this object"
    if tuple(sorted(manifest.references(info.path))) != info.references:
        yield "the index has other references than the manifest"
    if unreadable is not None:
        yield f"cannot be read: {unreadable}"
    if found is None:
        return
    yield from manifest.differences(found)
    yield from (f"{fault}: {shown(path) or _TOP}" for path, fault in sorted(thawed))


def _thawed(status: os.stat_result) -> Iterator[str]:
    """In what it has another mode or another time than everything in a store has."""
    if status.st_mode not in _FROZEN and os.name == "posix":
        yield f"its mode is {stat.S_IMODE(status.st_mode):04o}"
    if status.st_mtime_ns != _TIME:
        yield "its time was changed"
