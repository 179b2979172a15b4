"""A registry in this process, which takes and gives what the OCI distribution specification says, and keeps no file."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class LoopbackRegistry(ThreadingHTTPServer):
    """Every repository has the same content: `tags` name manifests, `blobs` has manifests and blobs by digest."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.tags: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""

    def url(self, repository: str) -> str:
        """Return the URL of a repository."""
        return f"oci://127.0.0.1:{self.server_address[1]}/{repository}"

    def find(self, path: str) -> bytes | None:
        """Return what lies at the path of a request."""
        kind, _, name = path.rpartition("/")
        if kind.endswith("/tags"):
            return json.dumps({"tags": sorted(self.tags)}).encode()
        found = self.tags.get(name) if kind.endswith("/manifests") else None
        return self.blobs.get(name) if found is None else found

    def put(self, path: str, digest: str, content: bytes) -> None:
        """Keep a manifest, or a blob, whose digest the upload states."""
        name = digest or path.rpartition("/")[2]
        self.blobs[f"sha256:{sha256(content).hexdigest()}"] = content
        if ":" not in name:
            self.tags[name] = content

    def delete(self, path: str) -> bool:
        """Delete a manifest with all its tags. Return False if it is not there."""
        content = self.blobs.pop(path.rpartition("/")[2], None)
        self.tags = {tag: one for tag, one in self.tags.items() if one != content}
        return content is not None


class _Request(BaseHTTPRequestHandler):
    server: LoopbackRegistry
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        content = self.server.find(urlsplit(self.path).path)
        if content is None:
            return self._send(404)
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted is None:
            return self._send(200, content)
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
        if start >= end:
            return self._send(416)
        return self._send(206, content[start:end], f"bytes {start}-{end - 1}/{len(content)}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.send_response(202)
        self.send_header("Location", f"{urlsplit(self.path).path}1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.put(parts.path, parse_qs(parts.query).get("digest", [""])[0], content)
        self._send(201)

    def do_DELETE(self) -> None:
        self._send(202 if self.server.delete(self.path) else 404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _send(self, status: int, content: bytes = b"", place: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if place is not None:
            self.send_header("Content-Range", place)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content)
                self.wfile.flush()


@contextmanager
def loopback_registry() -> Iterator[LoopbackRegistry]:
    """Yield a running registry."""
    server = LoopbackRegistry()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
