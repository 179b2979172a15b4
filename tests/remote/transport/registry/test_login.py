"""Logins to registries: each way to give one works, tokens are shared and renewed, and no secret is shown."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from scripts.testing.registries import PASSWORD, USER, LocalRegistry, registry_with_passwords
from tests.remote.transport.registry.scripted import ScriptedRequest, scripted
from tests.remote.transport.registry.test_transport import BLOB, DATA, manifest_of, open_repository
from tests.remote.transport.registry.token_server import IDENTITY, TokenServer, registry_with_tokens
from vstore.oci import EMPTY_BLOB, EMPTY_DESCRIPTOR, Sha256
from vstore.remote.transport.protocol import AccessDeniedError, TransportError
from vstore.remote.transport.registry import RegistryTransport

AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, AUTH, IDENTITY)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any login."""
    for name in ("NETRC", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    with registry_with_passwords(tmp_path_factory.mktemp("passwords")) as registry:
        yield registry


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalRegistry, TokenServer]]:
    with registry_with_tokens(tmp_path_factory.mktemp("tokens")) as found:
        yield found


@pytest.fixture
def tokens(with_tokens: tuple[LocalRegistry, TokenServer]) -> Iterator[tuple[LocalRegistry, TokenServer]]:
    """The registry with tokens, and its token server as it is at first."""
    server = with_tokens[1]
    server.asked.clear()
    yield with_tokens
    server.seconds, server.page, server.anonymous, server.only = 300, None, False, ("pull", "push", "delete")


def write(file: Path, document: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def by_docker(host: str, home: Path, _: pytest.MonkeyPatch) -> None:
    write(home / ".docker/config.json", {"auths": {f"http://{host}/v2/": {"auth": AUTH}}})


def by_docker_config(host: str, home: Path, setting: pytest.MonkeyPatch) -> None:
    setting.setenv("DOCKER_CONFIG", str(home / "given"))
    write(home / "given/config.json", {"auths": {host: {"username": USER, "password": PASSWORD}}})


def by_podman(host: str, home: Path, setting: pytest.MonkeyPatch) -> None:
    setting.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    write(home / "run/containers/auth.json", {"auths": {host: {"auth": AUTH}}})


def by_auth_file(host: str, home: Path, setting: pytest.MonkeyPatch) -> None:
    """The login for the repository is the one, not that of the host."""
    setting.setenv("REGISTRY_AUTH_FILE", str(home / "auth.json"))
    other = base64.b64encode(b"other:other").decode()
    write(home / "auth.json", {"auths": {host: {"auth": other}, f"{host}/team": {"auth": AUTH}}})


def by_helper(host: str, home: Path, setting: pytest.MonkeyPatch) -> None:
    add_helper(home, setting, f"echo \"$server\" | grep -qx {host} && echo '{json.dumps(answer(USER, PASSWORD))}'")
    write(home / ".docker/config.json", {"credHelpers": {host: "tests"}})


def by_store(host: str, home: Path, setting: pytest.MonkeyPatch) -> None:
    by_helper(host, home, setting)
    write(home / ".docker/config.json", {"auths": {host: {}}, "credsStore": "tests"})


def by_netrc(host: str, home: Path, _: pytest.MonkeyPatch) -> None:
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")


WAYS = [by_docker, by_docker_config, by_podman, by_auth_file, by_helper, by_store, by_netrc]
Way = Callable[[str, Path, pytest.MonkeyPatch], None]


def answer(user: str, secret: str) -> dict[str, str]:
    return {"ServerURL": "x", "Username": user, "Secret": secret}


def add_helper(home: Path, setting: pytest.MonkeyPatch, script: str) -> None:
    """A program of docker's protocol on PATH, which has read the server's address."""
    file = home / "bin/docker-credential-tests"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 1\nserver=$(cat)\n{script}\n')
    file.chmod(0o755)
    setting.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform == "win32", reason="the helper is a shell script")
@pytest.mark.parametrize("way", WAYS)
def test_a_login_that_podman_and_docker_use_is_used(
    guarded: LocalRegistry, home: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    way(guarded.host, home, monkeypatch)
    repository = open_repository(guarded.url("team/x"))
    repository.put(BLOB, DATA)
    assert repository.get(BLOB, limit=len(DATA)) == DATA


def test_a_login_in_the_url_or_the_options_is_used(guarded: LocalRegistry) -> None:
    open_repository(guarded.url("team/x"), username=USER, password=PASSWORD).put(BLOB, DATA)
    url = guarded.url("team/x").replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")
    assert open_repository(url).get(BLOB, limit=len(DATA)) == DATA


def test_a_wrong_login_or_none_is_a_refusal(guarded: LocalRegistry) -> None:
    for options in ({}, {"username": USER, "password": "another"}):
        repository = open_repository(guarded.url("team/x"), **options)
        with pytest.raises(AccessDeniedError, match="is refused: HTTP status 401") as error:
            repository.get("manifests/x", limit=1)
        assert f"podman login {guarded.host}" in (error.value.hint or "") and "another" not in str(error.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (f"{{{PASSWORD}", "cannot be read"),
        ("[]", "malformed"),
        (f'{{"auths": {{"HOST": {{"auth": "{PASSWORD}"}}}}}}', "malformed"),
        ('{"auths": {"HOST": 1}}', "malformed"),
        ('{"credsStore": "../../x"}', "malformed"),
        ('{"credsStore": "not-there"}', "not on PATH"),
    ],
)
def test_a_file_that_is_none_is_not_repeated(guarded: LocalRegistry, home: Path, document: str, reason: str) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(document.replace("HOST", guarded.host))
    with pytest.raises(TransportError, match=reason) as error:
        open_repository(guarded.url("x")).head("manifests/x")
    assert PASSWORD not in str(error.value) and "\n" not in error.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="the helper is a shell script")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"echo {PASSWORD}; exit 3", "fails with exit code 3"),
        (f"echo {PASSWORD}", "gives no login"),
        ("echo credentials not found in native keychain; exit 1", "is refused: HTTP status 401"),
    ],
)
def test_a_helper_that_fails_is_named(
    guarded: LocalRegistry, home: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    add_helper(home, monkeypatch, script)
    write(home / ".docker/config.json", {"credsStore": "tests"})
    with pytest.raises(TransportError, match=reason) as error:
        open_repository(guarded.url("x")).head("manifests/x")
    assert PASSWORD not in str(error.value)


def fill(repository: RegistryTransport) -> bytes:
    """Push a small image, and return its manifest."""
    repository.put(BLOB, DATA)
    repository.put(f"blobs/{EMPTY_DESCRIPTOR.digest}", EMPTY_BLOB)
    document = manifest_of(DATA)
    repository.put("manifests/x", document)
    return document


def test_one_token_of_each_right_serves_all_threads(tokens: tuple[LocalRegistry, TokenServer]) -> None:
    registry, server = tokens
    repository = open_repository(registry.url("team/tokens"), username=USER, password=PASSWORD)
    document = fill(repository)
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: repository.get(BLOB, limit=len(DATA)), range(64)))
    repository.delete([f"manifests/{Sha256.of(document)}"])
    assert found == {DATA} and list(repository.tags()) == []
    assert sorted(str(asked["scope"]) for asked in server.asked) == [
        f"['repository:team/tokens:{actions}']" for actions in ("delete", "pull", "pull,push")
    ]


def test_a_token_is_renewed_when_it_ends(tokens: tuple[LocalRegistry, TokenServer]) -> None:
    """Before a request where its time is known, else after the refusal, once."""
    registry, server = tokens
    repository = open_repository(registry.url("team/renewed"), username=USER, password=PASSWORD)
    server.seconds = 0
    fill(repository)
    assert len(server.asked) > 4
    server.asked.clear()
    server.only, server.seconds = ("push",), 300
    with pytest.raises(AccessDeniedError, match="is refused: HTTP status 401"):
        repository.get(BLOB, limit=len(DATA))
    assert len(server.asked) == 2
    server.only = ("pull",)
    assert repository.get(BLOB, limit=len(DATA)) == DATA


def test_a_blob_is_mounted_with_a_token_for_both(tokens: tuple[LocalRegistry, TokenServer]) -> None:
    registry, server = tokens
    login = {"username": USER, "password": PASSWORD}
    open_repository(registry.url("team/source"), **login).put(BLOB, DATA)
    server.asked.clear()
    target = open_repository(registry.url("team/target"), **login)
    assert target.mount(BLOB, "team/source")
    asked = {one.replace("push,pull", "pull,push") for one in server.asked[-1]["scope"]}  # the order is random
    assert {"repository:team/source:pull", "repository:team/target:pull,push"} <= asked


def test_an_identity_token_is_exchanged(
    tokens: tuple[LocalRegistry, TokenServer], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, server = tokens
    write(home / ".docker/config.json", {"auths": {registry.host: {"auth": AUTH, "identitytoken": IDENTITY}}})
    fill(open_repository(registry.url("team/identity")))
    assert all(asked["grant_type"] == ["refresh_token"] for asked in server.asked)
    add_helper(home, monkeypatch, f"echo '{json.dumps(answer('<token>', IDENTITY))}'")
    write(home / ".docker/config.json", {"credsStore": "tests"})
    assert open_repository(registry.url("team/identity")).get(BLOB, limit=len(DATA)) == DATA


def test_what_is_public_needs_no_login(tokens: tuple[LocalRegistry, TokenServer]) -> None:
    registry, server = tokens
    fill(open_repository(registry.url("team/public"), username=USER, password=PASSWORD))
    public = open_repository(registry.url("team/public"))
    with pytest.raises(AccessDeniedError, match="its token server requires a login"):
        public.get(BLOB, limit=len(DATA))
    server.anonymous, server.only = True, ("pull",)
    assert public.get(BLOB, limit=len(DATA)) == DATA
    with pytest.raises(AccessDeniedError):
        public.put(f"blobs/{Sha256.of(b'x')}", b"x")


@pytest.mark.parametrize("page", [b"", b"[]", b"{}", b'{"token": "a b"}', b'{"token": 1}', b"x" * (1 << 20)])
def test_a_token_server_that_gives_none_is_an_error(tokens: tuple[LocalRegistry, TokenServer], page: bytes) -> None:
    registry, server = tokens
    server.page = page or b" "
    repository = open_repository(registry.url("team/none"), username=USER, password=PASSWORD)
    with pytest.raises(TransportError) as error:
        repository.get(BLOB, limit=len(DATA))
    assert not any(secret in str(error.value) for secret in SECRETS)


def test_a_login_that_the_token_server_refuses_is_not_repeated(tokens: tuple[LocalRegistry, TokenServer]) -> None:
    registry, _ = tokens
    repository = open_repository(registry.url("team/x"), username=USER, password=PASSWORD.upper())
    with pytest.raises(AccessDeniedError, match="its token server refuses the login") as error:
        repository.get(BLOB, limit=len(DATA))
    assert PASSWORD.upper() not in str(error.value)


def in_url(host: str, _: Path) -> tuple[str, str]:
    return f"oci://{USER}:{quote(PASSWORD, safe='')}@{host}/x", ""


def in_options(host: str, _: Path) -> tuple[str, str]:
    options = f'{{ username = "{USER}", password = "{PASSWORD}" }}'
    return "corp", f'[caches.corp]\nurl = "oci://{host}/x"\noptions = {options}\n'


def in_file(host: str, home: Path) -> tuple[str, str]:
    write(home / ".docker/config.json", {"auths": {host: {"auth": AUTH}}})
    return f"oci://{host}/x", ""


@pytest.mark.slow
@pytest.mark.parametrize("way", [in_url, in_options, in_file])
def test_no_login_is_shown_or_written(home: Path, tmp_path: Path, way: Callable[[str, Path], tuple[str, str]]) -> None:
    """Whatever the registry answers to whoever has shown its login, in output and in the root."""
    root = tmp_path / "root"
    root.mkdir()
    answers = [401, 403, 404, 429, 500, 302]
    secrets = [secret.encode() for secret in (*SECRETS, quote(PASSWORD, safe=""))]

    def script(request: ScriptedRequest) -> None:
        login = request.headers.get("Authorization")
        echo = f"you sent {request.headers}".encode()
        if login is None:
            request.reply(401, echo, WWW_Authenticate='Basic realm="x"')
        else:
            assert login == f"Basic {AUTH}"
            request.reply(answers[0], echo, Location="http://127.0.0.1:9/x", Retry_After="1")

    with scripted(script) as server:
        cache, config = way(server.host, home)
        (root / "config.toml").write_text(config)
        (root / "config.toml").chmod(0o600)
        while answers:
            command = [sys.executable, "-m", "vstore", "--root", str(root), "-vv", "--json", "pull", cache, "stable"]
            done = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[4], timeout=120, check=False)
            assert done.returncode == 10, done.stderr.decode()
            assert not any(secret in done.stdout + done.stderr for secret in secrets)
            answers.pop(0)
        assert any("Authorization" in headers for _, _, headers in server.asked)
    for file in root.rglob("*"):
        if file.is_file() and file.name != "config.toml":
            assert not any(secret in file.read_bytes() for secret in secrets), file
