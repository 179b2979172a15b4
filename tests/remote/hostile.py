"""A web server in front of a folder that misbehaves in every way below HTTP's surface that one can, a port for each.

`MODES` maps a name to what is answered. A right answer is one of them, so that a client that takes nothing shows.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_ENDLESS = b"\0" * (1 << 20)


@dataclass
class Exchange:
    """One request: the file that it is for, and the range of it that is wanted."""

    connection: socket.socket
    over: threading.Event
    method: str
    key: str
    content: bytes | None
    wanted: tuple[int, int] | None

    @property
    def data(self) -> bytes:
        start, end = self.wanted or (0, None)
        return (self.content or b"")[start:end]

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def endless(self, data: bytes = _ENDLESS, pause_seconds: float = 0) -> None:
        while not self.over.wait(pause_seconds) if pause_seconds else not self.over.is_set():
            self.send(data)

    def drip(self, data: bytes) -> None:
        for byte in data:
            self.send(bytes([byte]))
            if self.over.wait(0.3):
                return

    def stall(self) -> None:
        self.over.wait(300)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def head(self, *lines: str, length: str | None = "", status: str = "", place: str | None = "") -> bytes:
        """A right head, but for what is given; None leaves a line out."""
        start, _ = self.wanted or (0, 0)
        found = [f"HTTP/1.1 {status or ('206 Part' if self.wanted else '200 OK')}"]
        if length is not None:
            found.append(f"Content-Length: {length or len(self.data)}")
        if self.wanted and place is not None:
            found.append("Content-Range: " + (place or f"bytes {start}-{start + len(self.data) - 1}/{self.size}"))
        return "\r\n".join([*found, *lines, "", ""]).encode("latin-1")

    @property
    def size(self) -> int:
        return len(self.content or b"")

    @property
    def chunked(self) -> bytes:
        return self.head("Transfer-Encoding: chunked", length=None)

    @property
    def chunks(self) -> bytes:
        parts = [self.data[at : at + 1000] for at in range(0, len(self.data), 1000)]
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def _status(text: str, *lines: str) -> Callable[[Exchange], None]:
    return lambda one: one.send(f"HTTP/1.1 {text}\r\n".encode(), *(f"{line}\r\n".encode() for line in lines), b"\r\n")


def _redirect(to: str) -> Callable[[Exchange], None]:
    return lambda one: one.send(one.head(f"Location: {to}", status="302 Found", length="0"))


def _flipped(one: Exchange) -> bytes:
    middle = len(one.data) // 2
    return one.data[:middle] + bytes([one.data[middle] ^ 1]) + one.data[middle + 1 :] if one.data else b""


def _both(*steps: Callable[[Exchange], object]) -> Callable[[Exchange], None]:
    def answer(one: Exchange) -> None:
        for step in steps:
            step(one)

    return answer


RIGHT: Mapping[str, Callable[[Exchange], None]] = {
    "right": lambda one: one.send(one.head(), one.data),
    "chunked without a length": lambda one: one.send(one.chunked, one.chunks, b"0\r\n\r\n"),
    "until it closes": lambda one: one.send(one.head(length=None), one.data),
    "more than its length": lambda one: one.send(
        one.head(), one.data, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    ),
    "redirect to itself elsewhere": lambda one: (
        one.send(one.head(), one.data) if one.key.startswith("x/") else _redirect(f"/x/{one.key}")(one)
    ),
}

WRONG: Mapping[str, Callable[[Exchange], None]] = {
    # bodies
    "endless, an enormous length": _both(lambda one: one.send(one.head(length="9" * 15)), Exchange.endless),
    "endless, a length beyond 64 bits": _both(lambda one: one.send(one.head(length="9" * 30)), Exchange.endless),
    "endless, no length": _both(lambda one: one.send(one.head(length=None)), Exchange.endless),
    "endless chunk": _both(lambda one: one.send(one.chunked, b"7fffffffffffffff\r\n"), Exchange.endless),
    "endless chunks": _both(
        lambda one: one.send(one.chunked), lambda one: one.endless(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
    ),
    "endless chunks of a byte": _both(lambda one: one.send(one.chunked), lambda one: one.endless(b"1\r\nx\r\n" * 999)),
    "endless size of a chunk": _both(lambda one: one.send(one.chunked), lambda one: one.endless(b"0" * 9999)),
    "endless extension of a chunk": _both(
        lambda one: one.send(one.chunked, b"1;"), lambda one: one.endless(b"x" * 9999)
    ),
    "endless trailers": _both(
        lambda one: one.send(one.chunked, one.chunks, b"0\r\n"), lambda one: one.endless(b"a: b\r\n" * 999)
    ),
    "a chunk of negative size": lambda one: one.send(one.chunked, b"-5\r\n", one.data),
    "a chunk of no size": lambda one: one.send(one.chunked, b"zz\r\n", one.data),
    "a chunk cut off": lambda one: one.send(one.chunked, one.chunks[: len(one.chunks) // 2]),
    "no last chunk": lambda one: one.send(one.chunked, one.chunks),
    "cut off": lambda one: one.send(one.head(), one.data[: len(one.data) // 2]),
    "reset": _both(lambda one: one.send(one.head(), one.data[: len(one.data) // 2]), Exchange.reset),
    "shorter than its length": lambda one: one.send(one.head(length=str(len(one.data) + 9)), one.data),
    "its length too short": lambda one: one.send(one.head(length=str(max(len(one.data) - 9, 0))), one.data),
    "a negative length": lambda one: one.send(one.head(length="-1"), one.data),
    "a length in words": lambda one: one.send(one.head(length="many"), one.data),
    "two lengths": lambda one: one.send(one.head("Content-Length: 3"), one.data),
    "length and chunks": lambda one: one.send(one.head("Transfer-Encoding: chunked"), one.data),
    "an unknown coding": lambda one: one.send(one.head("Transfer-Encoding: secret", length=None), one.data),
    "a compressed bomb": lambda one: one.send(one.head("Content-Encoding: gzip", length=None), gzip.compress(_ENDLESS)),
    "a changed byte": lambda one: one.send(one.head(), _flipped(one)),
    "other content": lambda one: one.send(one.head(length="3"), b"abc"),
    "nothing": lambda one: one.send(one.head(length="0")),
    # time
    "silence": Exchange.stall,
    "silence in the head": _both(lambda one: one.send(one.head()[:20]), Exchange.stall),
    "silence in the body": _both(lambda one: one.send(one.head(), one.data[:9]), Exchange.stall),
    "a drip": lambda one: one.drip(one.head() + one.data),
    "a drip in the body": _both(lambda one: one.send(one.head()), lambda one: one.drip(one.data)),
    "a drip in chunks": _both(lambda one: one.send(one.chunked), lambda one: one.endless(b"1\r\nx\r\n", 0.3)),
    "a drip of headers": _both(lambda one: one.send(b"HTTP/1.1 200 OK\r\n"), lambda one: one.endless(b"a: b\r\n", 0.3)),
    # heads
    "endless headers": _both(
        lambda one: one.send(b"HTTP/1.1 200 OK\r\n"), lambda one: one.endless(b"a: " + b"b" * 9999 + b"\r\n")
    ),
    "many headers": lambda one: one.send(one.head(*(f"x{number}: y" for number in range(5000))), one.data),
    "an endless header": _both(
        lambda one: one.send(b"HTTP/1.1 200 OK\r\na: "), lambda one: one.endless(b"b" * 9999)
    ),
    "an endless status": lambda one: one.endless(b"HTTP/1.1 200 " + b"b" * 9999),
    "endless interim answers": lambda one: one.endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "headers that are none": lambda one: one.send(b"HTTP/1.1 200 OK\r\n\0\0: \xff\r\nno colon\r\n\r\n", one.data),
    "another protocol": lambda one: one.send(b"SSH-2.0-OpenSSH_9.6\r\n", one.data),
    "no head": lambda one: one.send(one.data),
    "no such status": _status("999 Odd"),
    "a status in words": _status("OK fine"),
    "closed": lambda one: None,
    "reset at once": Exchange.reset,
    # statuses
    "no content": _status("204 No Content"),
    "not changed": _status("304 Not Modified"),
    "who are you": _status("401 Unauthorized", "Content-Length: 0"),
    "refused": _status("403 Forbidden", "Content-Length: 0"),
    "a proxy that refuses": _status("407 Proxy Authentication Required", "Content-Length: 0"),
    "no such range": _status("416 Range Not Satisfiable", "Content-Length: 0"),
    "too often": _status("429 Too Many Requests", "Retry-After: 999999999", "Content-Length: 0"),
    "down": _both(lambda one: one.send(one.head(status="503 Down", length=None)), Exchange.endless),
    # redirects
    "redirect to itself": lambda one: _redirect(f"/{one.key}")(one),
    "redirects for ever": lambda one: _redirect(f"/x/{one.key}")(one),
    "redirect to another server": _redirect("http://127.0.0.1:9/x"),
    "redirect to a file": _redirect("file:///etc/passwd"),
    "redirect to nothing": _redirect("http://[::bad"),
    "redirect nowhere": _status("302 Found", "Content-Length: 0"),
    # ranges, and right to whom asks for a whole file
    "another range": lambda one: one.send(one.head(place=f"bytes 0-{len(one.data) - 1}/{one.size}"), one.data),
    "a range without a place": lambda one: one.send(one.head(place=None), one.data),
    "a place that is none": lambda one: one.send(one.head(place="bytes x-y/z"), one.data),
    "a place beyond 64 bits": lambda one: one.send(one.head(place=f"bytes {'9' * 40}-{'9' * 41}/*"), one.data),
    "several parts": lambda one: one.send(
        one.head("Content-Type: multipart/byteranges; boundary=x", place=None), b"--x\r\n\r\n", one.data
    ),
    "endless for a range": _both(lambda one: one.send(one.head(status="200 OK", length=None)), Exchange.endless),
}  # fmt: skip

MODES = {**RIGHT, **WRONG}


class Hostile:
    """The ports of the modes; `over` ends what is endless."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.over = threading.Event()
        self._servers: list[socket.socket] = []

    def url(self, mode: str) -> str:
        server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._servers.append(server)
        threading.Thread(target=self._serve, args=(server, MODES[mode]), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    def close(self) -> None:
        self.over.set()
        for server in self._servers:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()

    def _serve(self, server: socket.socket, answer: Callable[[Exchange], None]) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._answer, args=(connection, answer), daemon=True).start()

    def _answer(self, connection: socket.socket, answer: Callable[[Exchange], None]) -> None:
        with suppress(OSError), connection:
            connection.settimeout(20)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                if not (more := connection.recv(4096)):
                    return
                request += more
            answer(self._exchange(connection, request.decode("latin-1")))

    def _exchange(self, connection: socket.socket, request: str) -> Exchange:
        method, path, _ = request.split(" ", 2)
        key = unquote(path).strip("/")
        file = self._folder / key.removeprefix("x/")
        _, found, text = request.lower().partition("range: bytes=")
        start, end = text.split("\r\n")[0].split("-") if found else ("", "")
        wanted = (int(start), int(end) + 1) if found else None
        content = file.read_bytes() if file.is_file() else None
        return Exchange(connection, self.over, method, key, content, wanted)


@contextmanager
def hostile(folder: Path) -> Iterator[Hostile]:
    one = Hostile(folder)
    try:
        yield one
    finally:
        one.close()


def wrong_answers(
    client: str, task: Mapping[str, object], folder: Path, *, right: Mapping[str, object], mebibytes: int
) -> Iterator[tuple[str, str, Any]]:
    """Let a program in a process of its own ask all modes; yield the answers of wrong ones that are no errors.

    Right modes give right answers, within so much memory. The program gets a file with the task, and a folder.
    """
    (folder / "task").write_text(json.dumps(task))
    (folder / "client").mkdir()
    command = [sys.executable, "-c", client, str(folder / "task"), str(folder / "client")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    found = json.loads(done.stdout)
    assert found["peak"] < mebibytes, found["peak"]
    for mode, answers in found["answers"].items():
        for question, answer in answers.items():
            refused = answer == "none" or str(answer).startswith("error: ")
            if mode in RIGHT:
                assert answer == right[question] or (question == "size" and refused), (mode, question, answer)
            elif not refused:
                yield mode, question, answer
