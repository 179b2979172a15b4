"""Waiting for a scheduler: one that starts later, one that is silent, one that closes connections, and TLS."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from scripts.testing.certificates import Authority
from vstore.cluster.client.reach import wait_for_scheduler
from vstore.cluster.security import TlsFiles
from vstore.errors import ClusterError

PATIENCE_SECONDS = 20.0


@contextmanager
def listening(answer: Callable[[socket.socket], object], port: int = 0) -> Iterator[str]:
    """Answer each connection in a thread. Yield the URL."""

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

        def process_request(self, request: object, client_address: object) -> None:
            assert isinstance(request, socket.socket)
            answer(request)

    with Server(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def greet(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"hello")


def test_a_scheduler_that_is_starting_is_waited_for_and_told_once() -> None:
    with listening(greet) as url:
        wait_for_scheduler(url, None, PATIENCE_SECONDS, lambda text: pytest.fail(text))
    told: list[str] = []
    begun = threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        begun.set()

    waiting = threading.Thread(target=wait_for_scheduler, args=(url, None, PATIENCE_SECONDS, tell))
    waiting.start()
    assert begun.wait(PATIENCE_SECONDS)
    with listening(greet, int(url.rpartition(":")[2])):
        waiting.join(PATIENCE_SECONDS)
    assert not waiting.is_alive()
    assert [one.startswith(f"no scheduler answers at {url}: ") for one in told] == [True]


def test_what_does_not_greet_is_no_scheduler() -> None:
    silent: list[socket.socket] = []
    for answer, reason in ((silent.append, "it is silent"), (socket.socket.close, "it closes connections")):
        with listening(answer) as url, pytest.raises(ClusterError, match=f"within 0.4 s: {reason}\n"):
            wait_for_scheduler(url, None, 0.4, lambda text: None)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca)
    context.check_hostname = False
    context.load_cert_chain(files.cert, files.key)
    return context


def test_tls_that_fails_is_told_at_once(tmp_path: Path) -> None:
    for name in ("own", "strange"):
        (tmp_path / name).mkdir()
    own, strange = (Authority(tmp_path / name).issue("machine") for name in ("own", "strange"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)

    def greet_with_tls(connection: socket.socket) -> None:
        with suppress(OSError):
            greet(context.wrap_socket(connection, server_side=True))

    with listening(greet_with_tls) as url:
        wait_for_scheduler(url, client_context(own), PATIENCE_SECONDS, lambda text: pytest.fail(text))
        with pytest.raises(ClusterError, match="fails: certificate verify failed"):
            wait_for_scheduler(url, client_context(strange), PATIENCE_SECONDS, lambda text: pytest.fail(text))
    with listening(greet) as url, pytest.raises(ClusterError, match="fails: wrong version number"):
        wait_for_scheduler(url, client_context(own), PATIENCE_SECONDS, lambda text: pytest.fail(text))
