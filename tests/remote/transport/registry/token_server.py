"""A token server for docker-registry: it signs real tokens, for the user of the tests alone."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from scripts.testing.registries import PASSWORD, USER, LocalRegistry, docker_registry

ISSUER, SERVICE = "tests", "registry of the tests"
IDENTITY = "identity+of/anna"
_BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


class TokenServer(ThreadingHTTPServer):
    """`asked` has the parameters of each request. `seconds` is the time of a token; `page` is answered instead of one.

    `anonymous` gives tokens to everybody; `only` are the actions that it grants.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Mapping[str, list[str]]] = []
        self.seconds = 300
        self.page: bytes | None = None
        self.anonymous = False
        self.only: tuple[str, ...] = ("pull", "push", "delete")
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token"

    def token(self, scopes: list[str]) -> str:
        """Return a token for the scopes, in the form that distribution 2.8 verifies."""
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": [a for a in actions.split(",") if a in self.only]})
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": str(now), "iat": now, "nbf": now - 5}
        chain = [base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()]
        parts = ({"typ": "JWT", "alg": "ES256", "x5c": chain}, {**claims, "exp": now + self.seconds, "access": access})
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        self._answer(parse_qs(urlsplit(self.path).query), self.headers.get("Authorization") == _BASIC)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        scopes = [one for text in form["scope"] for one in text.split()]
        self._answer({**form, "scope": scopes}, form["refresh_token"] == [IDENTITY])

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, asked: Mapping[str, list[str]], is_known: bool) -> None:
        self.server.asked.append(asked)
        if not is_known and not self.server.anonymous:
            return self._send(401, f"you sent {self.headers} and {asked}".encode())
        assert asked["service"] == [SERVICE]
        document = {"token": self.server.token(asked["scope"]), "expires_in": self.server.seconds}
        return self._send(200, self.server.page or json.dumps(document).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def registry_with_tokens(place: Path) -> Iterator[tuple[LocalRegistry, TokenServer]]:
    """Yield a registry that believes a token server, and that server."""
    place.mkdir(parents=True, exist_ok=True)
    server = TokenServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    (place / "roots.pem").write_bytes(server.certificate.public_bytes(Encoding.PEM))
    auth = {
        "token": {
            "realm": server.url,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(place / "roots.pem"),
        }
    }
    try:
        with docker_registry(place, auth=auth) as registry:
            yield registry, server
    finally:
        server.shutdown()
        server.server_close()
