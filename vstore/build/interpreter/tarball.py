"""Extract files from an untrusted tar archive, in order, under the rules for all archives. Links are created last.

A hard link becomes a copy of the earlier file that it names. The memory does not depend on the archive: headers are
bounded, members are dropped once they are written, and gzip needs 32 KiB to decompress.
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

_HEADER_BYTES = 64 << 10  # of names and attributes that do not fit the fields of a header
_BUFFER_BYTES = 64 << 10
_MOST_PADDING = 1 << 20  # zeros after the end
_MOST_BYTES = 8 << 30  # of all members, also of those that are skipped
_LIMITS = Limits(entries=200_000, total_bytes=4 << 30, file_bytes=1 << 30)
_GZIP = b"\x1f\x8b"


def extract_files(
    archive: Path, staging: Path, is_included: Callable[[str], bool], is_executable: Callable[[str, bool], bool]
) -> None:
    """Write the included files of a ``.tar.gz`` or ``.tar`` to an empty folder, without the top folder of the archive.

    `is_executable` gets the name of a file and its executable bit in the archive. Raises BuildError for an archive that
    is malformed, larger than any interpreter, or that would write anywhere else.
    """
    try:
        with open(archive, "rb") as raw, _decompressed(raw) as stream:
            bounded = _Bounded(stream)
            with closing(_open(bounded)) as tar:
                _Extraction(staging, is_included, is_executable).run(tar)
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
    """A file that refuses to read more at once than a header needs, since tarfile accepts every length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._last = b""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError("a header is too long")
        self._last = self._file.read(size)
        return self._last

    def check_end(self) -> None:
        """Raise ReadError unless the end was reached: tarfile stops at a damaged header. Check the sum of gzip too."""
        rest = self._file.read(_MOST_PADDING + 1)
        if len(self._last) != tarfile.BLOCKSIZE or any(self._last) or any(rest) or len(rest) > _MOST_PADDING:
            raise tarfile.ReadError("it is damaged, or data follow its end")


class _Extraction:
    def __init__(
        self, staging: Path, is_included: Callable[[str], bool], is_executable: Callable[[str, bool], bool]
    ) -> None:
        self._staging, self._is_included, self._is_executable = staging, is_included, is_executable
        self._validator = TreeValidator(_LIMITS)
        self._directories = {""}
        self._files: dict[str, Path] = {}
        self._links: dict[str, str] = {}

    def run(self, tar: tarfile.TarFile) -> None:
        number = skipped = 0
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            number += 1
            skipped += member.size
            if number > _LIMITS.entries or skipped > _MOST_BYTES or member.size < 0:
                raise ArchiveError("refused: larger than any interpreter")
            if member.issparse():
                raise ArchiveError(f"refused {member.name[:200]!r}: a sparse file")
            path = member.name.partition("/")[2]
            if not member.isdir() and self._is_included(path):
                self._extract(tar, member, path)
        for path in self._links:
            self._make_parents(path)
        for path, target in self._links.items():
            make_link(self._staging / path, target, folder=False)

    def _extract(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        name = path.encode("utf-8", "surrogateescape")
        if "\\" in path:
            raise ArchiveError(f"refused {path!r}: a backslash in its name")
        self._admit_parents(path)
        if member.issym():
            target = member.linkname.encode("utf-8", "surrogateescape")
            self._validator.check_entry(Entry(name, EntryKind.SYMLINK, target=target))
            if linked_object(name, target) is not None:
                raise ArchiveError(f"refused {path!r}: a link to outside of the archive")
            self._links[path] = member.linkname
            return
        source = self._files.get(member.linkname) if member.islnk() else None
        if source is None and not member.isreg():
            kind = (
                f"a hard link to {member.linkname!r}, which is not an earlier file" if member.islnk() else "not a file"
            )
            raise ArchiveError(f"refused {path!r}: {kind}")
        size = source.stat().st_size if source is not None else member.size
        self._validator.check_entry(Entry(name, EntryKind.FILE, size=size))
        self._make_parents(path)
        place = self._files[member.name] = self._staging / path
        with source.open("rb") if source is not None else _content(tar, member) as content, place.open("xb") as file:
            shutil.copyfileobj(content, file, _BUFFER_BYTES)
        if place.stat().st_size != size:
            raise ArchiveError(f"refused {path!r}: it is truncated")
        place.chmod(0o755 if self._is_executable(place.name, bool(member.mode & 0o100)) else 0o644)

    def _admit_parents(self, path: str) -> None:
        folder = ""
        for part in path.split("/")[:-1]:
            folder = f"{folder}/{part}" if folder else part
            if folder not in self._directories:
                self._validator.check_entry(Entry(folder.encode("utf-8", "surrogateescape"), EntryKind.DIRECTORY))
                self._directories.add(folder)

    def _make_parents(self, path: str) -> None:
        """Create the parent folders. There is no link yet, so none of them can be one."""
        (self._staging / path).parent.mkdir(parents=True, exist_ok=True)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = tar.extractfile(member)
    if found is None:
        raise ArchiveError(f"refused {member.name!r}: not a file")
    return found
