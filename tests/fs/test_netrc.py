"""The user's netrc file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vstore.fs.netrc import check_netrc, netrc_login


def test_the_login_of_a_host_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine a.example login me password secret\n")
    assert netrc_login("a.example", {"HOME": str(tmp_path)}) == ("me", "secret")
    assert netrc_login("b.example", {"HOME": str(tmp_path)}) is None


def test_the_null_device_is_an_empty_file() -> None:
    assert netrc_login("a.example", {"NETRC": os.devnull}) is None
    check_netrc({"NETRC": os.devnull})


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no such device")
def test_a_device_is_refused() -> None:
    for use in (check_netrc, lambda environment: netrc_login("a.example", environment)):
        with pytest.raises(ValueError, match="cannot be read: /dev/zero: it is a device"):
            use({"NETRC": "/dev/zero"})
