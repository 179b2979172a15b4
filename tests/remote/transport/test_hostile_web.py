"""Servers that misbehave in every way: a right answer or a plain error, in bounded time and memory."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scripts.testing.machine import folder_cache, machine
from tests.remote.hostile import RIGHT, WRONG, hostile, wrong_answers
from vstore.remote.file_cache.layout import archive_key, object_key

pytestmark = pytest.mark.slow

MEBIBYTES = 300

# Asks servers of the modes, eight at a time; the arguments are a file of what to ask and a folder to write to.
_CLIENT = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from scripts.testing.machine import fail_fast, machine
from scripts.testing.memory import peak_mebibytes
from vstore.errors import ArchiveError, CacheError
from vstore.fs.trees.scan import scan
from vstore.objects import StorePath
from vstore.remote import pull
task, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])

def ask(question):
    try:
        answer = question()
    except (CacheError, ArchiveError) as error:
        assert error.message and "\\n" not in error.message, error
        return f"error: {error.message}"
    return "none" if answer is None else answer

def one(item):
    number, (mode, url) = item
    place = folder / str(number)
    place.mkdir()
    def whole():
        size = fail_fast(url).transport.download(task["archive"], place / "archive", limit=task["size"])
        return None if size is None else (place / "archive").read_bytes().hex()
    def brought():
        with machine(place / "store") as client:
            pull(client.fetcher(), fail_fast(url), [StorePath.parse(task["path"])])
            tree = scan(client.store.layout.store / task["path"])
            return "right" if StorePath.make(tree.digest, "low") == StorePath.parse(task["path"]) else "wrong"
    def part():
        found = fail_fast(url).transport.get_ranges(task["archive"], [(5, 2000), (3000, 3001)])
        return None if found is None else b"".join(found).hex()
    def record():
        found = fail_fast(url).transport.get(task["record"], limit=100_000)
        return None if found is None else found.hex()
    def size():
        found = fail_fast(url).transport.head(task["archive"])
        return None if found is None else found.size_bytes
    said = {question.__name__: ask(question) for question in (record, part, whole, size, brought)}
    return mode, said

threading.excepthook = lambda failure: None
with ThreadPoolExecutor(8) as pool:
    answers = dict(pool.map(one, enumerate(task["urls"].items())))
print(json.dumps({"answers": answers, "peak": peak_mebibytes()}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_server_that_misbehaves_costs_an_error(tmp_path: Path) -> None:
    """The peak of memory is that of all modes, eight of them at a time, each with all its requests."""
    with machine(tmp_path / "builder") as builder:
        path = builder.add("low", {"a": b"low", "big": random.Random(1).randbytes(300_000)})
        builder.push(folder_cache(tmp_path / "cache"), path)
    archive = (tmp_path / "cache" / archive_key(path)).read_bytes()
    record = (tmp_path / "cache" / object_key(path)).read_bytes()
    right = {
        "record": record.hex(),
        "part": (archive[5:2000] + archive[3000:3001]).hex(),
        "whole": archive.hex(),
        "size": len(archive),
        "brought": "right",
    }
    limits = {"record": 100_000, "part": 1996, "whole": len(archive)}
    with hostile(tmp_path / "cache") as server:
        urls = {mode: server.url(mode) for mode in (*RIGHT, *WRONG)}
        assert len(WRONG) >= 43
        task = {"urls": urls, "path": str(path), "archive": archive_key(path), "size": len(archive)}
        task["record"] = object_key(path)
        for mode, question, answer in wrong_answers(_CLIENT, task, tmp_path, right=right, mebibytes=MEBIBYTES):
            if question == "brought":
                assert answer == "right", (mode, answer)
            elif question != "size":  # what bytes are of the right length is verified by who asked for them
                assert len(answer) <= 2 * limits[question], (mode, question)
