"""A web server in front of a cache that lets in who has the login, or misbehaves; and another server beside it."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

USER, SECRET = "anna", "s3cret/of+anna"  # a slash has to be encoded in a URL
QUOTED = "s3cret%2Fof%2Banna"
SECRETS = ("s3cret", base64.b64encode(f"{USER}:{SECRET}".encode()).decode())


class LoginServer(ThreadingHTTPServer):
    """`mode` is ``up``, or how it misbehaves; `asked` are path and headers of each request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.mode = "up"
        self.elsewhere = ""
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: LoginServer

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._answer()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        server.asked.append((self.path, dict(self.headers)))
        if server.mode in ("401", "403", "407", "429", "503"):
            page = f"you sent {self.path} and {self.headers}".encode()
            return self._send(int(server.mode), page, **{"Retry-After": "1"})
        if server.mode == "redirecting":
            return self._send(302, b"", Location=server.elsewhere + self.path)
        if server.mode == "resetting":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return None
        expected = f"Basic {base64.b64encode(f'{USER}:{SECRET}'.encode()).decode()}"
        token = parse_qs(parts.query).get("token", [""])[0]
        if self.headers.get("Authorization") != expected and token != SECRET and server.mode != "open":
            return self._send(401, b"who are you", **{"WWW-Authenticate": 'Basic realm="corp"'})
        file = server.folder / unquote(parts.path).lstrip("/")
        return self._send(200, file.read_bytes()) if file.is_file() else self._send(404, b"")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[LoginServer, LoginServer]]:
    """The server, and another one to which it redirects."""
    servers = LoginServer(folder), LoginServer(folder)
    servers[0].elsewhere, servers[1].mode = servers[1].url, "open"
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield servers
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def leaks(text: bytes, folder: Path | None = None) -> list[str]:
    """Find a secret in a text, or in the files below a folder but those called ``given``."""
    wanted = [secret.encode() for secret in SECRETS]
    found = ["text"] if any(secret in text for secret in wanted) else []
    for file in folder.rglob("*") if folder else ():
        if file.is_file() and not file.is_symlink() and "given" not in file.parts and file.name != "config.toml":
            data = file.read_bytes()
            found += [str(file)] if any(secret in data for secret in wanted) else []
    return found
