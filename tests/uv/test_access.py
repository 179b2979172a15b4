"""How uv, and vstore beside it, reach places: a login goes where it belongs and is written nowhere."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest

from tests.remote.guarded import QUOTED, SECRET, USER, guarded, leaks
from vstore.uv import open_url
from vstore.uv.access import access_settings


def test_a_proxy_with_a_login_is_given_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text(
        f'http-proxy = "http://{USER}:{QUOTED}@proxy:3128"\nhttps-proxy = "http://proxy:3128"\n'
        f'python-install-mirror = "https://{USER}:{QUOTED}@mirror/x"\n'
    )
    settings, variables = access_settings({}, {"UV_CONFIG_FILE": str(tmp_path / "uv.toml")}, tmp_path)
    assert settings == {"https-proxy": "http://proxy:3128"}
    assert variables == {
        "HTTP_PROXY": f"http://{USER}:{QUOTED}@proxy:3128",
        "UV_PYTHON_INSTALL_MIRROR": f"https://{USER}:{QUOTED}@mirror/x",
    }


@pytest.mark.parametrize("way", ["url", "netrc", "proxy"])
def test_a_login_is_given_and_stays_with_its_server(tmp_path: Path, way: str) -> None:
    (tmp_path / "a").write_text("content")
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {SECRET}\n")
    with guarded(tmp_path) as (server, other):
        other.elsewhere = server.url
        login = server.url.replace("://", f"://{USER}:{QUOTED}@")
        if way == "proxy":
            server.mode = "open"
            with open_url("http://nowhere.invalid/a", {}, {"HTTP_PROXY": login}, timeout_seconds=10) as answer:
                assert answer.status == 404 or answer.read()
            assert "Proxy-Authorization" in server.asked[0][1]
            return
        variables = {"NETRC": str(tmp_path / "netrc")} if way == "netrc" else {}
        url = f"{login if way == 'url' else server.url}/a"
        with open_url(url, {}, variables, timeout_seconds=10) as answer:
            assert answer.read() == b"content"
        server.mode = "redirecting"
        with open_url(url, {}, variables, timeout_seconds=10) as answer:
            assert answer.read() == b"content"
        assert not any("Authorization" in headers for _, headers in other.asked)


def test_a_netrc_file_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 {SECRET}\n")
    with pytest.raises(ValueError, match="netrc file cannot be read") as error:
        open_url("http://127.0.0.1:9/a", {}, {"NETRC": str(tmp_path / "netrc")}, timeout_seconds=1)
    assert leaks(str(error.value).encode()) == []
    with pytest.raises(urllib.error.URLError):
        open_url("http://127.0.0.1:9/a", {}, {"NETRC": str(tmp_path / "absent")}, timeout_seconds=1)
