"""The files of a database of advisories, in a folder or in an archive. None of them is trusted."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, Protocol

from vstore.digest import hash_json
from vstore.errors import UsageError
from vstore.fs.reading import open_regular, read_regular

MAX_FILE_BYTES = 8 << 20  # of one advisory
MAX_TOTAL_BYTES = 4 << 30
MAX_FILES = 1_000_000
_SUFFIXES = (".json", ".yaml", ".yml")
NO_DATABASE_HINT = "give a folder or a file of advisories in the format of OSV, an archive (.zip, .tar.*) or its URL"


class AdvisoryFile(NamedTuple):
    """A file of a database; `data` is None if the file is larger than the limit or cannot be read."""

    name: str
    data: bytes | None


class AdvisorySource(Protocol):
    """A place that has a database of advisories."""

    @property
    def place(self) -> str:
        """The path or the URL, without a login."""

    def identity(self) -> str:
        """Return a text that changes when the database does: from names, sizes and times, not from the content.

        Raises UsageError if there is nothing at the place, and TransportError.
        """

    def files(self) -> Iterator[AdvisoryFile]:
        """Yield the files of the database. Raises UsageError if the place has none, and TransportError."""


class LocalSource:
    """A folder, an archive or a single advisory on this machine."""

    def __init__(self, path: Path, place: str | None = None, *, max_total_bytes: int = MAX_TOTAL_BYTES) -> None:
        self.path = path
        self._max_total_bytes = max_total_bytes
        self.place = place or str(path)

    def identity(self) -> str:
        """Return a text that changes when the database does."""
        try:
            status = os.stat(self.path)
            if not stat.S_ISDIR(status.st_mode):
                return str(hash_json("advisories 1", [self.place, status.st_size, str(status.st_mtime_ns)]))
            listed = [[name, size, str(time)] for name, size, time in _in_folder(self.path)]
        except OSError as error:
            raise self._unreadable(error) from error
        return str(hash_json("advisories 1", [self.place, listed]))

    def files(self) -> Iterator[AdvisoryFile]:
        """Yield the files of the database."""
        try:
            if self.path.is_dir():
                yield from _folder_files(self.path)
            elif self.path.name.endswith(_SUFFIXES):
                yield AdvisoryFile(self.path.name, read_regular(self.path, limit=MAX_FILE_BYTES))
            else:
                with open_regular(self.path) as file:
                    read = _zip_files if zipfile.is_zipfile(file) else _tar_files
                    yield from read(file, _Budget(self._max_total_bytes))
        except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, NotImplementedError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UsageError:
        reason = "not an archive" if isinstance(error, tarfile.ReadError) else getattr(error, "strerror", None) or error
        return UsageError(f"the database of advisories cannot be read: {self.place}: {reason}", hint=NO_DATABASE_HINT)


def _in_folder(place: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of the advisories in a folder, in the same order every time."""
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(_SUFFIXES):
                status = os.stat(os.path.join(folder, name))
                yield os.path.relpath(os.path.join(folder, name), place), status.st_size, status.st_mtime_ns


def _folder_files(path: Path) -> Iterator[AdvisoryFile]:
    for name, _, _ in _in_folder(path):
        try:
            yield AdvisoryFile(name, read_regular(path / name, limit=MAX_FILE_BYTES))
        except OSError:
            yield AdvisoryFile(name, None)


def _zip_files(file: BinaryIO, budget: _Budget) -> Iterator[AdvisoryFile]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(_SUFFIXES):
                with archive.open(member) as content:
                    yield budget.read(member.filename, content)


def _tar_files(file: BinaryIO, budget: _Budget) -> Iterator[AdvisoryFile]:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() and member.name.endswith(_SUFFIXES) else None
            if content is not None:
                yield budget.read(member.name, content)


class _Budget:
    """Limits the content that is read from an archive, as a small one can have an endless content."""

    def __init__(self, max_bytes: int) -> None:
        self._files = MAX_FILES
        self._bytes = max_bytes

    def read(self, name: str, content: IO[bytes]) -> AdvisoryFile:
        """Read a member. Raises UsageError if the archive has more content than the limits."""
        data = content.read(MAX_FILE_BYTES + 1)
        self._files -= 1
        self._bytes -= len(data)
        if self._files < 0 or self._bytes < 0:
            raise UsageError(
                "the database of advisories is larger than the limits of an archive", hint=NO_DATABASE_HINT
            )
        return AdvisoryFile(name, data if len(data) <= MAX_FILE_BYTES else None)
