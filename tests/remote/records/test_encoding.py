"""The records of a cache: their bytes (golden), and that nothing malformed is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vstore.digest import Digest
from vstore.errors import CacheError
from vstore.objects import Kind, StorePath
from vstore.remote.records.encoding import (
    decode_channel,
    decode_delta,
    decode_object,
    decode_realisation,
    decode_sbom,
    encode,
)
from vstore.remote.records.model import Archive, Channel, DeltaRecord, ObjectRecord, Realisation, Record, SbomRecord
from vstore.remote.records.trust import SecretKey, sign
from vstore.sbom_format import SbomFormat

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
    archive=Archive(size_bytes=678, sha256="ab" * 32, diff_id="cd" * 32, index_digest=D2),
    parts=(b"\x01\x02",),
    metadata={"recipe_text": {"name": "framework-torch"}},
)
CHANNEL = Channel(name="stable", number=7, path=P1, digest=D1, created_at=WHEN, expires_at=LATER)
DELTA = DeltaRecord(new=P1, old=P2, size_bytes=99, sha256="cd" * 32)
SBOM = SbomRecord(path=P1, format=SbomFormat.CYCLONEDX, size_bytes=99, sha256="ef" * 32)

RECORDS: dict[str, tuple[Record, Callable[[bytes, str], Record]]] = {
    "realisation": (sign(REALISATION, [KEY]), decode_realisation),
    "object": (sign(OBJECT, [KEY]), decode_object),
    "channel": (sign(CHANNEL, [KEY]), decode_channel),
    "delta": (sign(DELTA, [KEY]), decode_delta),
    "sbom": (sign(SBOM, [KEY]), decode_sbom),
}


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


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


UNSAYABLE = {
    "NaN": "NaN",
    "infinity": "-Infinity",
    "infinity as a number": "1e999",
    "an integer beyond 64 bits": "9223372036854775808",
    "an integer of 4000 digits": "9" * 4000,
    "half a surrogate pair": '"\\ud800"',
    "half a surrogate pair as a key": '{"\\udfff": 1}',
    "a key twice": '{"a": 1, "a": 2}',
    "lists in lists": "[" * 100 + "]" * 100,
    "lists in lists, deeper": "[" * 5000 + "]" * 5000,
    "too many values": "[" + "0," * 30_000 + "0]",
}


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("value", UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_could_not_be_written_again_is_refused_in_every_field(name: str, value: str) -> None:
    record, decode = RECORDS[name]
    good = json.loads(encode(record))
    for key in [*good, "of no meaning"]:
        text = json.dumps({**good, key: "HERE"}).replace('"HERE"', value)
        with pytest.raises(CacheError, match="malformed record"):
            decode(text.encode(), name)


@pytest.mark.parametrize("value", UNSAYABLE.values(), ids=UNSAYABLE)
def test_metadata_that_could_not_be_written_again_is_refused(value: str) -> None:
    document = {**json.loads(encode(OBJECT)), "metadata": {"a": [{"b": "HERE"}]}}
    with pytest.raises(CacheError, match="malformed record"):
        decode_object(json.dumps(document).replace('"HERE"', value).encode(), "it")


@pytest.mark.parametrize("when", ["2024-05-06T07:08:09+02:00", "20240506T070809Z", "2024-05-06 07:08:09+00:00"])
def test_times_are_in_utc_and_written_in_one_way(when: str) -> None:
    document = {**json.loads(encode(CHANNEL)), "created_at": when}
    with pytest.raises(CacheError, match="not a time in UTC"):
        decode_channel(json.dumps(document).encode(), "it")


def test_a_record_of_a_newer_format_says_so() -> None:
    document = {**json.loads(encode(CHANNEL)), "format": 2}
    with pytest.raises(CacheError, match="format 2, this vstore reads 1"):
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
        "archive": {"size_bytes": 679, "sha256": "ab" * 32, "diff_id": "cd" * 32, "index_digest": str(D2)},
        "parts": [],
        "metadata": {},
        "channel": "other",
        "number": 8,
        "created_at": LATER.isoformat(),
        "expires_at": WHEN.isoformat(),
        "new": str(P2),
        "old": str(P1),
        "sha256": "01" * 32,
        "sbom": "spdx",
    }
    for record, decode in RECORDS.values():
        good = json.loads(encode(record))
        for key in good.keys() - {"format", "signatures"}:
            changed = decode(json.dumps({**good, key: other[key]}).encode(), "it")
            assert changed.fingerprint != record.fingerprint, key


@pytest.mark.parametrize("value", ["x" * (1 << 20), [0] * 20_000, nested(70)], ids=["large", "many", "deep"])
def test_a_record_that_nobody_could_read_is_not_written(value: object) -> None:
    with pytest.raises(CacheError, match="exceeds the limits of readers"):
        encode(replace(OBJECT, metadata={"a": value}))
