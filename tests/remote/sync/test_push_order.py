"""A record is listed after all that it refers to, also when a reference takes longer than what refers to it."""

from __future__ import annotations

import time
from pathlib import Path

from scripts.testing.machine import machine
from vstore.remote.file_cache import FileCache
from vstore.remote.transport.memory import MemoryTransport


class SlowLowest(MemoryTransport):
    """Takes its time for the archive of the lowest object, and notes the records in the order in which they come."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def put(self, key: str, data: bytes | Path) -> None:
        if key.startswith("archives/") and "-low" in key:
            time.sleep(0.5)
        super().put(key, data)

    def create(self, key: str, data: bytes | Path) -> bool:
        if key.startswith("objects/"):
            self.records.append(key.rpartition("-")[2])
        return super().create(key, data)


def test_references_are_listed_first(tmp_path: Path) -> None:
    with machine(tmp_path) as builder:
        transport = SlowLowest()
        _, _, top = builder.add_three()
        builder.push(FileCache(transport), top)
    assert transport.records == ["low.json", "mid.json", "top.json"]
