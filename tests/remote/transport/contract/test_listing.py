"""The contract of `ListingTransport`: folders and buckets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.remote.transport.contract.conftest import DATA, KEY, folder_at
from vstore.remote.transport.folder import TEMPORARY
from vstore.remote.transport.protocol import FileTransport

pytestmark = pytest.mark.slow


def test_scanning_and_deleting(files: FileTransport) -> None:
    keys = {f"objects/{n % 7}/{n}.json" for n in range(30)}
    for key in keys:
        files.put(key, key.encode())
    files.put("objects2/x", b"")
    found = {stat.key: stat.size_bytes for stat in files.scan("objects")}
    assert found == {key: len(key) for key in keys}
    assert list(files.scan("nothing")) == []
    files.delete(["objects/nope", *sorted(keys)[:10], "objects/not"])
    assert {stat.key for stat in files.scan("objects")} == set(sorted(keys)[10:])


def test_what_is_finished_is_not_unfinished(files: FileTransport) -> None:
    files.put(KEY, DATA)
    files.put(f"{KEY}#", DATA)
    assert list(files.unfinished()) == []


def test_more_than_one_page_is_listed(files: FileTransport) -> None:
    """S3 gives 1000 keys at a time, Azure 5000."""
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: files.put(f"pages/{n}", b"x"), range(1100)))
    assert {stat.key for stat in files.scan("pages")} == {f"pages/{n}" for n in range(1100)}
    files.delete(f"pages/{n}" for n in range(1100))
    assert list(files.scan("pages")) == []


def test_what_a_killed_writer_left_in_a_folder_can_be_removed(tmp_path: Path) -> None:
    """It is seen by nothing else."""
    folder = folder_at(f"file://{tmp_path}")
    folder.put(KEY, DATA)
    key = f"{KEY.rpartition('/')[0]}/{TEMPORARY}0123456789ab"
    (tmp_path / key).write_bytes(DATA[:100])
    (found,) = folder.unfinished()
    assert (found.key, found.size_bytes) == (key, 100)
    assert [stat.key for stat in folder.scan("objects")] == [KEY]
    folder.delete([found.key])
    assert list(folder.unfinished()) == [] and folder.get(KEY, limit=len(DATA)) == DATA
