"""Logins of caches: each way to give one works, and none is shown or written, whatever the server does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, fail_fast, folder_cache, machine
from scripts.testing.trees import recipe
from tests.remote.guarded import QUOTED, SECRET, USER, LoginServer, guarded, leaks
from vstore.objects import StorePath
from vstore.remote.sync.negative_cache import NegativeCache
from vstore.remote.transport.protocol import AccessDeniedError, ThrottledError, TransportError
from vstore.remote.transport.schemes import open_transport

Way = Callable[[str, Path], tuple[str, dict[str, str], str]]


@dataclass
class Place:
    """A cache behind a server that wants a login, and where commands are run."""

    server: LoginServer
    other: LoginServer
    folder: Path
    path: StorePath

    def run(self, *arguments: str, config: str = "", **variables: str) -> tuple[int, bytes]:
        root = self.folder / "client"
        root.mkdir(exist_ok=True)
        (root / "config.toml").write_text(f'trusted_keys = ["{KEY.public}"]\n{config}')
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and key != "NETRC"}
        environment = {**kept, "HOME": str(self.folder / "home"), **variables}
        command = [sys.executable, "-m", "vstore", "--root", str(root), *arguments]
        done = subprocess.run(
            command, capture_output=True, env=environment, cwd=Path(__file__).parents[3], timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    cache = tmp_path / "cache"
    with machine(tmp_path / "builder") as builder:
        top = builder.add_three()[-1]
        builder.push(folder_cache(cache), top)
    with guarded(cache) as (server, other):
        yield Place(server, other, tmp_path, top)


def by_url(url: str, _: Path) -> tuple[str, dict[str, str], str]:
    return url.replace("://", f"://{USER}:{QUOTED}@"), {}, ""


def by_token(url: str, _: Path) -> tuple[str, dict[str, str], str]:
    return f"{url}?token={QUOTED}", {}, ""


def by_netrc(url: str, folder: Path) -> tuple[str, dict[str, str], str]:
    (folder / "given").mkdir(exist_ok=True)
    (folder / "given/netrc").write_text(f"machine 127.0.0.1 login {USER} password {SECRET}\n")
    return url, {"NETRC": str(folder / "given/netrc")}, ""


def by_config(url: str, _: Path) -> tuple[str, dict[str, str], str]:
    login = url.replace("://", f"://{USER}:{QUOTED}@")
    return "corp", {}, f'[caches]\ncorp = "{login}"\n'


def by_proxy(url: str, _: Path) -> tuple[str, dict[str, str], str]:
    """The server is the proxy too, whose login opens nothing: all is refused."""
    return "http://cache.invalid", {"http_proxy": url.replace("://", f"://{USER}:{QUOTED}@")}, ""


WAYS = [by_url, by_token, by_netrc, by_config]
MODES = ["up", "401", "403", "407", "503", "redirecting", "resetting"]


@pytest.mark.parametrize("way", [*WAYS, by_proxy])
@pytest.mark.slow
def test_no_login_is_shown_or_written(place: Place, way: Way) -> None:
    cache, variables, config = way(place.server.url, place.folder)
    said = b""
    for mode in MODES if way is by_url else ["up", "401", "redirecting"]:
        place.server.mode = mode
        for command in (["pull", cache, str(place.path)], ["cache", "verify", cache]):
            code, text = place.run("-vv", "--json", *command, config=config, **variables)
            works = mode == "up" and command[0] == "pull" and way is not by_proxy
            assert code == (0 if works else 10), (mode, command, text.decode())
            said += text
    assert leaks(said, place.folder) == []
    elsewhere = [headers for _, headers in place.other.asked]
    assert not any("Authorization" in headers for headers in elsewhere)


@pytest.mark.parametrize("arguments", [["pull", "URL", "stable"], ["pull", "URL", "--bad"], ["gc", "URL"]])
@pytest.mark.parametrize(
    "url",
    [
        f"ftp://{USER}:{SECRET}@host/x",
        f"http://{USER}:{SECRET}@[::bad/x",
        f"http://{USER}:{SECRET}@host:port/x",
        f"file://{USER}:{QUOTED}@host/x",
        f"s3://{USER}:{QUOTED}@bucket/x",
        f"s3://bucket/x?X-Amz-Signature={QUOTED}",
        f"az://container/x?sv=1&sig={QUOTED}",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_login(place: Place, url: str, arguments: list[str]) -> None:
    code, text = place.run("-vv", *[url if one == "URL" else one for one in arguments])
    assert code in (2, 13), text.decode()
    assert leaks(text) == [] and b"a bug in vstore" not in text, text.decode()


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://{USER}:a{character}{QUOTED}@host/x" for character in (" ", "\t", "\n", '"', "<", "`", "\\")),
        f"https://{QUOTED} {USER}@host/x",
        f"https://{USER}:{QUOTED}",
        f"https:/{USER}:{QUOTED}@host/x",
        f"http:{USER}:{QUOTED}@host/x",
        f"http//{USER}:{QUOTED}@host/x",
        f"//{USER}:{QUOTED}@host/x",
        f"{USER}:{QUOTED}@host/x",
    ],
)
def test_what_is_nearly_a_url_is_refused_without_being_repeated(place: Place, url: str) -> None:
    for arguments in (["pull", url, "stable"], ["cache", "verify", url]):
        code, text = place.run("-vv", *arguments)
        assert code == 2, text.decode()
        assert leaks(text, place.folder) == [] and b"a bug in vstore" not in text, text.decode()


def test_options_of_a_cache_are_not_repeated(place: Place) -> None:
    config = f'[caches.corp]\nurl = "s3://b/x"\noptions = {{ aws_secret_access_key = "{SECRET}", region = 5 }}\n'
    code, text = place.run("-vv", "pull", "corp", "stable", config=config)
    assert code == 2 and leaks(text) == [], text.decode()


def test_a_netrc_file_that_is_none_is_not_repeated(place: Place) -> None:
    (place.folder / "given").mkdir()
    (place.folder / "given/netrc").write_text(f"machine 127.0.0.1 {SECRET}\n")
    code, text = place.run("-vv", "pull", place.server.url, "stable", NETRC=str(place.folder / "given/netrc"))
    assert code == 10 and b"netrc file cannot be read" in text, text.decode()
    assert leaks(text) == []


def test_a_redirect_never_leads_from_tls_into_the_open(tmp_path: Path) -> None:
    from tests.flows.private_index import make_certificate

    certificate, authority = make_certificate(tmp_path)
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with guarded(tmp_path) as (server, other):
        server.mode = "redirecting"
        server.socket = context.wrap_socket(server.socket, server_side=True)
        code = (
            "import sys; from vstore.remote.transport.schemes import open_transport\n"
            "open_transport(sys.argv[1], {'redirects': 'anywhere'}).get('a', limit=9)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, server.url.replace("http:", "https:")],
            env={**os.environ, "SSL_CERT_FILE": str(authority)},
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[3],
            timeout=60,
            check=False,
        )
        assert "redirects from https to http" in done.stderr
        assert other.asked == []


@pytest.mark.parametrize("status", ["401", "403", "407"])
def test_refused_is_told_as_such_and_not_remembered(place: Place, status: str) -> None:
    place.server.mode = status
    with pytest.raises(AccessDeniedError, match=f"refused: HTTP status {status}"):
        open_transport(place.server.url).get("vstore-cache.json", limit=999)
    url = place.server.url.replace("://", f"://{USER}:{QUOTED}@")
    with machine(place.folder / "client") as client:
        for _ in range(2):
            substituter = client.substituter(fail_fast(url))
            assert substituter.find([recipe("top"), recipe("mid"), recipe("low")]) == {}
        said = f"{place.server.url}: access to {place.server.url} is refused: HTTP status {status}"
        assert client.said.warnings == [said] * 2
        assert not (client.store.layout.root / "cache/remote").exists()
        place.server.mode = "up"
        assert client.substituter(fail_fast(url)).substitute(recipe("top")) == place.path


@pytest.mark.parametrize("status", ["429", "503"])
def test_busy_is_asked_again_after_the_time_that_it_says(place: Place, status: str) -> None:
    place.server.mode = status
    with pytest.raises(ThrottledError, match="asks for a pause of 1 s") as error:
        open_transport(place.server.url).get("vstore-cache.json", limit=999)
    assert error.value.wait_seconds == 1
    with machine(place.folder / "client") as client:
        assert client.substituter(fail_fast(place.server.url)).find([recipe("top")]) == {}
        assert client.said.warnings[0].endswith(f"is busy: HTTP status {status}; it asks for a pause of 1 s")
        assert (place.server.url, "down") in NegativeCache(client.store.layout.root / "cache/remote")


def test_what_is_not_there_is_no_refusal(place: Place) -> None:
    place.server.mode = "open"
    assert open_transport(place.server.url).get("nothing", limit=9) is None
    place.server.mode = "redirecting"
    with pytest.raises(TransportError, match="redirects to another server"):
        open_transport(place.server.url).get("nothing", limit=9)
