"""A bundle: a cache in one tar file, for machines that no network reaches.

Its members are those of a cache folder (``vstore.remote.records.layout``) below one top folder, in the strict form of
``vstore.archive.tar``; the first file says what the bundle is for. So plain tar makes a cache of it that any
vstore can pull from. Here it is a Transport: written once, read as often as wanted.
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
from vstore.remote.transport.protocol import NoListing, Stat, TransportError

FORMAT = 1
TOP = b"vstore-bundle"
_HEAD = "bundle.json"
_HEAD_BYTES = 1 << 20
_MOST_MEMBERS = 200_000
_BUFFER_BYTES = 1 << 20


class BundleWriter:
    """The transport that only takes: every put is one member more. Small ones can be read back."""

    def __init__(self, file: BinaryIO, tops: Iterable[StorePath], *, url: str) -> None:
        self.url = url
        self._file = file
        self._small: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        file.write(member(TOP, Entry(b"", EntryKind.DIRECTORY)))
        head = canonical_json({"format": FORMAT, "tops": [str(path) for path in tops]}) + b"\n"
        if len(head) > _HEAD_BYTES:
            raise ArchiveError(f"refused: more objects are asked for than {_HEAD_BYTES} bytes can name")
        self.put(_HEAD, head)

    def finish(self) -> None:
        self._file.write(END)

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        with self._lock:
            if key in self._sizes:
                if create_only:
                    return False
                raise TransportError(f"{key} is in the bundle already")
            if len(self._sizes) >= _MOST_MEMBERS:
                raise ArchiveError(f"refused: more than {_MOST_MEMBERS} members")
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
        with self._lock:
            return self._small.get(key)

    def head(self, key: str) -> Stat | None:
        with self._lock:
            size = self._sizes.get(key)
        return None if size is None else Stat(key=key, size_bytes=size, modified=datetime.now(UTC))

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        raise TransportError("a bundle is not read while it is written")

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        raise TransportError("a bundle is not read while it is written")

    def scan(self, prefix: str) -> Iterator[Stat]:
        raise NoListing("a bundle is not read while it is written")

    def unfinished(self) -> Iterator[Stat]:
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        raise TransportError("nothing is taken out of a bundle")


class BundleReader:
    """The transport that only gives. Raises ArchiveError for a file that is no whole bundle."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._lock = threading.Lock()
        self._file = open_regular(path)
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._places = self._read_members()
            self.tops = self._read_tops()
        except BaseException:
            self._file.close()
            raise

    def _read_members(self) -> dict[str, tuple[int, int]]:
        """Where each member lies, from the headers alone."""
        places: dict[str, tuple[int, int]] = {}
        try:
            found = read_member(self._exactly, TOP)
            while found is not None:
                _, entry, time = found
                if time != FIXED_TIME:
                    raise ValueError("a member has an unexpected time")
                key = entry.path.decode("ascii")
                if entry.kind != EntryKind.FILE:
                    if key or entry.kind != EntryKind.DIRECTORY or places:
                        raise ValueError(f"a member {key!r} that is no file")
                else:
                    places[key] = self._place(key, entry.size, places)
                found = read_member(self._exactly, TOP)
            if self._file.tell() != self._size:
                raise ValueError("something follows its end")
        except ValueError as error:
            raise ArchiveError(f"not a bundle, or a damaged one: {self.url}", details=[str(error)]) from error
        return places

    def _place(self, key: str, size: int, places: dict[str, tuple[int, int]]) -> tuple[int, int]:
        offset = self._file.tell()
        if any(part in ("", ".", "..") for part in key.split("/")) or key in places or len(places) >= _MOST_MEMBERS:
            raise ValueError(f"the member {key[:200]!r}")
        if offset + size + padding(size) > self._size:
            raise ValueError("it is cut off")
        self._file.seek(offset + size + padding(size))
        return offset, size

    def _read_tops(self) -> tuple[StorePath, ...]:
        if next(iter(self._places), None) != _HEAD:
            raise ArchiveError(f"not a bundle: {self.url}", hint="`vstore pack` makes them")
        data = self.get(_HEAD, limit=_HEAD_BYTES)
        try:
            document = parse_json(data or b"")
            if document["format"] != FORMAT:
                raise ArchiveError(f"a bundle of format {document['format']!r}, this vstore reads {FORMAT}: {self.url}")
            return tuple(StorePath.parse(path) for path in document["tops"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArchiveError(f"a bundle with a damaged {_HEAD}: {self.url}") from error

    def _exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it is cut off")
        return data

    def get(self, key: str, *, limit: int) -> bytes | None:
        place = self._places.get(key)
        if place is not None and place[1] > limit:
            raise TransportError(f"{key} in {self.url} has more than {limit} bytes")
        found = self.get_ranges(key, [(0, place[1])]) if place is not None else None
        return found[0] if found is not None else None

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes] | None:
        place = self._places.get(key)
        if place is None:
            return None
        offset, size = place
        if any(not 0 <= start <= end <= size for start, end in ranges):
            raise TransportError(f"{key} in {self.url} is shorter than the bytes that were asked for")
        with self._lock:
            found = []
            for start, end in ranges:
                self._file.seek(offset + start)
                found.append(self._file.read(end - start))
        return found

    def download(self, key: str, target: Path, *, limit: int) -> int | None:
        place = self._places.get(key)
        if place is None:
            return None
        size = place[1]
        if size > limit:
            raise TransportError(f"{key} in {self.url} has more than {limit} bytes")
        with target.open("wb") as file:
            for start in range(0, size, _BUFFER_BYTES):
                for data in self.get_ranges(key, [(start, min(start + _BUFFER_BYTES, size))]) or ():
                    file.write(data)
        return size

    def head(self, key: str) -> Stat | None:
        place = self._places.get(key)
        return None if place is None else _stat(key, place[1])

    def put(self, key: str, data: bytes | Path, *, create_only: bool = False) -> bool:
        raise TransportError("a bundle is not written to")

    def scan(self, prefix: str) -> Iterator[Stat]:
        return (_stat(key, size) for key, (_, size) in self._places.items() if key.startswith(f"{prefix}/"))

    def unfinished(self) -> Iterator[Stat]:
        return iter(())

    def delete(self, keys: Iterable[str]) -> None:
        raise TransportError("a bundle is not written to")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stat(key: str, size: int) -> Stat:
    return Stat(key=key, size_bytes=size, modified=datetime.fromtimestamp(FIXED_TIME, UTC))
