"""Stores with small objects, caches of them, and reports that remember what was said."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts.testing.trees import recipe, write
from vstore.objects import Kind, StorePath
from vstore.remote import Cache, Fetcher, FileCache, Pusher, SecretKey, Signer, Trust
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import Record
from vstore.remote.sync.substitute import CacheSubstituter
from vstore.remote.transport.protocol import RequestLimits, Stat, listing, writable
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import open_transport
from vstore.reporter import Detail, NullReporter
from vstore.store import Provenance, Store

KEY = SecretKey("builder-1", b"1" * 32)
OTHER = SecretKey("builder-2", b"2" * 32)
TRUST = Trust(keys=(KEY.public,))
QUICK = RequestLimits(
    stall_seconds=1.0,
    record_seconds=2.0,
    range_seconds=3.0,
    attempts=2,
    first_pause_seconds=0.05,
    retry_seconds=3.0,
    max_failures=1,
)


class Said(NullReporter):
    """Remembers warnings, notes and details."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.details: list[str] = []

    def warn(self, text: str, hint: str | None = None) -> None:
        self.warnings.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def detail(self, text: str | Callable[[], str], kind: Detail = Detail.DECISION) -> None:
        self.details.append(text if isinstance(text, str) else text())


@dataclass
class Machine:
    """A store of its own and what was said while it was used."""

    store: Store
    said: Said = field(default_factory=Said)

    def fetcher(self, trust: Trust = TRUST) -> Fetcher:
        return Fetcher(self.store, trust=trust, reporter=self.said)

    def substituter(self, *caches: Cache, trust: Trust = TRUST) -> CacheSubstituter:
        return CacheSubstituter(caches, self.fetcher(trust))

    def push(self, cache: Cache, *paths: StorePath, keys: tuple[SecretKey, ...] = (KEY,)) -> None:
        Pusher(self.store, cache, Signer(keys), reporter=self.said).push(paths)

    def is_clean(self) -> bool:
        """Nothing is registered, and nothing lies about in the store or half built."""
        layout = self.store.layout
        left = [path for path in layout.tmp.iterdir() if path != layout.trash]
        return not left and not list(layout.store.iterdir()) and not list(layout.manifests.iterdir())

    def add(
        self,
        name: str,
        files: dict[str, bytes] | None = None,
        references: tuple[StorePath, ...] = (),
        *,
        kind: Kind = Kind.FRAMEWORK,
        recipe_name: str | None = None,
        parts: tuple[bytes, ...] = (),
    ) -> StorePath:
        """An object whose recipe is called like it."""
        with self.store.staging(name) as staged:
            write(staged, files if files is not None else {"a": name.encode()}, references)
            made = self.store.add(
                staged,
                name=name,
                kind=kind,
                provenance=Provenance(recipe=recipe(recipe_name or name), wheel_keys=tuple(parts)),
            )
            return made.path

    def add_three(self) -> tuple[StorePath, StorePath, StorePath]:
        """``low``, ``mid`` above it and ``top`` above both."""
        big = random.Random(1).randbytes(300_000)  # more than the read that finds the index brings
        low = self.add("low", {"a": b"low", "big": big, "sub/x": b"x"}, parts=(b"part of low",))
        mid = self.add("mid", {"a": b"mid", "exact": big[:5000]}, (low,))
        return low, mid, self.add("top", {"a": b"top"}, (low, mid))


@contextmanager
def machine(root: Path) -> Iterator[Machine]:
    with Store.open(root) as store:
        yield Machine(store)


def folder_cache(folder: Path) -> FileCache:
    return FileCache(open_transport(f"file://{folder}"))


def fail_fast(url: str, name: str | None = None) -> FileCache:
    """A cache with short time limits."""
    return FileCache(RetryingTransport(open_transport(url, limits=QUICK), QUICK), name=name)


def put_file(cache: FileCache, key: str, data: bytes | Path) -> None:
    writable(cache.transport).put(key, data)


def put_record(cache: FileCache, key: str, record: Record) -> None:
    put_file(cache, key, encode(record))


def list_files(cache: FileCache, prefix: str) -> Iterator[Stat]:
    return listing(cache.transport).scan(prefix)
