"""The records of a cache: their bytes (golden), and that nothing malformed is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import Kind, StorePath
from vstore.remote.model import Archive, Channel, DeltaRecord, ObjectRecord, Realisation, Record
from vstore.remote.records import decode_channel, decode_delta, decode_object, decode_realisation, encode
from vstore.remote.trust import SecretKey

WRONG: tuple[object, ...] = (None, [{}], -1, "nonsense \x00", {"a": 1})
GOLDEN = Path(__file__).with_name("golden")
KEY = SecretKey("golden", bytes(range(32)))
D1, D2 = Digest(bytes([1]) * 32), Digest(bytes([2]) * 32)
P1, P2 = StorePath.make(D1, "framework-torch"), StorePath.make(D2, "python-3.11")
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
LATER = datetime(2024, 6, 5, 7, 8, 9, tzinfo=UTC)

REALISATION = Realisation(recipe=D2, path=P1, digest=D1, size_bytes=12345)
OBJECT = ObjectRecord(
    path=P1,
    digest=D1,
    kind=Kind.FRAMEWORK,
    size_bytes=12345,
    references=(P2,),
    archive=Archive(size_bytes=678, sha256="ab" * 32, index_digest=D2),
    parts=(b"\x01\x02",),
    metadata={"recipe_text": {"name": "framework-torch"}},
)
CHANNEL = Channel(name="stable", number=7, path=P1, digest=D1, created_at=WHEN, expires_at=LATER)
DELTA = DeltaRecord(new=P1, old=P2, size_bytes=99, sha256="cd" * 32)

RECORDS: dict[str, tuple[Record, Callable[[bytes, str], Record]]] = {
    "realisation": (REALISATION.signed(KEY.sign(REALISATION.line)), decode_realisation),
    "object": (OBJECT.signed(KEY.sign(OBJECT.line)), decode_object),
    "channel": (CHANNEL.signed(KEY.sign(CHANNEL.line)), decode_channel),
    "delta": (DELTA.signed(KEY.sign(DELTA.line)), decode_delta),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_bytes_are_those_of_the_golden_file(name: str) -> None:
    record, decode = RECORDS[name]
    expected = (GOLDEN / f"{name}.json").read_bytes()
    assert encode(record) == expected
    assert decode(expected, name) == record


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_malformed_is_refused(name: str) -> None:
    record, decode = RECORDS[name]
    good = json.loads(encode(record))
    for key in good:
        for wrong in WRONG:
            if (key, type(wrong)) in {("channel", str), ("metadata", dict)}:
                continue  # which it may be
            with pytest.raises(CacheError, match="malformed record"):
                decode(json.dumps({**good, key: wrong}).encode(), name)
    for data in (b"", b"[]", b"\xff", b"[" * 100_000, encode(record)[:-5]):
        with pytest.raises(CacheError, match="malformed record"):
            decode(data, name)


def test_a_record_of_a_newer_format_says_so() -> None:
    document = {**json.loads(encode(CHANNEL)), "format": 2}
    with pytest.raises(CacheError, match="format 2, this vstore knows 1"):
        decode_channel(json.dumps(document).encode(), "channel")


def test_the_signed_line_depends_on_every_field() -> None:
    """Whatever is changed in a record, its signature is of something else."""
    other: dict[str, object] = {
        "recipe": str(D1),
        "path": str(P2),
        "digest": str(D2),
        "size_bytes": 1,
        "kind": "runtime",
        "references": [],
        "archive": {"size_bytes": 679, "sha256": "ab" * 32, "index_digest": str(D2)},
        "parts": [],
        "metadata": {},
        "channel": "other",
        "number": 8,
        "created_at": LATER.isoformat(),
        "expires_at": WHEN.isoformat(),
        "new": str(P2),
        "old": str(P1),
        "sha256": "ef" * 32,
    }
    for record, decode in RECORDS.values():
        good = json.loads(encode(record))
        for key in good.keys() - {"format", "signatures"}:
            changed = decode(json.dumps({**good, key: other[key]}).encode(), "it")
            assert changed.line != record.line, key
