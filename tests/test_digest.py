"""Digests, and JSON from strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.digest import Digest, parse_json


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_digest_knows_its_short_text(one: bytes, other: bytes) -> None:
    assert Digest(one).has_short(Digest(one).short)
    assert Digest(one).has_short(Digest(other).short) == (one[:20] == other[:20])


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"[-Infinity]",
        b"1e999",
        b'{"a": 1, "a": 1}',
        b"9223372036854775808",
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xed\xa0\x80"',
        "[1]".encode("utf-16") + b"\0",
        b"[" * 70 + b"]" * 70,
        b"[" * 100_000,
    ],
)
def test_json_that_cannot_be_written_again_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        parse_json(text)


def test_any_other_json_is_read() -> None:
    text = '{"a": [1, -2.5, true, null, "\\u00e9\\ud83d\\ude00", "é"], "b": {}}'
    expected = {"a": [1, -2.5, True, None, "é😀", "é"], "b": {}}
    assert parse_json(text.encode()) == parse_json(text.encode("utf-16")) == expected
