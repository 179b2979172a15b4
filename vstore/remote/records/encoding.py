"""Encode and decode records: canonical JSON and a newline, with ``format`` and ``signatures``.

Input is untrusted: a missing or wrong field is a CacheError that names the record and the field.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from vstore.digest import Digest, canonical_json, from_hex, parse_json
from vstore.errors import CacheError
from vstore.objects import Kind, StorePath
from vstore.remote.records.model import (
    Archive,
    Channel,
    DeltaRecord,
    ObjectRecord,
    Realisation,
    Record,
    SbomRecord,
    Signature,
)
from vstore.sbom_format import SbomFormat

FORMAT = 1  # of every record; a reader refuses a higher one
_MAX_SIZE = 1 << 50
MAX_RECORD_BYTES = 1 << 20
MAX_SBOM_BYTES = 256 << 20
_MAX_VALUES = 20_000
_MAX_STATEMENT_BYTES = 8192
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = "`vstore cache verify CACHE` lists all malformed records"
T = TypeVar("T")


def encode(record: Record) -> bytes:
    """Return the bytes of a record. Raises CacheError if they exceed the limits of readers."""
    document = {"format": FORMAT, **_fields(record)}
    document["signatures"] = [
        {
            "key": signature.key,
            "signature": base64.b64encode(signature.value).decode(),
            **({"statement": signature.statement} if signature.statement else {}),
        }
        for signature in record.signatures
    ]
    data = canonical_json(document) + b"\n"
    try:
        if len(data) > MAX_RECORD_BYTES:
            raise ValueError(f"more than {MAX_RECORD_BYTES >> 20} MiB")
        parse_json(data, max_values=_MAX_VALUES)
    except ValueError as error:
        raise CacheError(f"cannot write a record that exceeds the limits of readers: {error}") from error
    return data


def encode_cache_file() -> bytes:
    """Return the bytes of ``vstore-cache.json``."""
    return canonical_json({"format": FORMAT, "compression": "zst"}) + b"\n"


def _fields(record: Record) -> dict[str, object]:
    match record:
        case ObjectRecord():
            return record.as_json()
        case Realisation():
            return {
                "recipe": str(record.recipe),
                "path": str(record.path),
                "digest": str(record.digest),
                "size_bytes": record.size_bytes,
            }
        case Channel():
            return {
                "channel": record.name,
                "number": record.number,
                "path": str(record.path),
                "digest": str(record.digest),
                "created_at": record.created_at.isoformat(),
                "expires_at": record.expires_at.isoformat(),
            }
        case DeltaRecord():
            return {
                "new": str(record.new),
                "old": str(record.old),
                "size_bytes": record.size_bytes,
                "sha256": record.sha256,
            }
        case SbomRecord():
            return {
                "path": str(record.path),
                "sbom": str(record.format),
                "size_bytes": record.size_bytes,
                "sha256": record.sha256,
            }


class Fields:
    """A JSON object from outside, read field by field. `what` names it in errors."""

    def __init__(self, value: object, what: str) -> None:
        self.what = what
        if not isinstance(value, dict):
            raise self.error("expected an object")
        self._values: dict[str, object] = value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @classmethod
    def read(cls, data: bytes, what: str) -> Fields:
        """Parse a record and check its format. Raises CacheError."""
        try:
            value = parse_json(data, max_values=_MAX_VALUES)
        except ValueError as error:
            raise CacheError(f"malformed record {what}: {error}", hint=_HINT) from error
        fields = cls(value, what)
        if (found := fields.size("format")) != FORMAT:
            hint = "use the vstore that wrote it"
            raise fields.error(f"it has format {found}, this vstore reads {FORMAT}", hint=hint)
        return fields

    def error(self, reason: str, *, hint: str = _HINT) -> CacheError:
        """Return the error for this object."""
        return CacheError(f"malformed record {self.what}: {reason}", hint=hint)

    def text(self, key: str) -> str:
        """Return a string."""
        value = self._values.get(key)
        if not isinstance(value, str):
            raise self.error(f"`{key}`: expected a string")
        return value

    def size(self, key: str) -> int:
        """Return an integer from 0 to 2**50."""
        value = self._values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_SIZE:
            raise self.error(f"`{key}`: expected an integer from 0 to 2**50")
        return value

    def items(self, key: str) -> list[object]:
        """Return a list."""
        value = self._values.get(key)
        if not isinstance(value, list):
            raise self.error(f"`{key}`: expected a list")
        return value

    def inner(self, key: str) -> Fields:
        """Return an object within this one."""
        return Fields(self._values.get(key), f"{self.what}, `{key}`")

    def mapping(self, key: str) -> dict[str, object]:
        """Return an object with any fields."""
        return self.inner(key)._values

    def parsed(self, key: str, parse: Callable[[str], T]) -> T:
        """Return the value that `parse` makes of a string. Its ValueError becomes a CacheError."""
        return self._parse(self.text(key), key, parse)

    def parsed_items(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Return the values that `parse` makes of a list of strings."""
        items = self.items(key)
        if not all(isinstance(item, str) for item in items):
            raise self.error(f"`{key}`: expected a list of strings")
        return tuple(self._parse(str(item), key, parse) for item in items)

    def _parse(self, text: str, key: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except (ValueError, binascii.Error) as error:
            raise self.error(f"`{key}`: {error}") from error

    def signatures(self) -> tuple[Signature, ...]:
        """Return the signatures of the record."""
        found = []
        for item in self.items("signatures"):
            one = Fields(item, f"{self.what}, `signatures`")
            statement = one.parsed("statement", _statement) if "statement" in one else ""
            found.append(Signature(one.text("key"), one.parsed("signature", _base64), statement))
        return tuple(found)


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _statement(text: str) -> str:
    if not 0 < len(text.encode()) <= _MAX_STATEMENT_BYTES:
        raise ValueError(f"not a text of at most {_MAX_STATEMENT_BYTES} bytes")
    return text


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("not a SHA-256 digest")
    return text


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.utcoffset() or moment.isoformat() != text:
        raise ValueError("not a time in UTC")
    return moment


def decode_realisation(data: bytes, what: str) -> Realisation:
    """Decode the record of a recipe's object. Raises CacheError that names `what`."""
    fields = Fields.read(data, what)
    return Realisation(
        recipe=fields.parsed("recipe", Digest.parse),
        path=fields.parsed("path", StorePath.parse),
        digest=fields.parsed("digest", Digest.parse),
        size_bytes=fields.size("size_bytes"),
        signatures=fields.signatures(),
    )


def decode_object(data: bytes, what: str) -> ObjectRecord:
    """Decode the record of an object. Raises CacheError that names `what`."""
    fields = Fields.read(data, what)
    archive = fields.inner("archive")
    return ObjectRecord(
        path=fields.parsed("path", StorePath.parse),
        digest=fields.parsed("digest", Digest.parse),
        kind=fields.parsed("kind", Kind),
        size_bytes=fields.size("size_bytes"),
        references=fields.parsed_items("references", StorePath.parse),
        archive=Archive(
            size_bytes=archive.size("size_bytes"),
            sha256=archive.parsed("sha256", _sha256),
            diff_id=archive.parsed("diff_id", _sha256),
            index_digest=archive.parsed("index_digest", Digest.parse),
        ),
        parts=fields.parsed_items("parts", from_hex),
        metadata=fields.mapping("metadata"),
        signatures=fields.signatures(),
    )


def decode_channel(data: bytes, what: str) -> Channel:
    """Decode the record of a channel. Raises CacheError that names `what`."""
    fields = Fields.read(data, what)
    return Channel(
        name=fields.text("channel"),
        number=fields.size("number"),
        path=fields.parsed("path", StorePath.parse),
        digest=fields.parsed("digest", Digest.parse),
        created_at=fields.parsed("created_at", _moment),
        expires_at=fields.parsed("expires_at", _moment),
        signatures=fields.signatures(),
    )


def decode_delta(data: bytes, what: str) -> DeltaRecord:
    """Decode the record of a delta. Raises CacheError that names `what`."""
    fields = Fields.read(data, what)
    return DeltaRecord(
        new=fields.parsed("new", StorePath.parse),
        old=fields.parsed("old", StorePath.parse),
        size_bytes=fields.size("size_bytes"),
        sha256=fields.parsed("sha256", _sha256),
        signatures=fields.signatures(),
    )


def decode_sbom(data: bytes, what: str) -> SbomRecord:
    """Decode the record of an SBOM. Raises CacheError that names `what`."""
    fields = Fields.read(data, what)
    size_bytes = fields.size("size_bytes")
    if size_bytes > MAX_SBOM_BYTES:
        raise fields.error(f"`size_bytes`: more than {MAX_SBOM_BYTES >> 20} MiB")
    return SbomRecord(
        path=fields.parsed("path", StorePath.parse),
        format=fields.parsed("sbom", SbomFormat),
        size_bytes=size_bytes,
        sha256=fields.parsed("sha256", _sha256),
        signatures=fields.signatures(),
    )
