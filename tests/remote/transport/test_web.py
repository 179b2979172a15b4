"""A web server that gives too much, or gives it too slowly, costs neither memory nor patience."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from vstore.remote.transport.protocol import PATIENT, TransportError
from vstore.remote.transport.schemes import open_transport

_MIB = 1 << 20


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection: read the request's head, then give it to `answer`. The URL of the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection, suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(60)


def test_an_answer_is_read_no_further_than_it_was_asked_for() -> None:
    sent_mib = []

    def give_much(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n\r\n")
        for _ in range(64):
            connection.sendall(bytes(_MIB))
            sent_mib.append(1)

    with answering(give_much) as url:
        assert open_transport(url).get_ranges("archives/x", [(0, 10)]) == [bytes(10)]
    assert len(sent_mib) < 64, "the client went away"


def test_a_request_ends_when_its_time_is_over() -> None:
    """The server never pauses long, and would give all in the end."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            ended.wait(0.1)
            connection.sendall(b"x")

    with answering(drip) as url:
        with pytest.raises(TransportError):
            open_transport(url, limits=PATIENT.within(0.5)).get("objects/x.json", limit=1000)
        ended.set()
