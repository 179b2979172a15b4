"""A store offered over HTTP is a cache like any other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.remote.servers import free_port, running
from tests.remote.small import KEY, hasty, machine
from tests.store.trees import recipe
from vstore.digest import hash_bytes
from vstore.objects import Kind, StorePath
from vstore.remote import write_key
from vstore.remote.layout import archive_key, object_key
from vstore.store import Store


@dataclass
class Served:
    url: str
    paths: tuple[StorePath, StorePath, StorePath]

    def get(self, key: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"{self.url}/{key}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    pytest.importorskip("uvicorn")
    with machine(tmp_path / "builder") as builder:
        paths = builder.add_three()
    write_key(tmp_path / "builder" / "keys", KEY)
    port = free_port()
    command = [sys.executable, "-m", "vstore", "--root", str(tmp_path / "builder"), "serve", "--port", str(port)]
    with running(command, port, cwd=Path(__file__).parents[2]):
        yield Served(f"http://127.0.0.1:{port}", paths)


def test_a_machine_substitutes_from_it(served: Served, tmp_path: Path) -> None:
    with machine(tmp_path / "client") as client:
        found = client.substituter(hasty(served.url)).substitute(recipe("top"))
        assert found is not None
        assert client.said.warnings == []
        assert all(client.store.is_valid(path) for path in served.paths)


def test_ranges_and_etags(served: Served) -> None:
    key = archive_key(served.paths[0])
    _, headers, whole = served.get(key)
    status, part_headers, part = served.get(key, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert part_headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert headers["etag"]
    _, headers, _ = served.get(object_key(served.paths[0]))
    assert served.get(object_key(served.paths[0]), **{"If-None-Match": headers["etag"]})[0] == 304


def test_what_is_not_there_is_404_and_nothing_else_is_served(served: Served) -> None:
    gone = StorePath(served.paths[0].short[::-1], "nothing")
    for key in (object_key(gone), archive_key(gone), "realisations/ab/nonsense.json", "index.sqlite", "keys/x",
                "archives/ab/..%2f..%2findex.sqlite", "archives/ab/%2e%2e"):  # fmt: skip
        assert served.get(key)[0] == 404, key


def test_health_metrics_and_many_at_once(served: Served) -> None:
    assert served.get("healthz")[2] == b"ok\n"
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: served.get(object_key(served.paths[n % 3]))[0], range(300)))
    assert answers == [200] * 300
    text = served.get("metrics")[2].decode()
    assert "vstore_objects 3\n" in text
    assert 'vstore_requests_total{kind="object",status="200"} 300\n' in text


def test_the_store_is_not_locked_while_it_is_served(served: Served, tmp_path: Path) -> None:
    with Store.open(tmp_path / "builder") as store:
        assert store.is_valid(served.paths[0])


@contextmanager
def served_by(root: Path, log: Path, *options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The server with a limit of 384 descriptors, its output in a file."""
    port = free_port()
    command = f"ulimit -n 384; exec {sys.executable} -m vstore --root {root} serve --port {port} {' '.join(options)}"
    with log.open("wb") as file:
        started = running(["sh", "-c", command], port, cwd=Path(__file__).parents[2], stdout=file, stderr=file)
        with started as process:
            yield port, process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pytest.importorskip("uvicorn")
    with machine(tmp_path / "builder") as builder:
        builder.add_three()
    write_key(tmp_path / "builder" / "keys", KEY)
    return tmp_path / "builder"


def health(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        found: bytes = answer.read()
        return found


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is not there")
def test_idle_connections_leave_it_answering_and_its_log_short(root: Path, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with served_by(root, tmp_path / "log") as (port, _), ExitStack() as held:
            for _ in range(1100):
                client = held.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            for _ in range(10):
                assert health(port) == b"ok\n"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    log = (tmp_path / "log").read_text()
    assert len(log) < 10_000 and "out of system resource" not in log, log[:2000]


def test_a_client_that_keeps_it_waiting_is_cut(root: Path, tmp_path: Path) -> None:
    """Nothing sent, a head that drips, silence after an answer, a body that nobody asked for and that drips."""
    starts = [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"]
    starts.append(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n")
    with served_by(root, tmp_path / "log") as (port, _), ExitStack() as held:
        clients = [held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in starts]
        for client, data in zip(clients, starts, strict=True):
            client.sendall(data)
        deadline, open_still = time.monotonic() + 30, list(clients)
        while open_still and time.monotonic() < deadline:
            time.sleep(0.3)
            for client in tuple(open_still):
                try:
                    if client is not clients[0] and client is not clients[2]:
                        client.sendall(b"a")
                    client.settimeout(0.01)
                    if client.recv(1 << 16) == b"":
                        open_still.remove(client)
                except TimeoutError:
                    continue
                except OSError:
                    open_still.remove(client)
        assert open_still == []
        assert health(port) == b"ok\n"


def test_a_reader_that_stands_still_does_not_hold_up_the_end(root: Path, tmp_path: Path) -> None:
    with Store.open(root) as store, store.staging("large") as staged:
        (staged / "a").write_bytes(os.urandom(30 << 20))
        path = store.add(staged, name="large", kind=Kind.FRAMEWORK).path
    with served_by(root, tmp_path / "log") as (port, process), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET /{archive_key(path)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        process.terminate()
        began = time.monotonic()
        assert process.wait(20) == 143
        assert time.monotonic() - began < 10


def test_a_port_in_use_is_one_line(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "vstore", "--root", str(root), "serve", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert done.returncode == 7
    assert f"error: the port is in use: 127.0.0.1:{port}\n  hint: " in done.stderr


def test_names_that_are_made_up_leave_no_temp_roots(root: Path, tmp_path: Path) -> None:
    with served_by(root, tmp_path / "log") as (port, _):
        for number in range(50):
            gone = StorePath(hash_bytes("gone", str(number).encode()).short, "nothing")
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{archive_key(gone)}", timeout=30)
        assert b"nothing" not in b"".join(file.read_bytes() for file in (root / "gcroots" / "temp").iterdir())


def test_requests_are_logged_when_asked_up_to_a_rate(root: Path, tmp_path: Path) -> None:
    with served_by(root, tmp_path / "log", "-v") as (port, _):
        for _ in range(200):
            health(port)
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if "GET /healthz" in line]
    assert 40 <= len(lines) <= 150
