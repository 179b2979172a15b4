"""Compile Python files with the interpreter of their layer, to the same bytes on every machine.

The interpreter runs `compile_worker.py`, one process per job, which reads from a pipe. The bytes do not depend on the
order or on the number of jobs. A file that does not compile gets no bytecode, as with pip.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO

from vstore.build.interpreter.local import bare_environment
from vstore.cancel import CancelToken
from vstore.errors import BuildError

_WORKER = Path(__file__).with_name("compile_worker.py")
_CHUNK_BYTES = 192 * 1024  # of source, compiled in about a tenth of a second
_SMALLEST_BYTES = 16 * 1024
_ENVIRONMENT = {
    **bare_environment(),
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "LC_ALL": "C.UTF-8",
    # glibc keeps memory that the compiler frees instead of returning it after each file: a tenth faster
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


def compile_tree(
    interpreter: Path,
    layer: Path,
    sources: Sequence[PurePosixPath],
    jobs: int,
    *,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    cancel: CancelToken | None = None,
) -> int:
    """Compile `sources` (relative to `layer`) with `interpreter`, and return how many files got bytecode.

    The file name in the code is the relative path. `on_progress` gets the number of files that are done and of all
    files. Raises BuildError if the interpreter dies, or a file cannot be read or written. Raises Cancelled. The
    processes are killed then, and on an interrupt.
    """
    if not sources:
        return 0
    cancel = cancel or CancelToken()
    work = _Work(layer, sources, jobs, on_progress, cancel)
    count = min(jobs, len(sources))
    with ThreadPoolExecutor(count) as pool, cancel.set_after(errors=True):
        for worker in [pool.submit(work.run, interpreter) for _ in range(count)]:
            worker.result()
    cancel.check()
    if work.failure is not None:
        raise work.failure
    return work.written


class _Work:
    """The state that the worker processes share: the remaining chunks, the counts, the first failure."""

    def __init__(
        self,
        layer: Path,
        sources: Sequence[PurePosixPath],
        jobs: int,
        on_progress: Callable[[int, int], object],
        cancel: CancelToken,
    ) -> None:
        self.layer = layer
        self.cancel = cancel
        self._on_progress = on_progress
        self.total = len(sources)
        self.done = 0
        self.written = 0
        self.failure: BuildError | None = None
        self._chunks = _chunks(os.fspath(layer), [str(source) for source in sources], jobs)
        self._lock = threading.Lock()

    def _next(self) -> list[str] | None:
        with self._lock:
            return None if self.failure is not None else next(self._chunks, None)

    def _finish(self, files: int, written: int) -> None:
        with self._lock:
            self.done += files
            self.written += written
            done = self.done
        self._on_progress(done, self.total)

    def _fail(self, error: BuildError) -> None:
        with self._lock:
            self.failure = self.failure or error

    def run(self, interpreter: Path) -> None:
        """Run one worker process until no chunk remains."""
        chunk = self._next()
        if chunk is None:
            return
        with tempfile.TemporaryFile() as errors:
            try:
                worker = subprocess.Popen(
                    [interpreter, "-S", "-s", _WORKER],
                    cwd=self.layer,
                    env=_ENVIRONMENT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            except OSError as error:
                self._fail(BuildError(f"cannot start {interpreter}: {error.strerror}"))
                return
            self._feed(worker, chunk, errors)

    def _feed(self, worker: subprocess.Popen[bytes], chunk: list[str] | None, errors: IO[bytes]) -> None:
        try:
            with worker, self.cancel.calling(worker.kill):
                while chunk is not None:
                    answer = _request(worker, chunk)
                    word, _, value = answer.partition(" ")
                    if word != "done":
                        self._fail(_failed(worker, chunk, value, errors))
                        return
                    self._finish(len(chunk), int(value))
                    chunk = self._next()
        except BrokenPipeError:  # closing the pipe flushes the data again that a dead worker did not read
            pass


def _request(worker: subprocess.Popen[bytes], chunk: list[str]) -> str:
    assert worker.stdin is not None and worker.stdout is not None
    data = b"\0".join(os.fsencode(path) for path in chunk)
    try:
        worker.stdin.write(b"%d\n" % len(data) + data)
        worker.stdin.flush()
    except BrokenPipeError:
        pass
    return worker.stdout.readline().decode("utf-8", "replace").rstrip("\n")


def _failed(worker: subprocess.Popen[bytes], chunk: list[str], message: str, errors: IO[bytes]) -> BuildError:
    if message:
        return BuildError(f"cannot compile: {message}")
    code = worker.wait()
    errors.seek(0)
    last = errors.read().decode("utf-8", "replace").splitlines()[-3:]
    where = f"{chunk[0]} (or one of the {len(chunk) - 1} files after it)" if len(chunk) > 1 else chunk[0]
    return BuildError(f"the interpreter died while compiling {where}: exit code {code}", details=last)


def _chunks(layer: str, sources: list[str], jobs: int) -> Iterator[list[str]]:
    """Yield the largest files first, in ever smaller chunks, so that all processes end at the same time."""
    sized = sorted(((os.stat(f"{layer}/{source}").st_size, source) for source in sources), reverse=True)
    remaining = sum(size for size, _ in sized)
    chunk: list[str] = []
    chunk_bytes = 0
    for size, source in sized:
        chunk.append(source)
        chunk_bytes += size
        if chunk_bytes >= max(_SMALLEST_BYTES, min(_CHUNK_BYTES, remaining // (4 * jobs))) or len(chunk) >= 500:
            yield chunk
            remaining -= chunk_bytes
            chunk, chunk_bytes = [], 0
    if chunk:
        yield chunk


def reuse_bytecode(compiled: Path, layer: Path, sources: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Link the bytecode of files that are the same in another object, and return the sources that remain.

    The bytecode in the folder `compiled` must be of the same interpreter, compiled under the same relative paths.
    """
    remaining = []
    caches: dict[str, dict[str, str]] = {}
    made: set[str] = set()
    for source in sources:
        folder, _, name = str(source).rpartition("/")
        cache = f"{folder}/__pycache__" if folder else "__pycache__"
        if cache not in caches:
            caches[cache] = _bytecode_names(f"{compiled}/{cache}")
        bytecode = caches[cache].get(name.removesuffix(".py"))
        if bytecode is None or not _same(f"{compiled}/{source}", f"{layer}/{source}"):
            remaining.append(source)
            continue
        if cache not in made:
            os.makedirs(f"{layer}/{cache}", exist_ok=True)
            made.add(cache)
        try:
            os.link(f"{compiled}/{cache}/{bytecode}", f"{layer}/{cache}/{bytecode}")
        except OSError:  # too many links, or none between these folders: compiling gives the same bytes
            remaining.append(source)
    return remaining


def _bytecode_names(cache: str) -> dict[str, str]:
    """Return the file names of a folder's bytecode by module (``<module>.<tag>.pyc``, no ``opt-``)."""
    try:
        names = os.listdir(cache)
    except OSError:
        return {}
    split = ((name.removesuffix(".pyc").rpartition("."), name) for name in names if name.endswith(".pyc"))
    return {module: name for (module, _, tag), name in split if not tag.startswith("opt-")}


def _same(one: str, other: str) -> bool:
    try:
        first, second = os.lstat(one), os.lstat(other)
    except OSError:
        return False
    if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
        return True
    if first.st_size != second.st_size or first.st_mode & 0o170000 != second.st_mode & 0o170000:
        return False
    with open(one, "rb") as left, open(other, "rb") as right:
        return left.read() == right.read()
