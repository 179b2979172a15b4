"""A package index on loopback: with a login, a certificate of its own authority, or behind a proxy."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "anna", "s3cret-of-anna"


class Index(ThreadingHTTPServer):
    """Serves ``/simple/`` and ``/files/`` of a folder of wheels; `asked` are the paths that were answered."""

    daemon_threads = True

    def __init__(self, wheels: Path, login: tuple[str, str] | None, failures: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wheels, self.login, self.failures = wheels, login, failures
        self.asked: list[str] = []
        self.scheme = "http"
        self.query = ""  # of the links to files

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)  # a proxy is asked for whole URLs
        if self.server.login is not None:
            expected = base64.b64encode(":".join(self.server.login).encode()).decode()
            if self.headers.get("Authorization") != f"Basic {expected}":
                self._answer(401, b"", **{"WWW-Authenticate": 'Basic realm="corp"'})
                return
        if path.startswith("/files/") and self.server.failures:
            self.server.failures -= 1
            self._answer(503, b"")
            return
        self.server.asked.append(path)
        if path.startswith("/simple/"):
            self._answer(200, self._page(path.strip("/").split("/")[-1]), **{"Content-Type": "text/html"})
        elif (file := self.server.wheels / path.rpartition("/")[2]).is_file():
            self._answer(200, file.read_bytes())
        else:
            self._answer(404, b"")

    def _page(self, name: str) -> bytes:
        found = [
            one for one in sorted(self.server.wheels.iterdir()) if one.name.split("-")[0] == name.replace("-", "_")
        ]
        links = (
            f'<a href="/files/{one.name}{self.server.query}#sha256='
            f'{hashlib.sha256(one.read_bytes()).hexdigest()}">{one.name}</a>'
            for one in found
        )
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(
    wheels: Path, *, login: tuple[str, str] | None = None, certificate: Path | None = None, failures: int = 0
) -> Iterator[Index]:
    """An index in a thread; with `failures` the first answers for files are 503."""
    server = Index(wheels, login, failures)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine with its key, and the authority that signed it."""
    now = datetime.now(UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])

    def build(subject: str, public: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        builder = builder if authority else builder.add_extension(names, critical=False)
        return builder.sign(authority_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    root = folder / "authority.pem"
    root.write_bytes(build("tests", authority_key.public_key(), authority=True).public_bytes(pem))
    chain = folder / "server.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(build("127.0.0.1", key.public_key(), authority=False).public_bytes(pem) + private)
    os.chmod(chain, 0o600)
    return chain, root
