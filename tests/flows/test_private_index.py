"""Every setting that says how to reach an index reaches each request, and no login is written anywhere."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from tests.flows.private_index import PASSWORD, USER, Index, make_certificate, serving

pytestmark = pytest.mark.slow

Access = Callable[[Path, str], dict[str, str]]


class Private(World):
    """A world that asks the index of its spec, with these variables alone."""

    def environment(self) -> dict[str, str]:
        kept = super().environment()
        for name in ("UV_FIND_LINKS", "UV_NO_INDEX", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            kept.pop(name, None)
        return {**kept, "HOME": str(self.folder / "home"), "XDG_CONFIG_HOME": str(self.folder / "home/.config")}


def private(realised: World, folder: Path, url: str, more: str = "") -> Private:
    """A store with the interpreter alone is enough: the packages are new, so their layers are made here."""
    world = realised.copy(folder / "world")
    shutil.rmtree(world.spec.parent / "requirements")
    make_wheel(world.wheels, "low", "1.0", {"low/__init__.py": f"VERSION = '1.0'  # of {url}\n"})
    table = f'\n[tool.uv]\nindex = [{{ name = "corp", url = "{url}/simple/", default = true{more} }}]\n'
    world.spec.write_text(world.spec.read_text() + table)
    (world.folder / "home/.config/uv").mkdir(parents=True)
    return Private(world.folder, world.root)


def realise(world: World, variables: dict[str, str]) -> None:
    """Lock, then realise, each from an empty cache, so that both have to ask."""
    for command in (["lock", str(world.spec)], ["realise", "--locked", str(world.spec)]):
        shutil.rmtree(world.root / "cache/uv")
        world.run(*command, code=0, **variables)
    found, _ = world.run("run", "project", "hello")
    assert found == "low 1.0 midlib 1.0 side app\n"


def written(folder: Path) -> list[str]:
    """The files below that hold the password, also in what zlib packed; what the test itself gave is not counted."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink() and "given" not in file.parts:
            data = file.read_bytes()
            with suppress(zlib.error):
                data += zlib.decompress(data)
            if PASSWORD.encode() in data:
                found.append(str(file.relative_to(folder)))
    return found


def by_variables(_: Path, __: str) -> dict[str, str]:
    return {"UV_INDEX_CORP_USERNAME": USER, "UV_INDEX_CORP_PASSWORD": PASSWORD}


def by_netrc(given: Path, _: str) -> dict[str, str]:
    (given / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    return {"NETRC": str(given / "netrc")}


def by_keyring(given: Path, _: str) -> dict[str, str]:
    program = given / "keyring"
    program.write_text(f'#!/bin/sh\ncase "$*" in *creds*) echo {USER};; esac\necho {PASSWORD}\n')
    program.chmod(0o755)
    return {"UV_KEYRING_PROVIDER": "subprocess", "PATH": f"{given}:/usr/bin:/bin"}


def by_settings_of_the_user(given: Path, url: str) -> dict[str, str]:
    (given / "uv").mkdir()
    login = url.replace("://", f"://{USER}:{PASSWORD}@")
    (given / "uv" / "uv.toml").write_text(f'index = [{{ name = "corp", url = "{login}/simple/" }}]\n')
    return {"XDG_CONFIG_HOME": str(given)}


def by_a_file_of_settings(given: Path, url: str) -> dict[str, str]:
    by_settings_of_the_user(given, url)
    return {"UV_CONFIG_FILE": str(given / "uv" / "uv.toml")}


@pytest.mark.parametrize("access", [by_variables, by_netrc, by_keyring, by_settings_of_the_user, by_a_file_of_settings])
def test_a_login_reaches_locking_and_installing(realised: World, tmp_path: Path, access: Access) -> None:
    (tmp_path / "given").mkdir()
    with serving(realised.wheels, login=(USER, PASSWORD)) as index:
        more = ', authenticate = "always"' if access is by_keyring else ""
        world = private(realised, tmp_path, index.url, more)
        index.wheels = world.wheels
        realise(world, access(tmp_path / "given", index.url))
        _check_asked(index)
    assert written(tmp_path) == []


def _check_asked(index: Index) -> None:
    assert {path.split("/")[1] for path in index.asked} == {"simple", "files"}


def test_without_the_login_the_index_and_the_refusal_are_named(realised: World, tmp_path: Path) -> None:
    with serving(realised.wheels, login=(USER, PASSWORD)) as index:
        world = private(realised, tmp_path, index.url)
        _, error = world.run("lock", str(world.spec), code=4)
    assert "401" in error or "Unauthorized" in error or "credentials" in error
    assert "Traceback" not in error
    assert "hint: give logins by UV_INDEX_<NAME>_USERNAME" in error and "change the requirements" not in error


def test_a_certificate_of_an_own_authority(realised: World, tmp_path: Path) -> None:
    certificate, authority = make_certificate(tmp_path)
    with serving(realised.wheels, certificate=certificate) as index:
        world = private(realised, tmp_path, index.url)
        index.wheels = world.wheels
        realise(world, {"SSL_CERT_FILE": str(authority)})
        _check_asked(index)


@pytest.mark.parametrize("of", ["spec", pytest.param("user", marks=pytest.mark.fast)])
def test_a_host_that_may_be_insecure(realised: World, tmp_path: Path, of: str) -> None:
    certificate, _ = make_certificate(tmp_path)
    with serving(realised.wheels, certificate=certificate) as index:
        world = private(realised, tmp_path, index.url)
        setting = f'allow-insecure-host = ["{index.url.partition("://")[2]}"]\n'
        if of == "spec":
            world.spec.write_text(world.spec.read_text() + setting)
        else:
            (world.folder / "home/.config/uv/uv.toml").write_text(setting)
        index.wheels = world.wheels
        realise(world, {})
        _check_asked(index)


@pytest.mark.parametrize("of", ["environment", "user"])
def test_a_proxy(realised: World, tmp_path: Path, of: str) -> None:
    """The index's name is known to the proxy alone."""
    with serving(realised.wheels) as proxy:
        world = private(realised, tmp_path, "http://packages.invalid")
        variables = {"HTTP_PROXY": proxy.url, "http_proxy": proxy.url} if of == "environment" else {}
        if of == "user":
            (world.folder / "home/.config/uv/uv.toml").write_text(f'http-proxy = "{proxy.url}"\n')
        proxy.wheels = world.wheels
        realise(world, variables)
        _check_asked(proxy)


def test_a_server_that_fails_at_first(realised: World, tmp_path: Path) -> None:
    with serving(realised.wheels, failures=2) as index:
        world = private(realised, tmp_path, index.url)
        index.wheels = world.wheels
        realise(world, {})
        assert index.failures == 0


def test_other_settings_of_the_user_play_no_part(realised: World, tmp_path: Path) -> None:
    """A lock and a layer are the same for everybody: nothing is built from source, nothing is put elsewhere."""
    with serving(realised.wheels) as index:
        world = private(realised, tmp_path, index.url)
        index.wheels = world.wheels
        (tmp_path / "uv.toml").write_text('no-index = true\nlink-mode = "symlink"\n[pip]\ntarget = "elsewhere"\n')
        realise(world, {"UV_CONFIG_FILE": str(tmp_path / "uv.toml")})


def test_settings_that_cannot_be_read_are_named(realised: World, tmp_path: Path) -> None:
    world = private(realised, tmp_path, "http://127.0.0.1:9")
    (tmp_path / "uv.toml").write_text("no toml")
    _, error = world.run("lock", str(world.spec), code=2, UV_CONFIG_FILE=str(tmp_path / "uv.toml"))
    assert error.startswith(f"error: uv's settings cannot be read: {tmp_path}/uv.toml")
