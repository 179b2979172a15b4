"""One contract for every transport: what is asked and answered is the same wherever a cache lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from scripts.testing.servers import free_port, nginx
from tests.remote.buckets import JUDGES, SERVERS, Bucket
from vstore.cancel import Cancelled, CancelToken
from vstore.config.kinds import CACHE_SCHEMES
from vstore.errors import UsageError
from vstore.oci import Sha256
from vstore.remote.transport.folder import TEMPORARY, FolderTransport
from vstore.remote.transport.memory import MemoryTransport
from vstore.remote.transport.protocol import (
    PATIENT,
    FileTransport,
    ListingUnsupportedError,
    Transport,
    TransportError,
    WritableTransport,
    listing,
    writable,
)
from vstore.remote.transport.retry import RetryingTransport
from vstore.remote.transport.schemes import TRANSPORTS, open_transport

pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 1000
KEY = "objects/ab/abc-cpython-3.11.7+x@1.json"
URLS: dict[str, str] = {  # by scheme, of places that no test asks
    "file": "file:///nowhere/x",
    "http": "http://127.0.0.1:9/x",
    "https": "https://127.0.0.1:9/x",
    "s3": "s3://bucket/x",
    "gs": "gs://bucket/x",
    "az": "az://container/x",
    "oci": "oci://127.0.0.1:9/x",
}


@dataclass
class Pair:
    """Where to write and where to read the same place."""

    writing: FileTransport
    reading: Transport


@pytest.fixture(scope="module")
def bucket_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Bucket]]:
    """A bucket of each server that is asked for; one server of a kind for all tests."""
    with ExitStack() as stack:

        @cache
        def bucket(server: str) -> Bucket:
            return stack.enter_context(SERVERS[server](tmp_path_factory.mktemp(server)))

        yield bucket


@pytest.fixture(params=["memory", "patient", "file", "nginx", *SERVERS])
def pair(request: pytest.FixtureRequest, tmp_path: Path, bucket_of: Callable[[str], Bucket]) -> Iterator[Pair]:
    match request.param:
        case "memory":
            one = MemoryTransport()
            yield Pair(one, one)
        case "patient":
            wrapped = RetryingTransport(MemoryTransport())
            yield Pair(wrapped, wrapped)
        case "file":
            folder = folder_at(f"file://{tmp_path}/some%20cache")
            yield Pair(folder, folder)
        case "nginx":
            (tmp_path / "cache").mkdir()
            with nginx(tmp_path / "nginx", tmp_path) as url:
                yield Pair(folder_at(f"file://{tmp_path}/cache"), open_transport(f"{url}/cache/"))
        case server:
            bucket = bucket_of(server).transport(f"cache/of {tmp_path.name}")
            yield Pair(bucket, bucket)


def folder_at(url: str) -> FolderTransport:
    return FolderTransport(url, {}, PATIENT, CancelToken())


def test_what_is_put_is_got(pair: Pair, tmp_path: Path) -> None:
    pair.writing.put(KEY, DATA)
    assert pair.reading.get(KEY, limit=len(DATA)) == DATA
    stat = pair.reading.head(KEY)
    assert stat is not None
    assert (stat.key, stat.size_bytes) == (KEY, len(DATA))
    assert pair.reading.download(KEY, tmp_path / "whole", limit=len(DATA)) == len(DATA)
    assert (tmp_path / "whole").read_bytes() == DATA
    pair.writing.put(KEY, b"other")
    assert pair.reading.get(KEY, limit=10) == b"other"


def test_what_is_not_there_is_none(pair: Pair, tmp_path: Path) -> None:
    for _ in range(2):  # before there is anything at all, and after
        assert pair.reading.get(KEY, limit=1) is None
        assert pair.reading.head(KEY) is None
        assert pair.reading.get_ranges(KEY, [(0, 1)]) is None
        assert pair.reading.download(KEY, tmp_path / "whole", limit=1) is None
        pair.writing.delete([KEY])
        pair.writing.put("other", b"")


def test_ranges_are_exact(pair: Pair) -> None:
    pair.writing.put(KEY, DATA)
    ranges = [(0, 1), (1, 1000), (255_999, 256_000), (100, 50_000)]
    assert pair.reading.get_ranges(KEY, ranges) == [DATA[start:end] for start, end in ranges]
    assert pair.reading.get_ranges(KEY, []) == []
    with pytest.raises(TransportError):
        pair.reading.get_ranges(KEY, [(0, 10), (255_999, 256_001)])


def test_nothing_larger_than_allowed_is_read(pair: Pair, tmp_path: Path) -> None:
    pair.writing.put(KEY, DATA)
    with pytest.raises(TransportError, match="larger than the limit of 1000 bytes"):
        pair.reading.get(KEY, limit=1000)
    with pytest.raises(TransportError, match="larger than the limit of 1000 bytes"):
        pair.reading.download(KEY, tmp_path / "whole", limit=1000)


def test_only_one_of_many_creates(pair: Pair) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: pair.writing.create(KEY, str(n).encode()), range(8)))
    assert answers.count(True) == 1
    assert pair.reading.get(KEY, limit=10) == str(answers.index(True)).encode()


def test_a_file_is_put_in_parts(pair: Pair, tmp_path: Path) -> None:
    content = DATA * 80  # 20 MB: more than one part
    (tmp_path / "file").write_bytes(content)
    pair.writing.put(KEY, tmp_path / "file")
    assert pair.reading.get(KEY, limit=len(content)) == content


def test_scanning_and_deleting(pair: Pair) -> None:
    keys = {f"objects/{n % 7}/{n}.json" for n in range(30)}
    for key in keys:
        pair.writing.put(key, key.encode())
    pair.writing.put("objects2/x", b"")
    found = {stat.key: stat.size_bytes for stat in pair.writing.scan("objects")}
    assert found == {key: len(key) for key in keys}
    assert list(pair.writing.scan("nothing")) == []
    pair.writing.delete(["objects/nope", *sorted(keys)[:10], "objects/not"])
    assert {stat.key for stat in pair.writing.scan("objects")} == set(sorted(keys)[10:])


def test_what_is_finished_is_not_unfinished(pair: Pair) -> None:
    pair.writing.put(KEY, DATA)
    pair.writing.put(f"{KEY}#", DATA)
    assert list(pair.writing.unfinished()) == []


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


def test_every_scheme_has_an_example() -> None:
    assert URLS.keys() == TRANSPORTS.keys(), "add a URL of the scheme to URLS"
    assert tuple(TRANSPORTS) == CACHE_SCHEMES, "add the scheme to CACHE_SCHEMES in vstore/config/kinds.py"


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_a_stop_ends_every_question(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one that is set before; test_interrupted.py sets one during a request."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "nobody")
    cancel = CancelToken()
    cancel.set()
    key = f"blobs/{Sha256.of(DATA)}" if scheme == "oci" else KEY
    questions: list[Callable[[Transport], object]] = [
        lambda place: place.get(key, limit=1),
        lambda place: place.head(key),
        lambda place: place.get_ranges(key, [(0, 1)]),
        lambda place: place.download(key, tmp_path / "whole", limit=1),
        lambda place: writable(place).put(key, DATA),
        lambda place: writable(place).delete([key]),
    ]
    stopped = open_transport(URLS[scheme], cancel=cancel)
    for question in questions if isinstance(stopped, WritableTransport) else questions[:4]:
        with pytest.raises(Cancelled):
            question(stopped)


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_an_unknown_option_is_refused(scheme: str) -> None:
    """At the latest by the first request, and before it is sent."""
    with pytest.raises(UsageError, match="option"):
        open_transport(URLS[scheme], {"no_such_option": "1"}).head("k")


@pytest.mark.parametrize("scheme", TRANSPORTS)
def test_a_login_does_not_show(scheme: str) -> None:
    """In the URL, or in what is said where the URL of such a place has none."""
    url = URLS[scheme].replace("://", "://user:secret@", 1) + "?token=secret"
    try:
        shown = open_transport(url).url
    except UsageError as error:
        shown = str(error)
    assert "secret" not in shown


def test_more_than_one_page_is_listed(pair: Pair) -> None:
    """S3 gives 1000 keys at a time, Azure 5000."""
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda n: pair.writing.put(f"pages/{n}", b"x"), range(1100)))
    assert {stat.key for stat in pair.writing.scan("pages")} == {f"pages/{n}" for n in range(1100)}
    pair.writing.delete(f"pages/{n}" for n in range(1100))
    assert list(pair.writing.scan("pages")) == []


def test_many_at_once(pair: Pair) -> None:
    for n in range(128):
        pair.writing.put(f"many/{n}", str(n).encode())
    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda n: pair.reading.get(f"many/{n}", limit=10), range(128)))
    assert found == [str(n).encode() for n in range(128)]


@pytest.mark.parametrize("server", JUDGES)
def test_a_wrong_secret_is_refused_at_once(bucket_of: Callable[[str], Bucket], server: str, tmp_path: Path) -> None:
    """It is neither "not there" nor something to ask again for, and the secret is not in what is said."""
    refused = bucket_of(server).refused()
    questions: list[Callable[[], object]] = [
        lambda: refused.get(KEY, limit=1),
        lambda: refused.head(KEY),
        lambda: refused.get_ranges(KEY, [(0, 1)]),
        lambda: refused.download(KEY, tmp_path / "whole", limit=1),
        lambda: refused.put(KEY, DATA),
        lambda: refused.create(KEY, DATA),
        lambda: list(refused.scan("objects")),
        lambda: refused.delete([KEY]),
        lambda: refused.delete([KEY, f"{KEY}2"]),
    ]
    for question in questions:
        with pytest.raises(TransportError, match="refused: HTTP status 403") as error:
            question()
        assert not error.value.transient
        assert "another" not in error.value.message


def test_a_web_server_is_not_asked_for_a_list() -> None:
    with pytest.raises(ListingUnsupportedError, match="files cannot be listed there: http"):
        listing(open_transport("http://127.0.0.1:9/x"))


def test_secrets_do_not_show() -> None:
    assert open_transport("https://user:secret@host.example/x?token=secret").url == "https://host.example/x"


def test_what_is_no_transport_is_refused() -> None:
    with pytest.raises(UsageError, match="not a cache URL"):
        open_transport("ftp://host.example/x")


def test_a_closed_port_is_a_transient_error_at_once() -> None:
    with pytest.raises(TransportError, match="connection refused") as error:
        open_transport("http://127.0.0.1:9/x").get("k", limit=1)
    assert error.value.transient


def test_a_certificate_that_nobody_trusts_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same server is a cache to whoever trusts its certificate."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "k").write_bytes(DATA)
    certificate = make_certificate(tmp_path)
    port = free_port()
    extra = f"listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};"
    with nginx(tmp_path / "nginx", tmp_path, extra=extra):
        with pytest.raises(TransportError, match="its certificate is not trusted"):
            open_transport(f"https://127.0.0.1:{port}/cache").get("k", limit=len(DATA))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = open_transport(f"https://127.0.0.1:{port}/cache")
        assert trusting.get("k", limit=len(DATA)) == DATA
        assert trusting.get_ranges("k", [(5, 9), (10, 30)]) == [DATA[5:9], DATA[10:30]]


def make_certificate(folder: Path) -> Path:
    """A file with a key and a certificate of 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return file
