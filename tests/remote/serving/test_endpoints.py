"""A store offered over HTTP is a cache like any other."""

from __future__ import annotations

import json
import os
import signal
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
from typing import Any

import pytest

from scripts.testing.machine import KEY, fail_fast, machine
from scripts.testing.servers import free_port, running
from scripts.testing.trees import recipe
from vstore.digest import hash_bytes
from vstore.objects import Kind, StorePath
from vstore.remote import write_key
from vstore.remote.file_cache.layout import archive_key, object_key
from vstore.store import Store

pytestmark = pytest.mark.slow


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


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    pytest.importorskip("uvicorn")
    with machine(folder / "builder") as builder:
        paths = builder.add_three()
    write_key(folder / "builder" / "keys", KEY)
    port = free_port()
    command = [sys.executable, "-m", "vstore", "--root", str(folder / "builder"), "serve", "--port", str(port)]
    with running(command, port, cwd=Path(__file__).parents[3]):
        yield Served(f"http://127.0.0.1:{port}", paths)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def asked_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that several tests ask, and nothing else."""
    with serving(tmp_path_factory.mktemp("served")) as one:
        yield one


def test_a_machine_substitutes_from_it(served: Served, tmp_path: Path) -> None:
    with machine(tmp_path / "client") as client:
        found = client.substituter(fail_fast(served.url)).substitute(recipe("top"))
        assert found is not None
        assert client.said.warnings == []
        assert all(client.store.is_valid(path) for path in served.paths)


def test_ranges_and_etags(asked_only: Served) -> None:
    key = archive_key(asked_only.paths[0])
    _, headers, whole = asked_only.get(key)
    status, part_headers, part = asked_only.get(key, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert part_headers["content-range"] == f"bytes 10-19/{len(whole)}"
    assert headers["etag"]
    _, headers, _ = asked_only.get(object_key(asked_only.paths[0]))
    assert asked_only.get(object_key(asked_only.paths[0]), **{"If-None-Match": headers["etag"]})[0] == 304


def test_what_is_not_there_is_404_and_nothing_else_is_served(asked_only: Served) -> None:
    gone = StorePath(asked_only.paths[0].short[::-1], "nothing")
    for key in (object_key(gone), archive_key(gone), "realisations/ab/nonsense.json", "index.sqlite", "keys/x",
                "archives/ab/..%2f..%2findex.sqlite", "archives/ab/%2e%2e"):  # fmt: skip
        assert asked_only.get(key)[0] == 404, key


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
    command = [sys.executable, "-m", "vstore", "--root", str(root), "serve", "--port", str(port), *options]
    with log.open("wb") as file:
        started = running(
            ["sh", "-c", 'ulimit -n 384; exec "$@"', "sh", *command],
            port,
            cwd=Path(__file__).parents[3],
            stdout=file,
            stderr=file,
        )
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


@pytest.mark.fast
@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is not there")
def test_idle_connections_leave_it_answering_and_its_log_short(root: Path, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with served_by(root, tmp_path / "log") as (port, server), ExitStack() as held:
            for _ in range(35):
                server.send_signal(signal.SIGSTOP)  # it finds all of these at once, as beside other work
                for _ in range(32):
                    client = held.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(("127.0.0.1", port))
                server.send_signal(signal.SIGCONT)
                assert health(port) == b"ok\n"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    log = (tmp_path / "log").read_text()
    assert len(log) < 10_000 and "out of system resource" not in log, log[:2000]


@pytest.mark.fast
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
        assert process.wait(60) == 0
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and "interrupted" not in log


def test_a_port_in_use_is_one_line(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "vstore", "--root", str(root), "serve", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=60)
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


def raw(port: int, data: bytes, seconds: float = 20) -> bytes:
    """Return the server's answer to these bytes until it closes, or says nothing more."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(data)
        try:
            while more := client.recv(1 << 16):
                found += more
        except OSError:
            pass
    return found


@pytest.mark.parametrize(
    ("wanted", "status", "spans"),
    [
        ("bytes=0-0", 206, [(0, 1)]),
        ("bytes=-10", 206, [(-10, None)]),
        ("bytes=100-", 206, [(100, None)]),
        ("bytes=0-99999999999999999999999", 206, [(0, None)]),
        ("bytes=20-10", 400, []),
        ("bytes=99999999999-", 416, []),
        ("bytes=0-9,5-14", 206, [(0, 15)]),
        ("bytes=" + ",".join("0-" for _ in range(3000)), None, []),
        ("bytes=" + ",".join(f"{2 * one}-{2 * one}" for one in range(1500)), None, []),
        ("bytes=x-y", None, []),
        ("lines=1-2", None, []),
        ("bytes=" + "9" * 5000 + "-", None, []),
    ],
)
def test_odd_ranges(asked_only: Served, wanted: str, status: int | None, spans: list[tuple[int, int | None]]) -> None:
    key = archive_key(asked_only.paths[0])
    whole = asked_only.get(key)[2]
    found, headers, data = asked_only.get(key, Range=wanted)
    assert found == status or (status is None and found in (200, 206, 400, 416)), headers
    for start, end in spans:
        assert data == whole[start:end]
    assert len(data) <= 2 * len(whole) + 300_000
    assert asked_only.get("healthz")[2] == b"ok\n"


def test_an_archive_is_known_by_its_content(served: Served, tmp_path: Path) -> None:
    key = archive_key(served.paths[0])
    _, headers, whole = served.get(key)
    etag = headers["etag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        assert served.get(key, **{"If-None-Match": given})[0] == 304
    assert served.get(key, **{"If-None-Match": '"x"'})[0] == 200
    file = tmp_path / "builder/cache/archives" / f"{served.paths[0]}.3.tar.zst"
    file.unlink()
    assert served.get(key)[1]["etag"] == etag
    assert served.get(key, **{"If-Range": etag, "Range": "bytes=0-9"})[2] == whole[:10]
    assert served.get(key, **{"If-Range": '"other"', "Range": "bytes=0-9"})[2] == whole
    file.write_bytes(whole[: len(whole) // 2])  # as a power cut may leave it
    assert served.get(key)[2] == whole


def test_head_and_other_methods(asked_only: Served) -> None:
    port = int(asked_only.url.rpartition(":")[2])
    for key in (archive_key(asked_only.paths[0]), object_key(asked_only.paths[0]), "vstore-cache.json"):
        head, _, body = raw(port, f"HEAD /{key} HTTP/1.0\r\n\r\n".encode()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and body == b"", key
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE", "CONNECT", "X" * 300):
            answer = raw(port, f"{method} /{key} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
            assert answer[9:12] in (b"405", b"400", b"404"), (method, answer[:99])


PATHS = [
    "/../index.sqlite", "/archives/../index.sqlite", "/archives/ab/..%2f..%2findex.sqlite", "/%2e%2e/%2e%2e/etc/passwd",
    "/archives/ab/..%5c..%5cindex.sqlite", "//etc/passwd", "/archives//etc/passwd", "/archives/ab/%00.tar.zst",
    "/objects/ab/%0d%0aX: y.json", "/objects/ab/%ff%fe.json", "/objects/ab/" + "a" * 12000 + ".json",
    "/objects/ab/.json", "/archives/ab/.tar.zst", "/objects/ab/\U0001f600.json", "http://other/x", "/" * 9000,
    "/cache/archives/x", "/keys/builder-1.secret", "/config.toml", "/healthz/../keys/x", "*", "/a?" + "b&" * 6000,
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_give_nothing(asked_only: Served, path: str) -> None:
    port = int(asked_only.url.rpartition(":")[2])
    answer = raw(port, b"GET " + path.encode() + b" HTTP/1.0\r\n\r\n")
    assert answer[9:12] in (b"404", b"400", b"405"), answer[:200]
    assert b"root:" not in answer and b"SQLite" not in answer and b"Traceback" not in answer
    assert asked_only.get("healthz")[2] == b"ok\n"


@pytest.mark.fast
def test_what_was_served_is_collected_and_its_archive_with_it(served: Served, tmp_path: Path) -> None:
    """While a client reads the archive, which comes whole."""
    root = tmp_path / "builder"
    with Store.open(root) as store, store.staging("large") as staged:
        (staged / "a").write_bytes(os.urandom(20 << 20))
        large = store.add(staged, name="large", kind=Kind.FRAMEWORK).path
    key, port = archive_key(large), int(served.url.rpartition(":")[2])
    whole = served.get(key)[2]
    assert served.get(object_key(served.paths[0]))[0] == 200
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(f"GET /{key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = client.recv(1000)
        planned = gc(root, "--dry-run")
        done = gc(root)
        assert planned["deletable"] == done["deleted"] and set(done["deleted"]) == set(map(str, (*served.paths, large)))
        assert planned["freed_bytes"] == done["freed_bytes"]
        while more := client.recv(1 << 16):
            data += more
    assert data.partition(b"\r\n\r\n")[2] == whole
    assert list((root / "cache/archives").iterdir()) == []
    assert [served.get(one)[0] for one in (key, object_key(large))] == [404, 404]
    assert list((root / "gcroots/temp").iterdir()) == []


def gc(root: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "vstore", "--root", str(root), "--json", "gc", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=120, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_archives_that_nobody_asks_for_go_and_all_with_the_cache(root: Path, tmp_path: Path) -> None:
    with served_by(root, tmp_path / "log") as (port, _), Store.open(root) as store:
        paths = [info.path for info in store.objects.all()]
        store.add_temp_root(*paths)
        for path in paths:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{archive_key(path)}", timeout=30) as answer:
                answer.read()
        old, fresh, _ = (store.layout.archive(path, 3) for path in paths)
        long_ago = time.time() - 15 * 86400
        os.utime(old, (long_ago, old.stat().st_mtime))
        (old.parent / "what is this").write_text("?")
        place = f"cache/archives/{old.name}"
        for options in (["--dry-run"], []):
            assert sorted(gc(root, *options)["orphans"]) == sorted([place, "cache/archives/what is this"])
        assert not old.exists() and fresh.exists()
        planned, done = gc(root, "--clean-cache", "--dry-run"), gc(root, "--clean-cache")
        assert planned["freed_bytes"] == done["freed_bytes"] and done["freed_bytes"] > 0
        assert list(old.parent.iterdir()) == []
        assert health(port) == b"ok\n"


@pytest.mark.fast
def test_packed_archives_have_a_limit(root: Path, tmp_path: Path) -> None:
    (root / "config.toml").write_text('archives.max_size = "1K"')
    with Store.open(root) as store, served_by(root, tmp_path / "log") as (port, _):
        for info in store.objects.all():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{archive_key(info.path)}", timeout=30) as answer:
                assert answer.read()
            assert [file.name for file in store.layout.archives.iterdir()] == [f"{info.path}.3.tar.zst"]


@pytest.mark.fast
def test_a_signal_ends_what_is_being_packed(root: Path, tmp_path: Path) -> None:
    with Store.open(root) as store, store.staging("large") as staged:
        for number in range(24):
            (staged / str(number)).write_bytes(os.urandom(1 << 20) * 40)
        path = store.add(staged, name="large", kind=Kind.FRAMEWORK).path
    with served_by(root, tmp_path / "log") as (port, process), ThreadPoolExecutor() as pool:
        asked = pool.submit(raw, port, f"GET /{archive_key(path)} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 60)
        while not list((root / "tmp").glob("pack-large-*/.archive*")):
            time.sleep(0.01)
        assert health(port) == b"ok\n"
        process.terminate()
        assert process.wait(60) == 0
        asked.result()
    assert list((root / "cache").glob("archives/*")) == [], "packing did not go on to its end"
    assert not list((root / "tmp").glob("pack-*"))
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_two_servers_on_one_root(root: Path, tmp_path: Path) -> None:
    with served_by(root, tmp_path / "a") as (one, _), served_by(root, tmp_path / "b") as (other, _):
        with Store.open(root) as store:
            keys = [archive_key(info.path) for info in store.objects.all()]
        with ThreadPoolExecutor(16) as pool:
            asked = [(port, key) for key in keys for port in (one, other) for _ in range(10)]
            found = list(pool.map(lambda ask: (ask[1], raw(ask[0], f"GET /{ask[1]} HTTP/1.0\r\n\r\n".encode())), asked))
    assert len({(key, answer.partition(b"\r\n\r\n")[2]) for key, answer in found}) == 3
    assert all(answer.startswith(b"HTTP/1.1 200") for _, answer in found)


def test_serving_while_collections_run(root: Path, tmp_path: Path) -> None:
    """Objects come, are served and go: an answer is whole or none."""
    answers: list[bytes] = []
    with served_by(root, tmp_path / "log") as (port, _), ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            with machine(root) as builder:
                path = builder.add("passing", {"a": b"passing" * 100_000})
            asks = [pool.submit(raw, port, f"GET /{archive_key(path)} HTTP/1.0\r\n\r\n".encode()) for _ in range(30)]
            gc(root)
            answers += [ask.result() for ask in asks]
    assert {answer[9:12] for answer in answers} <= {b"200", b"404"}
    assert len({answer.partition(b"\r\n\r\n")[2] for answer in answers if answer[9:12] == b"200"}) == 1
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("host", "said"), [("192.0.2.1", "cannot listen on"), ("no.such.invalid", "cannot listen on"), ("a" * 70, "")]
)
def test_an_address_that_cannot_be_had_is_one_line(root: Path, host: str, said: str) -> None:
    command = [sys.executable, "-m", "vstore", "--root", str(root), "serve", "--host", host, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {said}") and "--host, such as 127.0.0.1" in done.stderr


@pytest.mark.root
def test_a_port_that_is_not_permitted_is_one_line() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
        pytest.skip("this machine lets everybody have every port")
    code = "import os, encodings.idna; from vstore.remote.serving.server import bind; "
    code += "os.setuid(65534); bind('127.0.0.1', 81)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=60
    )
    assert "UsageError: not permitted to listen on 127.0.0.1:81" in done.stderr


@pytest.mark.fast
def test_requests_do_not_log_logins(root: Path, tmp_path: Path) -> None:
    with served_by(root, tmp_path / "log", "-v") as (port, _):
        raw(port, b"GET /x?token=hunter2 HTTP/1.0\r\n\r\n")
        raw(port, b"GET http://me:hunter2@host/x HTTP/1.0\r\n\r\n")
        raw(port, b"GET /%0d%0aerror:%20forged HTTP/1.0\r\n\r\n")
    log = (tmp_path / "log").read_text()
    assert "hunter2" not in log and "GET /x?token=***" in log
    assert "\nerror: forged" not in log and "error: forged" in log
