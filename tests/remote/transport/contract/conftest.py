"""The places that the contracts are tried at, and under which keys each of them takes bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.testing.registries import LocalRegistry
from scripts.testing.servers import nginx
from tests.remote.buckets import SERVERS, Bucket
from vstore.cancel import CancelToken
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, ImageManifest, Sha256
from vstore.remote.transport.folder import FolderTransport
from vstore.remote.transport.memory import MemoryTransport
from vstore.remote.transport.protocol import PATIENT, FileTransport, Transport, WritableTransport
from vstore.remote.transport.registry import RegistryTransport
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.web import WebTransport

DATA = bytes(range(256)) * 1000
KEY = "objects/ab/abc-cpython-3.11.7+x@1.json"
FILES = ["memory", "patient", "file", *SERVERS]
WRITABLE = [*FILES, "registry", "patient registry"]
READABLE = [*WRITABLE, "nginx"]


class FilePlace:
    """A place of files: where to write them and where to read them, with any key for any bytes."""

    def __init__(self, writing: FileTransport, reading: Transport | None = None) -> None:
        self.writing = writing
        self.reading = reading or writing

    def key(self, data: bytes) -> str:
        """Return the key for these bytes."""
        return f"objects/{Sha256.of(data).hexadecimal[:2]}/{Sha256.of(data).hexadecimal}-x+y@1.json"

    def version(self, number: int) -> tuple[str, bytes]:
        """Return a key, always the same, and one of many contents for it."""
        return KEY, f"version {number}".encode()

    def deletable(self, data: bytes) -> str:
        """Return the key by which a version is deleted."""
        return KEY


class RegistryPlace:
    """A repository: blobs have keys of their own, and manifests are versions of a tag."""

    def __init__(self, transport: WritableTransport) -> None:
        self.writing = transport
        self.reading: Transport = transport
        transport.put(f"blobs/{EMPTY_DESCRIPTOR.digest}", EMPTY_BLOB)

    def key(self, data: bytes) -> str:
        """Return the key for these bytes."""
        return f"blobs/{Sha256.of(data)}"

    def version(self, number: int) -> tuple[str, bytes]:
        """Return a key, always the same, and one of many contents for it."""
        document = ImageManifest(config=EMPTY_DESCRIPTOR, layers=(EMPTY_DESCRIPTOR,), annotations={"n": str(number)})
        return "manifests/tag", document.encode()

    def deletable(self, data: bytes) -> str:
        """Return the key by which a version is deleted."""
        return f"manifests/{Sha256.of(data)}"


Place = FilePlace | RegistryPlace


@pytest.fixture(params=READABLE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place that can be read."""
    with opened(request, tmp_path) as one:
        yield one


@pytest.fixture(params=WRITABLE)
def writable_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place that can be written to."""
    with opened(request, tmp_path) as one:
        yield one


@pytest.fixture(params=FILES)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileTransport]:
    """Each place that can do all that is to be done with files."""
    with opened(request, tmp_path) as one:
        assert isinstance(one, FilePlace)
        yield one.writing


@contextmanager
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Open a place by its name in the lists above."""
    match request.param:
        case "memory":
            yield FilePlace(MemoryTransport())
        case "patient":
            yield FilePlace(RetryingTransport(MemoryTransport()))
        case "file":
            yield FilePlace(folder_at(f"file://{tmp_path}/some%20cache"))
        case "nginx":
            (tmp_path / "cache").mkdir()
            with nginx(tmp_path / "nginx", tmp_path) as url:
                reading = WebTransport(f"{url}/cache/", {}, PATIENT, CancelToken())
                yield FilePlace(folder_at(f"file://{tmp_path}/cache"), reading)
        case "registry" | "patient registry":
            registry: LocalRegistry = request.getfixturevalue("registry")
            url = registry.url(f"contract/{Sha256.of(bytes(tmp_path)).hexadecimal}")
            transport = RegistryTransport(url, {}, PATIENT, CancelToken())
            yield RegistryPlace(transport if request.param == "registry" else RetryingTransport(transport))
        case server:
            bucket: Bucket = request.getfixturevalue("bucket_of")(server)
            yield FilePlace(bucket.transport(f"cache/of {tmp_path.name}"))


def folder_at(url: str) -> FolderTransport:
    """Return the transport for a folder."""
    return FolderTransport(url, {}, PATIENT, CancelToken())
