"""The contract of `Transport`: every place answers alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.remote.transport.contract.conftest import DATA, Place
from vstore.remote.transport.protocol import TransportError

pytestmark = pytest.mark.slow


def test_what_is_put_is_got(place: Place, tmp_path: Path) -> None:
    key = place.key(DATA)
    place.writing.put(key, DATA)
    assert place.reading.get(key, limit=len(DATA)) == DATA
    stat = place.reading.head(key)
    assert stat is not None
    assert (stat.key, stat.size_bytes) == (key, len(DATA))
    assert place.reading.download(key, tmp_path / "whole", limit=len(DATA)) == len(DATA)
    assert (tmp_path / "whole").read_bytes() == DATA


def test_what_is_not_there_is_none(place: Place, tmp_path: Path) -> None:
    key = place.key(b"never written")
    for _ in range(2):  # before there is anything at all, and after
        assert place.reading.get(key, limit=1) is None
        assert place.reading.head(key) is None
        assert place.reading.get_ranges(key, [(0, 1)]) is None
        assert place.reading.download(key, tmp_path / "whole", limit=1) is None
        place.writing.put(place.key(DATA), DATA)


def test_ranges_are_exact(place: Place) -> None:
    key = place.key(DATA)
    place.writing.put(key, DATA)
    ranges = [(0, 1), (1, 1000), (255_999, 256_000), (100, 50_000)]
    assert place.reading.get_ranges(key, ranges) == [DATA[start:end] for start, end in ranges]
    assert place.reading.get_ranges(key, []) == []
    with pytest.raises(TransportError):
        place.reading.get_ranges(key, [(0, 10), (255_999, 256_001)])


def test_nothing_larger_than_allowed_is_read(place: Place, tmp_path: Path) -> None:
    key = place.key(DATA)
    place.writing.put(key, DATA)
    with pytest.raises(TransportError, match="larger than the limit of 1000 bytes"):
        place.reading.get(key, limit=1000)
    with pytest.raises(TransportError, match="larger than the limit of 1000 bytes"):
        place.reading.download(key, tmp_path / "whole", limit=1000)


def test_many_at_once(place: Place) -> None:
    contents = [str(n).encode() for n in range(128)]
    for one in contents:
        place.writing.put(place.key(one), one)
    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda one: place.reading.get(place.key(one), limit=10), contents))
    assert found == contents
