"""The records of a cache of files, while other builders write them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.testing.machine import KEY, OTHER
from vstore.digest import hash_bytes
from vstore.objects import Kind, StorePath
from vstore.remote import FileCache, SecretKey, Signer
from vstore.remote.file_cache.layout import keys_of
from vstore.remote.records.cache import CacheWriter
from vstore.remote.records.encoding import MAX_RECORD_BYTES, decode_delta, decode_object, decode_sbom, encode
from vstore.remote.records.model import Archive, DeltaRecord, ObjectRecord, R, SbomRecord
from vstore.remote.records.trust import sign
from vstore.remote.transport.memory import MemoryTransport
from vstore.sbom_format import Sbom, SbomFormat

THIRD = SecretKey("builder-3", b"3" * 32)
DIGEST = hash_bytes("test", b"")
PATH, OLD = StorePath.make(DIGEST, "new"), StorePath.make(DIGEST, "old")
OBJECT = ObjectRecord(
    path=PATH,
    digest=DIGEST,
    kind=Kind.FRAMEWORK,
    size_bytes=1,
    references=(),
    archive=Archive(size_bytes=1, sha256="0" * 64, diff_id="1" * 64, index_digest=DIGEST),
)
DELTA = DeltaRecord(new=PATH, old=OLD, size_bytes=1, sha256="0" * 64)
SBOM = SbomRecord.of(Sbom(PATH, SbomFormat.SPDX, b"{}"))


class Overtaken(MemoryTransport):
    """Another builder writes the file `key` too, once, after it was written here."""

    key = ""
    rival = b""

    def put(self, key: str, data: bytes | Path) -> None:
        super().put(key, data)
        if key == self.key and self.rival:
            rival, self.rival = self.rival, b""
            super().put(key, rival)


def keeps_all_signatures(
    record: R, write: Callable[[CacheWriter, Signer], object], decode: Callable[[bytes, str], R]
) -> bool:
    """Return whether a record gets all signatures, although another builder overwrites it right after the write."""
    transport = Overtaken()
    transport.key = keys_of(record)[0]
    transport.put(transport.key, encode(sign(record, [KEY])))
    transport.rival = encode(sign(record, [KEY, THIRD]))
    write(FileCache(transport).writer, Signer([OTHER]))
    found = decode(transport.get(transport.key, limit=MAX_RECORD_BYTES) or b"", transport.key)
    return found == sign(record, [KEY, OTHER, THIRD])


def test_the_record_of_an_object_keeps_them() -> None:
    assert keeps_all_signatures(OBJECT, lambda writer, signer: writer.put_object(OBJECT, signer), decode_object)


def test_the_record_of_a_delta_keeps_them() -> None:
    assert keeps_all_signatures(DELTA, lambda writer, signer: writer.put_delta(DELTA, b"", signer), decode_delta)


def test_the_record_of_an_sbom_keeps_them() -> None:
    assert keeps_all_signatures(SBOM, lambda writer, signer: writer.put_sbom(SBOM, b"{}", signer), decode_sbom)
