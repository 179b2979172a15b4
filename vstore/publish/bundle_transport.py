"""The file of a bundle as a transport: a cache in one tar file.

Its members are the files of a cache (``vstore.remote.file_cache.layout``) below one top folder, in the strict form of
``vstore.archive.tar``. The first file names the objects of the bundle. So a bundle that plain tar unpacks is a cache
that any vstore can pull from.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

from vstore.archive.tar import END, member, padding, read_member
from vstore.digest import canonical_json, parse_json
from vstore.errors import ArchiveError
from vstore.fs.reading import open_regular
from vstore.fs.trees.manifest import FIXED_TIME, Entry, EntryKind
from vstore.objects import StorePath
from vstore.remote.transport.protocol import Stat, TransportError

FORMAT = 1
TOP = b"vstore-bundle"
_HEAD = "bundle.json"
_HEAD_BYTES = 1 << 20
_MOST_MEMBERS = 200_000
_BUFFER_BYTES = 1 << 20


class BundleWriter:
    """The transport that writes a bundle: every `put` appends a member. Only small members can be read again."""

    def __init__(self, file: BinaryIO, tops: Iterable[StorePath], *, url: str) -> None:
        self.url = url
        self._file = file
        self._small: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        file.write(member(TOP, Entry(b"", EntryKind.DIRECTORY)))
        head = canonical_json({"format": FORMAT, "tops": [str(path) for path in tops]}) + b"\n"
        if len(head) > _HEAD_BYTES:
            raise ArchiveError(f"refused: the names of the objects need more than {_HEAD_BYTES >> 20} MiB")
        self.put(_HEAD, head)

    def finish(self) -> None:
        """Write the end of the tar file."""
        self._file.write(END)

    def put(self, key: str, data: bytes | Path) -> None:
        """Append a member. Raises TransportError if the key exists."""
        if not self.create(key, data):
            raise TransportError(f"{key} is already in the bundle")

    def create(self, key: str, data: bytes | Path) -> bool:
        """Append a member. Return False if the key exists."""
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        with self._lock:
            if key in self._sizes:
                return False
            if len(self._sizes) >= _MOST_MEMBERS:
                raise ArchiveError(f"refused: the bundle has more than {_MOST_MEMBERS} members")
            self._file.write(member(TOP, Entry(key.encode(), EntryKind.FILE, size=size)))
            if isinstance(data, Path):
                with open(data, "rb") as source:
                    shutil.copyfileobj(source, self._file, _BUFFER_BYTES)
            else:
                self._file.write(data)
                self._small[key] = bytes(data)
            self._file.write(bytes(padding(size)))
            self._sizes[key] = size
        return True

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return a member that was written from memory; None for any other."""
        with self._lock:
            return self._small.get(key)

    def head(self, key: str) -> Stat | None:
        """Return the size of a member."""
        with self._lock:
            size = self._sizes.get(key)
        return None if size is None else Stat(key=key, size_bytes=size, modified=datetime.now(UTC))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Raise TransportError."""
        raise TransportError("a bundle cannot be read while it is written")

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Raise TransportError."""
        raise TransportError("a bundle cannot be read while it is written")

    def delete(self, keys: Iterable[str]) -> None:
        """Raise TransportError."""
        raise TransportError("nothing can be deleted from a bundle")


class BundleReader:
    """The transport that reads a bundle. Raises ArchiveError for a file that is not a whole bundle."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._lock = threading.Lock()
        self._file = open_regular(path)
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._members = self._read_members()
            self.tops = self._read_tops()
        except BaseException:
            self._file.close()
            raise

    def _read_members(self) -> dict[str, tuple[int, int]]:
        """Return the offset and the size of each member, from the headers alone."""
        members: dict[str, tuple[int, int]] = {}
        try:
            found = read_member(self._exactly, TOP)
            while found is not None:
                _, entry, time = found
                if time != FIXED_TIME:
                    raise ValueError("a member has an unexpected time")
                key = entry.path.decode("ascii")
                if entry.kind != EntryKind.FILE:
                    if key or entry.kind != EntryKind.DIRECTORY or members:
                        raise ValueError(f"a member {key!r} which is not a file")
                else:
                    members[key] = self._locate(key, entry.size, members)
                found = read_member(self._exactly, TOP)
            if self._file.tell() != self._size:
                raise ValueError("data follow its end")
        except ValueError as error:
            raise ArchiveError(f"not a bundle, or damaged: {self.url}", details=[str(error)]) from error
        return members

    def _locate(self, key: str, size: int, members: dict[str, tuple[int, int]]) -> tuple[int, int]:
        offset = self._file.tell()
        if any(part in ("", ".", "..") for part in key.split("/")) or key in members or len(members) >= _MOST_MEMBERS:
            raise ValueError(f"refused member {key[:200]!r}")
        if offset + size + padding(size) > self._size:
            raise ValueError("it is truncated")
        self._file.seek(offset + size + padding(size))
        return offset, size

    def _read_tops(self) -> tuple[StorePath, ...]:
        if next(iter(self._members), None) != _HEAD:
            raise ArchiveError(f"not a bundle: {self.url}", hint="`vstore pack` writes bundles")
        data = self.get(_HEAD, limit=_HEAD_BYTES)
        try:
            document = parse_json(data or b"")
            if document["format"] != FORMAT:
                raise ArchiveError(
                    f"bundle of format {document['format']!r}; this vstore reads format {FORMAT}: {self.url}"
                )
            return tuple(StorePath.parse(path) for path in document["tops"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArchiveError(f"bundle with a damaged {_HEAD}: {self.url}") from error

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it is truncated")
        return data

    def get(self, key: str, *, limit: int) -> bytes | None:
        """Return a member. Raises TransportError if it has more than `limit` bytes."""
        member = self._members.get(key)
        if member is not None and member[1] > limit:
            raise TransportError(f"{key} in {self.url} is larger than the limit of {limit} bytes")
        found = self.get_ranges(key, [(0, member[1])]) if member is not None else None
        return found[0] if found is not None else None

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Return the bytes of each range of a member. Raises TransportError for a shorter member."""
        member = self._members.get(key)
        if member is None:
            return None
        offset, size = member
        if any(not 0 <= start <= end <= size for start, end in ranges):
            raise TransportError(f"{key} in {self.url} is shorter than the requested ranges")
        with self._lock:
            found = []
            for start, end in ranges:
                self._file.seek(offset + start)
                found.append(self._file.read(end - start))
        return found

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        """Write a member to a new file and return its size. Raises TransportError if it exceeds `limit` bytes."""
        member = self._members.get(key)
        if member is None:
            return None
        size = member[1]
        if size > limit:
            raise TransportError(f"{key} in {self.url} is larger than the limit of {limit} bytes")
        with target.open("wb") as file:
            for start in range(0, size, _BUFFER_BYTES):
                for data in self.get_ranges(key, [(start, min(start + _BUFFER_BYTES, size))]) or ():
                    file.write(data)
        return size

    def head(self, key: str) -> Stat | None:
        """Return the size of a member."""
        member = self._members.get(key)
        return None if member is None else _stat(key, member[1])

    def scan(self, prefix: str) -> Iterator[Stat]:
        """Yield the members below a prefix."""
        return (_stat(key, size) for key, (_, size) in self._members.items() if key.startswith(f"{prefix}/"))

    def unfinished(self) -> Iterator[Stat]:
        """Yield nothing: a bundle is read when it is whole."""
        return iter(())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stat(key: str, size: int) -> Stat:
    return Stat(key=key, size_bytes=size, modified=datetime.fromtimestamp(FIXED_TIME, UTC))
