"""The files of a foreign tar archive, read in order and admitted by the rule of all archives; links are made last.

A hard link becomes a copy of the file before it that it names. Nothing that the archive announces is held in memory:
a header is bounded, members are forgotten once they are written, and only gzip, which needs 32 KiB, is decompressed.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO

from vstore.errors import ArchiveError, BuildError
from vstore.fs.links import make_link
from vstore.fs.trees.manifest import Entry, EntryKind, linked_object
from vstore.fs.trees.validate import Limits, TreeValidator

_HEADER_BYTES = 64 << 10  # what tarfile reads at once: names and attributes that are too long for a header's fields
_BUFFER_BYTES = 64 << 10
_MOST_PADDING = 1 << 20  # zeros after the end
_MOST_BYTES = 8 << 30  # of all members, those that are passed over too
_LIMITS = Limits(entries=200_000, total_bytes=4 << 30, file_bytes=1 << 30)
_GZIP = b"\x1f\x8b"


def extract(
    archive: Path, staging: Path, wanted: Callable[[str], bool], executable: Callable[[str, bool], bool]
) -> None:
    """Write the wanted files of a ``.tar.gz`` or ``.tar``, named without its top folder, into an empty folder.

    `executable` says of a file's name and of its mode in the archive whether it shall be. Raises BuildError for an
    archive that is malformed, larger than any interpreter, or that leads anywhere else.
    """
    try:
        with open(archive, "rb") as raw, _decompressed(raw) as stream:
            bounded = _Bounded(stream)
            with closing(_open(bounded)) as tar:
                _Extraction(staging, wanted, executable).run(tar)
                bounded.check_end()
    except ArchiveError as error:
        raise BuildError(f"cannot unpack the managed build: {archive.name}", details=[error.message]) from error
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
        raise BuildError(f"cannot unpack the managed build: {archive.name}", details=[str(error)]) from error


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(len(_GZIP))
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw) if start == _GZIP else raw  # type: ignore[return-value]


def _open(stream: _Bounded) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r:", errorlevel=2)  # type: ignore[call-overload, no-any-return]


class _Bounded:
    """A file of which no more is read at once than a header may need: tarfile believes every length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last = b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError("a header that is longer than any may be")
        self._last = self._file.read(size)
        return self._last

    def check_end(self) -> None:
        """Raise ReadError unless all was read: tarfile takes a damaged header for the end. Reads gzip's checksum."""
        rest = self._file.read(_MOST_PADDING + 1)
        if len(self._last) != tarfile.BLOCKSIZE or any(self._last) or any(rest) or len(rest) > _MOST_PADDING:
            raise tarfile.ReadError("it is damaged, or something follows its end")


class _Extraction:
    def __init__(self, staging: Path, wanted: Callable[[str], bool], executable: Callable[[str, bool], bool]) -> None:
        self._staging, self._wanted, self._executable = staging, wanted, executable
        self._admission = TreeValidator(_LIMITS)
        self._directories = {""}
        self._files: dict[str, Path] = {}
        self._links: dict[str, str] = {}

    def run(self, tar: tarfile.TarFile) -> None:
        number = skipped = 0
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # which tarfile would keep
            number += 1
            skipped += member.size
            if number > _LIMITS.entries or skipped > _MOST_BYTES or member.size < 0:
                raise ArchiveError("refused: larger than any interpreter")
            if member.issparse():
                raise ArchiveError(f"refused {member.name[:200]!r}: a sparse file")
            path = member.name.partition("/")[2]
            if not member.isdir() and self._wanted(path):
                self._take(tar, member, path)
        for path in self._links:
            self._make_parents(path)
        for path, target in self._links.items():
            make_link(self._staging / path, target, folder=False)

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        name = path.encode("utf-8", "surrogateescape")
        if "\\" in path:
            raise ArchiveError(f"refused {path!r}: a backslash in its name")
        self._admit_parents(path)
        if member.issym():
            target = member.linkname.encode("utf-8", "surrogateescape")
            self._admission.admit(Entry(name, EntryKind.SYMLINK, target=target))
            if linked_object(name, target) is not None:
                raise ArchiveError(f"refused {path!r}: a link that leads out of the archive")
            self._links[path] = member.linkname
            return
        source = self._files.get(member.linkname) if member.islnk() else None
        if source is None and not member.isreg():
            kind = f"a hard link to {member.linkname!r}, which is not before it" if member.islnk() else "no file"
            raise ArchiveError(f"refused {path!r}: {kind}")
        size = source.stat().st_size if source is not None else member.size
        self._admission.admit(Entry(name, EntryKind.FILE, size=size))
        self._make_parents(path)
        place = self._files[member.name] = self._staging / path
        with source.open("rb") if source is not None else _content(tar, member) as content, place.open("xb") as file:
            shutil.copyfileobj(content, file, _BUFFER_BYTES)
        if place.stat().st_size != size:
            raise ArchiveError(f"refused {path!r}: it ends early")
        place.chmod(0o755 if self._executable(place.name, bool(member.mode & 0o100)) else 0o644)

    def _admit_parents(self, path: str) -> None:
        folder = ""
        for part in path.split("/")[:-1]:
            folder = f"{folder}/{part}" if folder else part
            if folder not in self._directories:
                self._admission.admit(Entry(folder.encode("utf-8", "surrogateescape"), EntryKind.DIRECTORY))
                self._directories.add(folder)

    def _make_parents(self, path: str) -> None:
        """Make its folders, while there is no link that any could lead through."""
        (self._staging / path).parent.mkdir(parents=True, exist_ok=True)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = tar.extractfile(member)
    if found is None:
        raise ArchiveError(f"refused {member.name!r}: no file")
    return found
