"""The door to uv."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vstore.errors import UsageError
from vstore.uv import Uv, UvError


def test_it_runs_and_returns_what_uv_says(tmp_path: Path) -> None:
    uv = Uv(cache_dir=tmp_path / "cache", environment={})
    assert uv.run(["--version"]).startswith("uv ")
    assert uv.run(["cache", "dir"]).strip() == str(tmp_path / "cache")


def test_a_failure_has_uvs_own_words(tmp_path: Path) -> None:
    uv = Uv(cache_dir=tmp_path / "cache", environment={})
    with pytest.raises(UvError) as caught:
        uv.run(["no-such-command"], doing="trying")
    assert "while trying" in caught.value.message
    assert any("no-such-command" in line for line in caught.value.details)


def test_an_active_environment_does_not_leak_in(tmp_path: Path) -> None:
    uv = Uv(cache_dir=tmp_path / "cache", environment={"VIRTUAL_ENV": str(tmp_path / "gone"), "UV_CACHE_DIR": "/x"})
    assert uv.run(["cache", "dir"]).strip() == str(tmp_path / "cache")


def test_preview_features_of_the_user_count_too(tmp_path: Path) -> None:
    for features in ("", "no-such-feature", "content-addressed-cache"):
        uv = Uv(cache_dir=tmp_path / "cache", environment={"UV_PREVIEW_FEATURES": features})
        assert uv.run(["--version"]).startswith("uv ")


def test_an_unreachable_index_says_so(tmp_path: Path) -> None:
    """Port 9 (discard) of this machine: nobody listens there."""
    requirements = tmp_path / "in.txt"
    requirements.write_text("anything\n")
    uv = Uv(cache_dir=tmp_path / "cache", environment={"UV_HTTP_RETRIES": "0"})
    with pytest.raises(UvError) as caught:
        uv.run(["pip", "compile", requirements, "--index-url", "http://127.0.0.1:9/simple"], doing="asking")
    assert caught.value.unreachable
    assert "cannot be reached" in caught.value.message


def test_offline_says_so(tmp_path: Path) -> None:
    requirements = tmp_path / "in.txt"
    requirements.write_text("nothing-cached\n")
    uv = Uv(cache_dir=tmp_path / "cache", offline=True, environment={})
    with pytest.raises(UvError) as caught:
        uv.run(["pip", "compile", requirements])
    assert "--offline" in (caught.value.hint or "")


def test_each_call_is_reported_with_its_time_and_end(tmp_path: Path) -> None:
    calls: list[str] = []
    uv = Uv(cache_dir=tmp_path / "cache", environment={}, on_call=calls.append)
    uv.run(["--version"])
    assert calls == [calls[0]]
    assert calls[0].startswith("uv --version --no-config --no-progress: ended in ")
    with pytest.raises(UvError):
        uv.run(["no-such-command"])
    assert calls[1].endswith(" with exit code 2")
    assert any("no-such-command" in call for call in calls[2:])


def test_each_warning_is_reported_as_one_line(tmp_path: Path) -> None:
    warnings: list[str] = []
    uv = Uv(cache_dir=tmp_path / "cache", environment={"UV_NATIVE_TLS": "1"}, on_warning=warnings.append)
    uv.run(["cache", "dir"])
    assert [one.partition(" environment")[0] for one in warnings] == ["The `UV_NATIVE_TLS`"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
def test_a_netrc_file_that_uv_would_wait_for_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".netrc")
    for variables in ({"HOME": str(tmp_path)}, {"NETRC": str(tmp_path / ".netrc")}):
        with pytest.raises(UsageError) as caught:
            Uv(cache_dir=tmp_path / "cache", environment=variables).run(["cache", "dir"])
        assert caught.value.message.startswith(f"the netrc file cannot be read: {tmp_path / '.netrc'}: ")
        assert "FIFO" in caught.value.message
        Uv(cache_dir=tmp_path / "cache", environment=variables, offline=True).run(["cache", "dir"])


def test_a_netrc_file_that_uv_ignores_is_no_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing", os.devnull):
        Uv(cache_dir=tmp_path / "cache", environment={"NETRC": str(place)}).run(["cache", "dir"])
