"""The contract of `CreatingTransport`: folders and buckets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.remote.transport.contract.conftest import DATA, KEY
from vstore.remote.transport.protocol import FileTransport

pytestmark = pytest.mark.slow


def test_only_one_of_many_creates(files: FileTransport, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["files"] in ("moto", "google"):
        pytest.skip("moto looks for a key, and writes it later")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: files.create(KEY, str(n).encode()), range(8)))
    assert answers.count(True) == 1
    assert files.get(KEY, limit=10) == str(answers.index(True)).encode()


def test_a_file_is_created_whole(files: FileTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    assert files.create(KEY, tmp_path / "file")
    assert not files.create(KEY, b"other")
    assert files.get(KEY, limit=len(DATA)) == DATA
