"""A cache in a repository of a container registry: reads its records, archives and deltas."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from vstore.cancel import CancelToken
from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import StorePath
from vstore.remote.records.blob import Blob
from vstore.remote.records.cache import attempt
from vstore.remote.records.encoding import (
    Fields,
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
)
from vstore.remote.records.inventory import Inventory
from vstore.remote.records.model import (
    Channel,
    DeltaRecord,
    FileRecord,
    ObjectRecord,
    R,
    Realisation,
    SbomRecord,
    add_signatures,
)
from vstore.remote.records.trust import NO_TRUST, Key, Trust
from vstore.remote.registry_cache.inventory import read_inventory
from vstore.remote.registry_cache.repository import RecordRepository, layer_of
from vstore.remote.registry_cache.tags import (
    CACHE_TAG,
    RecordTag,
    channel_number,
    channel_start,
    delta_subject,
    object_subject,
    recipe_subject,
    sbom_subject,
    signer_of,
)
from vstore.remote.registry_cache.writer import RegistryCacheWriter
from vstore.remote.transport.protocol import RepositoryTransport, TransportError
from vstore.sbom_format import SbomFormat

_MAX_SIGNERS = 64  # of one record
_MAX_NUMBERS = 20  # of a channel, newest first, whose signatures are verified to find the current one


class RegistryCache:
    """The cache in a repository. Each signer has a record of its own, and signatures are joined by readers.

    `name` is its name in config.toml, by default its URL.
    """

    def __init__(
        self, transport: RepositoryTransport, *, name: str | None = None, cancel: CancelToken | None = None
    ) -> None:
        self.name = name or transport.url
        self.cancel = cancel or CancelToken()
        self._transport = transport
        self._repository = RecordRepository(transport, self.name)
        self._checked = False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The URL without secrets."""
        return self._transport.url

    @property
    def writer(self) -> RegistryCacheWriter:
        """The methods for writing."""
        return RegistryCacheWriter(self._repository, self.name, self.exists)

    @property
    def reclaim_hint(self) -> str:
        """The command of the registry that deletes blobs."""
        return "docker-registry: `docker-registry garbage-collect CONFIG`; other registries do it from time to time"

    def exists(self) -> bool:
        """Return whether the cache exists. Raises CacheError if its format is newer. True is remembered."""
        with self._lock:
            if not self._checked:
                stored = self._repository.read(CACHE_TAG)
                if stored is None:
                    return False
                Fields.read(stored.text, f"{self.url}:{CACHE_TAG}")
                self._checked = True
        return True

    def realisation(self, recipe: Digest, known: Trust) -> Realisation | None:
        """Return the record of a recipe's object that known keys signed, or that nobody signed."""
        return self._read(recipe_subject(recipe), decode_realisation, known)

    def object(self, path: StorePath, known: Trust) -> ObjectRecord | None:
        """Return the record of an object: one of known keys, else any other."""
        subject = object_subject(path)
        found = self._read(subject, decode_object, known)
        return found or self._join(self._tags_of(f"{subject}-", known, fresh=False), decode_object, known)

    def delta(self, new: StorePath, old: StorePath, known: Trust) -> DeltaRecord | None:
        """Return the record of the delta between two objects that known keys signed, or that nobody signed."""
        return self._read(delta_subject(new, old), decode_delta, known)

    def sbom(self, path: StorePath, form: SbomFormat, known: Trust) -> SbomRecord | None:
        """Return the record of an SBOM that known keys signed, or that nobody signed."""
        return self._read(sbom_subject(path, form), decode_sbom, known)

    def channel(self, name: str, known: Trust, *, number: int | None = None) -> Channel | None:
        """Return the record of one number of a channel, by default of the newest that a known key signed.

        If known keys signed none, it is the newest of all.
        """
        numbers: dict[int, list[RecordTag]] = {}
        for tag in self._tags_of(channel_start(name), known, fresh=number is None):
            if (found := channel_number(tag.subject)) is not None:
                numbers.setdefault(found, []).append(tag)
        if number is not None:
            return self._join(numbers.get(number, []), decode_channel, known)
        signers = {signer_of(key) for key in known.keys}
        signed = sorted((one for one, tags in numbers.items() if signers & {tag.signer for tag in tags}), reverse=True)
        for one in signed[:_MAX_NUMBERS]:
            record, _ = attempt(partial(self._join, numbers[one], decode_channel, known))
            if record is not None and known.signers(record):
                return record
        return self._join(numbers[max(numbers)], decode_channel, known) if numbers else None

    def channel_names(self) -> set[str]:
        """Return the names of all channels, from one record of each."""
        one_of_each = {tag.subject.split("-")[1]: tag for tag in self._tags_of("channel-", NO_TRUST, fresh=False)}
        found = [attempt(partial(self._join, [tag], decode_channel, NO_TRUST))[0] for tag in one_of_each.values()]
        return {record.name for record in found if record is not None}

    def file(self, record: FileRecord) -> Blob:
        """Return the archive, delta or SBOM that a record describes."""
        return Blob(self._transport, f"blobs/{layer_of(record).digest}")

    def inventory(self, problems: dict[str, str] | None = None) -> Inventory:
        """Read all records. With `problems`, malformed ones are left out and added there, by tag."""
        return read_inventory(self, self._repository, problems)

    def _read(self, subject: str, decode: Callable[[bytes, str], R], known: Trust) -> R | None:
        """Return the record of a subject that the known keys signed; without keys, the one that nobody signed."""
        keys: tuple[Key | None, ...] = tuple(dict.fromkeys(known.keys)) or (None,)
        return self._join([RecordTag(subject, signer_of(key)) for key in keys], decode, known)

    def _tags_of(self, start: str, known: Trust, *, fresh: bool) -> list[RecordTag]:
        """Return the tags of records that start so: those of known keys first, in the order of the keys."""
        tags = [tag for tag in self._repository.tags(fresh=fresh) if tag.startswith(start)]
        places = {signer_of(key): place for place, key in enumerate(known.keys)}
        found = [tag for tag in map(RecordTag.parse, tags) if tag is not None]
        return sorted(found, key=lambda tag: (places.get(tag.signer, len(places)), tag))

    def _join(self, tags: Sequence[RecordTag], decode: Callable[[bytes, str], R], known: Trust) -> R | None:
        """Return the first record that enough known keys signed, with the signatures of all who wrote it alike.

        If none is, return the first. A malformed record hides no other; alone it is a CacheError.
        """
        found: dict[bytes, R] = {}
        malformed: CacheError | None = None
        for tag in tags[:_MAX_SIGNERS]:
            try:
                record = self._repository.read_record(tag, decode)
            except TransportError:
                raise
            except CacheError as error:
                malformed = malformed or error
                continue
            if record is None:
                continue
            other = found.get(record.fingerprint)
            joined = record if other is None else add_signatures(other, *record.signatures)
            found[record.fingerprint] = joined
            if known.keys and known.trusts(joined):
                return joined
        if malformed is not None and not found:
            raise malformed
        return next(iter(found.values()), None)
