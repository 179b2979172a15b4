"""A repository of a registry in memory, with what vstore relies on, for tests that need thousands of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from vstore.oci import Sha256
from vstore.remote.transport.memory import MemoryReader
from vstore.remote.transport.protocol import Stat, TransportError


class MemoryRepository(MemoryReader):
    """Manifests under tags, and blobs. Whole answers to keys with a digest are compared with it, as over HTTP."""

    def __init__(self, url: str = "oci://memory.test/repository") -> None:
        super().__init__(url)
        self.tagged: dict[str, str] = {}  # the digest of the manifest at a tag
        self.contents: dict[str, bytes] = {}  # manifests and blobs, by key with a digest
        self._lock = threading.Lock()

    def find(self, key: str) -> bytes | None:
        with self._lock:
            kind, _, name = key.partition("/")
            digest = self.tagged.get(name, name) if kind == "manifests" else name
            return self.contents.get(f"{kind}/{digest}")

    def get(self, key: str, *, limit: int) -> bytes | None:
        found = super().get(key, limit=limit)
        digest = key.partition("sha256:")[2]
        if found is not None and digest and Sha256.of(found).hexadecimal != digest:
            raise TransportError(f"{self.url}/{key}: the content has another digest")
        return found

    def head(self, key: str) -> Stat | None:
        found = self.find(key)
        return None if found is None else Stat(key=key, size_bytes=len(found), modified=datetime.now(UTC))

    def put(self, key: str, data: bytes | Path) -> None:
        content = data.read_bytes() if isinstance(data, Path) else bytes(data)
        kind, _, name = key.partition("/")
        digest = str(Sha256.of(content))
        with self._lock:
            self.contents.setdefault(f"{kind}/{digest}", content)
            if kind == "manifests" and not name.startswith("sha256:"):
                self.tagged[name] = digest

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self.contents.pop(key, None)
                digest = key.partition("/")[2]
                self.tagged = {tag: one for tag, one in self.tagged.items() if one != digest}

    def tags(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self.tagged))

    def mount(self, key: str, repository: str) -> bool:
        return False
