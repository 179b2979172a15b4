"""The contract of `WritableTransport`: folders, buckets and registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.transport.contract.conftest import DATA, Place

pytestmark = pytest.mark.slow


def test_the_last_writer_wins(writable_place: Place) -> None:
    for number in range(3):
        key, content = writable_place.version(number)
        writable_place.writing.put(key, content)
        assert writable_place.reading.get(key, limit=9999) == content


def test_a_file_is_put_in_parts(writable_place: Place, tmp_path: Path) -> None:
    content = DATA * 80  # 20 MB: more than one part
    (tmp_path / "file").write_bytes(content)
    key = writable_place.key(content)
    writable_place.writing.put(key, tmp_path / "file")
    assert writable_place.reading.get(key, limit=len(content)) == content


def test_what_is_deleted_is_gone(writable_place: Place) -> None:
    """What is not there is deleted too."""
    key, content = writable_place.version(1)
    writable_place.writing.delete([writable_place.deletable(content)])
    writable_place.writing.put(key, content)
    writable_place.writing.delete([writable_place.deletable(content), writable_place.deletable(b"never written")])
    assert writable_place.reading.get(key, limit=9999) is None
    writable_place.writing.put(key, content)
    assert writable_place.reading.get(key, limit=9999) == content
