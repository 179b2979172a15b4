"""No login of an index is shown or written, however it is given and whatever the server does."""

from __future__ import annotations

import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.flows.private_index import PASSWORD, USER, serving
from tests.flows.test_private_index import by_netrc, by_settings_of_the_user, by_variables, private, written

pytestmark = pytest.mark.slow

Way = Callable[[Path, str], dict[str, str]]


def by_default_index(_: Path, url: str) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": url.replace("://", f"://{USER}:{PASSWORD}@") + "/simple/"}


def by_find_links(_: Path, url: str) -> dict[str, str]:
    return {"UV_FIND_LINKS": url.replace("://", f"://{USER}:{PASSWORD}@") + "/simple/low/"}


def by_find_links_with_a_token(_: Path, url: str) -> dict[str, str]:
    return {"UV_FIND_LINKS": f"{url}/simple/low/?token={PASSWORD}"}


def by_proxy(_: Path, url: str) -> dict[str, str]:
    proxy = url.replace("://", f"://{USER}:{PASSWORD}@")
    return dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), proxy)


def by_proxy_of_the_user(given: Path, url: str) -> dict[str, str]:
    (given / "uv").mkdir()
    (given / "uv/uv.toml").write_text(f'http-proxy = "{url.replace("://", f"://{USER}:{PASSWORD}@")}"\n')
    return {"XDG_CONFIG_HOME": str(given)}


def by_mirror(_: Path, url: str) -> dict[str, str]:
    login = url.replace("://", f"://{USER}:{PASSWORD}@")
    return {"UV_PYTHON_INSTALL_MIRROR": login, "UV_PYTHON_DOWNLOADS": "automatic"}


WAYS = [by_variables, by_netrc, by_settings_of_the_user, by_default_index, by_find_links, by_find_links_with_a_token]
MODES = ["403", "redirecting", "resetting", "401"]
WAYS += [by_proxy, by_proxy_of_the_user, by_mirror]


class _Hostile(BaseHTTPRequestHandler):
    """Refuses, redirects elsewhere or resets, as the server's `mode` says; repeats what it was sent."""

    def do_GET(self) -> None:
        mode = self.server.mode  # type: ignore[attr-defined]
        if mode == "resetting":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        page = f"you sent {self.path} and {self.headers}".encode()
        self.send_response(302 if mode == "redirecting" else int(mode))
        if mode == "redirecting":
            self.send_header("Location", f"http://127.0.0.1:9{self.path}")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def misbehaving(mode: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    server.mode = mode  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("way", "mode"), [(way, MODES[number % len(MODES)]) for number, way in enumerate(WAYS)])
def test_nothing_is_shown_or_written(realised: World, tmp_path: Path, way: Way, mode: str) -> None:
    (tmp_path / "given").mkdir()
    with serving(realised.wheels, login=(USER, PASSWORD)) as index:
        world = private(realised, tmp_path, index.url)
        index.wheels = world.wheels
        said = commands(world, way(tmp_path / "given", index.url))
    shutil.rmtree(tmp_path / "given")
    (tmp_path / "given").mkdir()
    with misbehaving(mode) as url:
        world.spec.write_text(world.spec.read_text().replace(index.url, url))
        said += commands(world, way(tmp_path / "given", url))
    assert PASSWORD not in said, said[max(said.index(PASSWORD) - 1000, 0) :][:2000]
    assert "a bug in vstore" not in said
    assert written(tmp_path) == []


def commands(world: World, variables: dict[str, str]) -> str:
    """All that is said when a layer is locked and realised from an empty cache, however that ends."""
    said = ""
    variables = {"UV_HTTP_RETRIES": "0", **variables}
    for command in (["lock", "--upgrade"], ["realise"]):
        shutil.rmtree(world.root / "cache/uv", ignore_errors=True)
        process = world.start("-vv", "--json", *command, str(world.spec), **variables)
        said += "".join(process.communicate(timeout=300))
        assert process.returncode in (0, 4, 5, 11), said
    return said


@pytest.mark.fast
def test_tokens_that_an_index_gives_are_not_written_into_a_lock(realised: World, tmp_path: Path) -> None:
    with serving(realised.wheels) as index:
        world = private(realised, tmp_path, index.url)
        index.wheels = world.wheels
        index.query = f"?a=1&X-Amz-Signature={PASSWORD}"
        world.run("lock", str(world.spec))
        locks = [file.read_text() for file in (world.spec.parent / "requirements").rglob("pylock.*")]
        assert any("-any.whl?a=1" in lock for lock in locks)
        assert not any(PASSWORD in lock for lock in locks)
        world.run("realise", "--locked", str(world.spec))
    found, _ = world.run("run", "project", "hello")
    assert found.startswith("low 1.0 ")
