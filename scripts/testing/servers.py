"""Real servers for the tests, each on a loopback port of its own, ended with the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}")
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


@contextmanager
def running(
    command: list[str], port: int, *, end: signal.Signals = signal.SIGTERM, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process group of its own, gone at the end."""
    process = subprocess.Popen(command, start_new_session=True, **options)  # type: ignore[call-overload]
    try:
        wait_for(port, process)
        yield process
    finally:
        with suppress(ProcessLookupError):  # the test has ended it
            os.killpg(process.pid, end)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


_NGINX = """\
daemon off;
worker_processes 2;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {place}/access.log;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    sendfile on;
    tcp_nopush on;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        {extra}
    }}
}}
"""


@contextmanager
def nginx(place: Path, root: Path, *, extra: str = "") -> Iterator[str]:
    """Debian's nginx in front of a folder; yields its URL."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    place.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(place=place, port=port, root=root, extra=extra))
    if os.geteuid() == 0:  # its workers run as somebody else, who must be let in
        config.write_text(f"user root;\n{config.read_text()}")
    with running([NGINX, "-c", str(config), "-p", str(place), "-e", str(place / "error.log")], port):
        yield f"http://127.0.0.1:{port}"
