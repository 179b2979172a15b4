"""The interface of a cache: records of objects, and the files that belong to them.

Callers ask for records and never for keys. `vstore.remote.file_cache` implements the interface over the files of a
folder, a bucket or a web server, and `vstore.remote.registry_cache` over the manifests of a container registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records.blob import Blob
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.model import Channel, DeltaRecord, FileRecord, ObjectRecord, Realisation, SbomRecord
from vstore.remote.records.trust import Signer, Trust
from vstore.remote.transport.protocol import TransportError, UnreadableFileError
from vstore.sbom_format import SbomFormat

MAX_REQUESTS = 64  # at the same time
GRACE = timedelta(days=1)  # before a collection may delete a record: it may belong to a running push
REFRESH_AGE = GRACE / 2  # of a record that a push relies on: it writes an older one again
T = TypeVar("T")
FaultHandler = Callable[[str, str], object]  # is given the key of a record, and why it is replaced


class Cache(Protocol):
    """A remote collection of objects and realisations. All methods may be called from many threads.

    Methods that read take the keys that the caller trusts: a cache that has one record for each signer looks for
    theirs. A record may still lack their signatures, so the caller verifies it. A missing record is None. A malformed
    one is a CacheError, and a failed request a TransportError.
    """

    @property
    def url(self) -> str:
        """The URL without secrets."""

    @property
    def name(self) -> str:
        """The name in config.toml, by default the URL."""

    @property
    def cancel(self) -> CancelToken:
        """The token that ends all requests when it is set."""

    @property
    def writer(self) -> CacheWriter:
        """The methods for writing. Raises TransportError if the cache is read-only."""

    @property
    def reclaim_hint(self) -> str | None:
        """The further step that frees the disk space of deleted entries, None if it takes none."""

    def exists(self) -> bool:
        """Return whether the cache exists. Raises CacheError if its format is newer. True is remembered."""

    def realisation(self, recipe: Digest, known: Trust) -> Realisation | None:
        """Return the record of a recipe's object."""

    def object(self, path: StorePath, known: Trust) -> ObjectRecord | None:
        """Return the record of an object."""

    def delta(self, new: StorePath, old: StorePath, known: Trust) -> DeltaRecord | None:
        """Return the record of the delta between two objects."""

    def sbom(self, path: StorePath, form: SbomFormat, known: Trust) -> SbomRecord | None:
        """Return the record of the SBOM of an object, in one format."""

    def channel(self, name: str, known: Trust, *, number: int | None = None) -> Channel | None:
        """Return the record of one number of a channel, by default of the current one."""

    def channel_names(self) -> set[str]:
        """Return the names of all channels. Raises ListingUnsupportedError where they cannot be listed."""

    def file(self, record: FileRecord) -> Blob:
        """Return the archive, delta or SBOM that a record describes. Makes no request."""

    def inventory(self, problems: dict[str, str] | None = None) -> Inventory:
        """Read all records.

        Raises CacheError for a malformed record, because it must not count as absent. With `problems`, such a record
        is left out, and its key and the reason are added there.
        """


class CacheWriter(Protocol):
    """Writes to a cache. Records are given unsigned; the signer's keys sign them."""

    def create(self, store: Path) -> None:
        """Create the cache if it does not exist, and repair a damaged one. `store` is the root of the caller's store.

        Raises CacheError if the cache has a newer format, UsageError if its place is not free for a cache.
        """

    def has_archive(self, record: ObjectRecord) -> bool:
        """Return whether these very bytes are there, without a record of them. False where only reading would tell."""

    def put_archive(self, record: ObjectRecord, archive: Path) -> None:
        """Write the archive of an object."""

    def put_object(self, record: ObjectRecord, signer: Signer) -> None:
        """Write the record of an object whose archive and references are in the cache."""

    def keep_object(self, found: ObjectRecord, own: ObjectRecord, signer: Signer) -> bool:
        """Sign the record of an object that the cache has, and write it again if it is old.

        So no collection deletes it during the push. `own` is the caller's record of the same archive; if it states
        other facts than `found`, it replaces no record that somebody else signed. Return False if the record has gone.
        """

    def put_delta(self, record: DeltaRecord, delta: bytes, signer: Signer) -> None:
        """Write a delta, then its record."""

    def put_sbom(self, record: SbomRecord, document: bytes, signer: Signer) -> tuple[str, ...]:
        """Write an SBOM, then its record. It replaces the one of this format; in a registry only that of these keys.

        Return the names of other keys that had signed another SBOM which is replaced.
        """

    def add_realisation(self, own: Realisation, signer: Signer, on_fault: FaultHandler) -> StorePath:
        """Write the object of a recipe; return the object that the cache states for it then.

        `own` may bring signatures of keys that the signer knows, which are written too.
        A realisation with another object stays, unless it is malformed or all its signatures are wrong.
        """

    def add_channel(self, name: str, make: Callable[[int], Channel], before: Channel | None, signer: Signer) -> Channel:
        """Write a record of a channel under a new number, and return it. `make` gives the record of a number.

        Each number is given out once, even to two publishers at the same time. `before` is the record that it
        replaces. Raises CacheError if others keep publishing.
        """

    def sign_channel(self, record: Channel, signer: Signer) -> Channel:
        """Add signatures to a number of a channel that exists, and return its record."""

    def pin(self, path: StorePath) -> None:
        """Keep an object regardless of channels."""

    def unpin(self, path: StorePath) -> None:
        """Delete the pin of an object, if there is one."""

    def touched_at(self, item: Item) -> datetime | None:
        """Return the time of the last push that had an object; None if its record has gone."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete entries of an inventory, in this order. A missing one is no error."""


def check_exists(cache: Cache) -> None:
    """Raise CacheError unless the cache exists."""
    if not cache.exists():
        raise CacheError(
            f"there is no cache at {cache.url}", hint="`vstore push` makes one, `vstore image --push` an image"
        )


@contextmanager
def request_threads(cache: Cache, count: int = MAX_REQUESTS) -> Iterator[Executor]:
    """Yield threads for requests to a cache. An interruption of the block, such as Ctrl-C, ends their requests."""
    with ThreadPoolExecutor(count) as pool, cache.cancel.set_after(errors=False):
        yield pool


def attempt(read: Callable[[], T | None]) -> tuple[T | None, str | None]:
    """Return the record that `read` returns, or the reason why it is malformed or unreadable. Raises TransportError."""
    try:
        return read(), None
    except CacheError as error:
        if isinstance(error, TransportError) and not isinstance(error, UnreadableFileError):
            raise
        return None, error.message
