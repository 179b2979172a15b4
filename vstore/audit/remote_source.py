"""A database of advisories behind a URL: an archive that is downloaded if it has changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from vstore.audit.sources import NO_DATABASE_HINT, AdvisoryFile, LocalSource
from vstore.credentials import public_url
from vstore.digest import hash_json
from vstore.errors import UsageError
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import open_transport

_MAX_ARCHIVE_BYTES = 1 << 30


class RemoteSource:
    """An archive behind a URL of any scheme that caches have."""

    def __init__(self, url: str) -> None:
        base, _, self._key = url.rpartition("/")
        self.place = public_url(url)
        self._transport = RetryingTransport(open_transport(base))

    def identity(self) -> str:
        """Return a text that changes when the archive does."""
        found = self._transport.head(self._key)
        if found is None:
            raise self._missing()
        return str(hash_json("advisories 1", [self.place, found.size_bytes, found.modified.isoformat()]))

    def files(self) -> Iterator[AdvisoryFile]:
        """Download the archive, and yield its files."""
        with tempfile.TemporaryDirectory(prefix="vstore-advisories-") as folder:
            file = Path(folder) / "archive"
            if self._transport.download(self._key, file, limit=_MAX_ARCHIVE_BYTES) is None:
                raise self._missing()
            yield from LocalSource(file, self.place).files()

    def _missing(self) -> UsageError:
        return UsageError(f"there is no database of advisories at {self.place}", hint=NO_DATABASE_HINT)
