"""One file of a cache, such as an archive: its size, its parts, and all of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.archive.model import Data
from vstore.remote.transport.protocol import Transport
from vstore.values import frozen


@frozen(kw_only=False)
class Blob:
    """A file at a key of a transport. Methods raise the errors of the transport."""

    transport: Transport
    key: str

    @property
    def url(self) -> str:
        """The place of the file, for messages."""
        return f"{self.transport.url}/{self.key}"

    def size_bytes(self) -> int | None:
        """Return the size of the file; None if there is no such file."""
        found = self.transport.head(self.key)
        return None if found is None else found.size_bytes

    def get_ranges(self, ranges: Sequence[tuple[int, int]]) -> Sequence[Data] | None:
        """Return the bytes of each range, from start up to but not including end; None if there is no such file."""
        return self.transport.get_ranges(self.key, ranges)

    def download(self, target: Path, *, limit: int) -> int | None:
        """Write the file to `target`. Return its size; None if there is no such file."""
        return self.transport.download(self.key, target, limit=limit)
