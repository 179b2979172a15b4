"""A bucket whose listing never ends is an error in one line, in less than 300 MiB."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

_PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>b</Name><Prefix></Prefix><KeyCount>1000</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>more</NextContinuationToken>{contents}</ListBucketResult>"
)
_ENTRY = (
    "<Contents><Key>objects/{number:060}.json</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
_CLIENT = r"""
import sys
from scripts.testing.memory import peak_mebibytes
from vstore.remote.transport.schemes import open_transport
from vstore.remote.transport.protocol import TransportError
options = {"endpoint": sys.argv[1], "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
try:
    print(sum(1 for _ in open_transport("s3://b", options).scan("objects")))
except TransportError as error:
    print(error.message)
print(peak_mebibytes())
"""


class _Endless(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    page = _PAGE.format(contents="".join(_ENTRY.format(number=number) for number in range(5000))).encode()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_a_listing_without_end_is_an_error() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            command = [sys.executable, "-c", _CLIENT, f"http://127.0.0.1:{server.server_port}"]
            done = subprocess.run(
                command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True, timeout=300
            )
        finally:
            server.shutdown()
    said, peak = done.stdout.splitlines()
    assert said.endswith("lists more than 500000 entries") and int(peak) < 300, done.stdout
