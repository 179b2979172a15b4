"""A web server in front of a folder that lies in every way that one can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


class Liar:
    """`mode` says how it lies, `only` about what; `requests` counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mode = "honest"
        self.only = ""
        self.requests: list[str] = []
        self.released = threading.Event()
        self.url = ""

    def lie(self, mode: str, only: str = "") -> None:
        self.mode, self.only = mode, only
        self.requests.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    liar: Liar

    def log_message(self, format: str, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._answer()

    def _answer(self) -> None:
        liar, place = self.liar, unquote(self.path).strip("/")
        liar.requests.append(place)
        mode = liar.mode if place.startswith(liar.only) else "honest"
        file = liar.folder / place
        if mode == "500":
            return self._send(500, b"sorry " * 100)
        if mode == "slow":
            time.sleep(0.5)
        if not file.is_file():
            return self._send(404, b"not here")
        data = file.read_bytes()
        if mode == "wrong":
            middle = len(data) // 2  # a third of an object's record is about digests that no client relies on
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        wanted = self.headers.get("Range")
        if wanted and mode != "no ranges":
            first, last = wanted.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last) + 1, len(data))
            if mode.startswith("half") and len(data) // 2 <= start < len(data) - (1 << 20):
                self.close_connection = True
                if mode == "half":
                    liar.released.wait(60)
                return None
            if mode == "other range":
                start, end = 0, end - start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(data)}")
            data = data[start:end]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", "Mon, 06 May 2024 07:08:09 GMT")
        self.end_headers()
        if self.command == "HEAD":
            return None
        return self._body(mode, data)

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self, mode: str, data: bytes) -> None:
        match mode:
            case "truncate":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            case "stall":
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                self.liar.released.wait(60)
                self.close_connection = True
            case "drip":
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if self.liar.released.wait(0.5):
                        break
                self.close_connection = True
            case _:
                self.wfile.write(data)


@contextmanager
def liar(folder: Path) -> Iterator[Liar]:
    one = Liar(folder)
    handler = type("Handler", (_Handler,), {"liar": one})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield one
    finally:
        one.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
