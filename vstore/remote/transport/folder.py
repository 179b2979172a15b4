"""The transport for folders: ``file``. Plain files, written under another name and then renamed.

Only regular files are read, so that no read waits for the writer of a FIFO. Links to files and folders are followed.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

from vstore.cancel import CancelToken
from vstore.credentials import public_url
from vstore.errors import UsageError
from vstore.fs.reading import open_regular, read_pieces, read_regular
from vstore.fs.rename import rename_new
from vstore.remote.transport.protocol import (
    MAX_LISTED,
    AccessDeniedError,
    RequestLimits,
    Stat,
    TransportError,
    UnreadableFileError,
    too_large,
    too_many,
    too_short,
)

TEMPORARY = ".vstore-"  # how the names of unfinished files start; no key has such a part
_GONE = (FileNotFoundError, NotADirectoryError)  # deleted or replaced in this moment
_UNREADABLE = (errno.EISDIR, errno.EINVAL, errno.EFBIG)  # of `vstore.fs.reading`
T = TypeVar("T")


class FolderTransport:
    """A folder, by its ``file://`` URL. Setting `cancel` ends the next request."""

    schemes: ClassVar[tuple[str, ...]] = ("file",)

    def __init__(self, url: str, options: Mapping[str, str], limits: RequestLimits, cancel: CancelToken) -> None:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise UsageError(
                f"not the URL of a folder: {public_url(url)}", hint="write file:///the/whole/path, or the path alone"
            )
        if parts.query:
            raise UsageError(f"a file:// URL must not have parameters (`?…`): {public_url(url)}")
        if options:
            raise UsageError(f"a cache in a folder must not have `options`: {public_url(url)}")
        self.url = public_url(url)
        self.path = Path(unquote(parts.path))
        self._cancel = cancel

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return a whole file."""
        return self._run(key, lambda: read_regular(self._file(key), limit=limit))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes] | None:
        """Return the bytes of each range."""

        def read() -> list[bytes]:
            with open_regular(self._file(key)) as file:
                size = os.fstat(file.fileno()).st_size
                found = []
                for start, end in ranges:
                    file.seek(start)
                    found.append(file.read(end - start) if end <= size else b"")
            if [len(data) for data in found] != [end - start for start, end in ranges]:
                raise too_short(self.url, key)
            return found

        return self._run(key, read)

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Copy a whole file; return its size in bytes."""

        def copy() -> int:
            size = 0
            with target.open("wb") as file:
                for piece in read_pieces(self._file(key)):
                    size += len(piece)
                    if size > limit:
                        raise too_large(self.url, key, limit)
                    file.write(piece)
            return size

        return self._run(key, copy)

    def head(self, key: str) -> Stat | None:
        """Return the size and the time of a file."""

        def status() -> Stat:
            with open_regular(self._file(key)) as file:
                return _stat(key, os.fstat(file.fileno()))

        return self._run(key, status)

    def put(self, key: str, data: bytes | Path) -> None:
        """Write a file under another name, then rename it. Makes the folder if it does not exist."""
        self._write(key, data, os.replace)

    def create(self, key: str, data: bytes | Path) -> bool:
        """Write a new file in the same way. Return False if the key exists."""
        return self._write(key, data, rename_new)

    def _write(self, key: str, data: bytes | Path, rename: Callable[[Path, Path], None]) -> bool:
        """Return False if `rename` raises FileExistsError."""
        file = self._file(key)
        temporary = file.with_name(f"{TEMPORARY}{os.urandom(6).hex()}")

        def write() -> bool:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                if isinstance(data, Path):
                    shutil.copyfile(data, temporary)
                else:
                    temporary.write_bytes(data)
                rename(temporary, file)
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

        done = self._run(key, write)
        if done is None:
            raise TransportError(f"cannot write {self.url}/{key}: a part of the path is missing or is a file")
        return done

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield all finished files below a prefix."""
        for found in self._walk(prefix):
            if not found.key.rpartition("/")[2].startswith(TEMPORARY):
                yield found

    def unfinished(self) -> Iterator[Stat]:
        """Yield the temporary files of killed writers."""
        for found in self._walk(""):
            if found.key.rpartition("/")[2].startswith(TEMPORARY):
                yield found

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files."""
        for key in keys:
            self._run(key, self._file(key).unlink)

    def _walk(self, prefix: str) -> list[Stat]:
        found: list[Stat] = []
        start = self._file(prefix) if prefix else self.path

        def walk() -> None:
            folders: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [(str(start), prefix and f"{prefix}/", ())]
            while folders:
                folder, key, above = folders.pop()
                with suppress(*(_GONE if above else ())), os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(*_GONE):  # or a link to nothing
                            status, inner = os.stat(entry.path), f"{key}{entry.name}"
                            identity = status.st_dev, status.st_ino
                            if not stat.S_ISDIR(status.st_mode):
                                found.append(_stat(inner, status))
                            elif identity not in above:  # a link may lead upwards
                                folders.append((entry.path, f"{inner}/", (*above, identity)))
                        if len(found) + len(folders) > MAX_LISTED:
                            raise too_many(self.url, prefix)

        self._run(prefix, walk)
        return found

    def _file(self, key: str) -> Path:
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise TransportError(f"not a key of a cache: {key}")
        return self.path / key

    def _run(self, key: str, action: Callable[[], T]) -> T | None:
        """Return the result, None for a missing file; raise TransportError for every other failure."""
        self._cancel.check()
        try:
            return action()
        except _GONE:
            return None
        except PermissionError as error:
            raise AccessDeniedError(
                f"{self.url}/{key}", (error.strerror or str(error)).lower(), hint="ask the owner of the folder"
            ) from error
        except OSError as error:
            kind = UnreadableFileError if error.errno in _UNREADABLE else TransportError
            raise kind(f"{self.url}/{key}: {error.strerror or error}") from error


def _stat(key: str, status: os.stat_result) -> Stat:
    """Return the size and the time to the microsecond, cut off: a rounded time would be later than that of the file."""
    modified = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=status.st_mtime_ns // 1000)
    return Stat(key=key, size_bytes=status.st_size, modified=modified)
