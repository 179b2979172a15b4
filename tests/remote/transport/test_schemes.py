"""What every scheme of a URL has in common, whatever place it names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from scripts.testing.servers import free_port, nginx
from tests.remote.buckets import JUDGES, Bucket
from vstore.cancel import Cancelled, CancelToken
from vstore.config.kinds import CACHE_SCHEMES
from vstore.errors import UsageError
from vstore.oci import Sha256
from vstore.remote.transport.protocol import (
    ListingUnsupportedError,
    Transport,
    TransportError,
    WritableTransport,
    listing,
    writable,
)
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
