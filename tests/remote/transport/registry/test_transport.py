"""A repository of Debian's docker-registry as a transport."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.registries import LocalRegistry
from vstore.cancel import CancelToken
from vstore.errors import UsageError
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, Descriptor, ImageManifest, Sha256, media_types
from vstore.remote.transport.protocol import PATIENT, TransportError
from vstore.remote.transport.registry import RegistryRefusalError, RegistryTransport

DATA = bytes(range(256)) * 1000
BLOB = f"blobs/{Sha256.of(DATA)}"


def open_repository(url: str, **options: str) -> RegistryTransport:
    return RegistryTransport(url, options, PATIENT, CancelToken())


def manifest_of(*contents: bytes, note: str = "") -> bytes:
    """A manifest with these layers and an empty config."""
    layers = tuple(Descriptor.of(media_types.ZSTD_LAYER, one) for one in contents)
    return ImageManifest(config=EMPTY_DESCRIPTOR, layers=layers, annotations={"note": note}).encode()


@pytest.fixture
def repository(registry: LocalRegistry, tmp_path: Path) -> RegistryTransport:
    return open_repository(registry.url(f"test/{tmp_path.name.replace('_', '-').strip('-').lower()}"))


def test_a_manifest_is_named_by_its_tag_and_by_its_digest(repository: RegistryTransport) -> None:
    for content in (DATA, EMPTY_BLOB):
        repository.put(f"blobs/{Sha256.of(content)}", content)
    first, second = manifest_of(DATA), manifest_of(DATA, note="x")
    for document in (first, second):
        repository.put("manifests/tag", document)
    assert repository.get("manifests/tag", limit=9999) == second
    assert repository.get(f"manifests/{Sha256.of(first)}", limit=9999) == first
    assert set(repository.tags()) == {"tag"}
    repository.delete([f"manifests/{Sha256.of(second)}", f"manifests/{Sha256.of(b'')}"])
    assert repository.get("manifests/tag", limit=9999) is None and list(repository.tags()) == []


def test_a_blob_is_uploaded_only_where_it_is_missing(registry: LocalRegistry, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(DATA)
    source = open_repository(registry.url("source"))
    source.put(BLOB, tmp_path / "blob")
    (tmp_path / "blob").write_bytes(b"no longer what its name says")
    source.put(BLOB, tmp_path / "blob")
    mounting = open_repository(registry.url("mounting"), mount_from="nothing/there, source")
    mounting.put(BLOB, tmp_path / "blob")
    assert mounting.get(BLOB, limit=len(DATA)) == DATA
    other = open_repository(registry.url("other"))
    assert not other.mount(BLOB, "nothing/there") and other.head(BLOB) is None
    with pytest.raises(RegistryRefusalError, match="DIGEST_INVALID"):
        other.put(BLOB, tmp_path / "blob")
    assert other.mount(BLOB, "source") and other.get_ranges(BLOB, [(1, 5)]) == [DATA[1:5]]


def test_a_refusal_states_the_code_of_the_registry(repository: RegistryTransport) -> None:
    with pytest.raises(RegistryRefusalError, match="refuses to take manifests/x: HTTP status 400") as error:
        repository.put("manifests/x", manifest_of(b"never uploaded"))
    assert "MANIFEST_BLOB_UNKNOWN" in error.value.codes and "push again" in (error.value.hint or "")
    with pytest.raises(RegistryRefusalError, match="MANIFEST_INVALID") as error:
        repository.put("manifests/x", b'{"schemaVersion": 2, "mediaType": "application/x"}')
    assert "layers in zstd" in (error.value.hint or "")


_MOVE = """
import sys
from pathlib import Path
from scripts.testing.memory import peak_mebibytes
from vstore.remote.transport.schemes import open_transport
url, key, file = sys.argv[1:]
repository, size = open_transport(url), Path(file).stat().st_size
repository.put(key, Path(file))
assert repository.download(key, Path(f"{file}.copy"), limit=size) == size
print(peak_mebibytes())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_large_blob_takes_little_memory(registry: LocalRegistry, tmp_path: Path) -> None:
    file, size = tmp_path / "blob", 256 << 20
    with file.open("wb") as blob:
        blob.truncate(size)
    with file.open("rb") as blob:
        digest = hashlib.file_digest(blob, "sha256").hexdigest()
    command = [sys.executable, "-c", _MOVE, registry.url("large"), f"blobs/sha256:{digest}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout) < 100, "the process alone takes 35 MiB"


@pytest.mark.parametrize("key", ["x", "manifests/", "blobs/tag", "manifests/../x", "blobs/sha256:0", "manifests/a b"])
def test_another_key_is_refused(repository: RegistryTransport, key: str) -> None:
    with pytest.raises(TransportError, match="not a key of a repository"):
        repository.get(key, limit=1)


def test_a_manifest_that_registries_refuse_is_not_sent() -> None:
    nowhere = open_repository("oci://127.0.0.1:9/x")
    with pytest.raises(TransportError, match="larger than the limit of 4194304 bytes"):
        nowhere.put("manifests/x", b" " * ((4 << 20) + 1))
    with pytest.raises(TransportError, match="states no media type"):
        nowhere.put("manifests/x", b"{}")
    with pytest.raises(TransportError, match="deletes by digest"):
        nowhere.delete(["manifests/tag"])


@pytest.mark.parametrize(
    "options",
    [
        {"user": "x"},
        {"username": "x"},
        {"plain_http": "yes"},
        {"mount_from": "https://elsewhere/x"},
    ],
)
def test_a_wrong_option_is_a_mistake(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="option"):
        open_repository("oci://registry.example/x", **options)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("oci://localhost/x", "http"),
        ("oci://127.1.2.3:5000/x", "http"),
        ("oci://[::1]:5000/x", "http"),
        ("oci://192.168.1.1/x", "https"),
        ("oci://localhost.example/x", "https"),
    ],
)
def test_only_this_machine_is_asked_without_tls(url: str, scheme: str) -> None:
    assert open_repository(url).address.startswith(f"{scheme}://")


def test_docker_hub_answers_at_another_host() -> None:
    assert open_repository("oci://docker.io/python").address == "https://registry-1.docker.io/v2/library/python"
