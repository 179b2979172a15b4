"""A registry that answers what a test scripts, on loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedRegistry(ThreadingHTTPServer):
    """`script` answers each request; `asked` has the method, the path and the headers of each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: Callable[[ScriptedRequest], None]) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedRequest)
        self.script = script
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class ScriptedRequest(BaseHTTPRequestHandler):
    """One request, and how it is answered."""

    server: ScriptedRegistry
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for the head and the body

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        vars(self).pop("content", None)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.server.script(self)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    @cached_property
    def content(self) -> bytes:
        """The body, read when it is first wanted."""
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, **more: str) -> None:
        """Answer with `headers` and more of them, in whose names an underscore is a hyphen."""
        _ = self.content  # the next request follows it
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {}), **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def scripted(
    script: Callable[[ScriptedRequest], None], tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedRegistry]:
    """Yield a running registry."""
    server = ScriptedRegistry(script)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
