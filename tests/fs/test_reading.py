"""Opening files by path: regular files only, at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vstore.fs.reading import open_handle, open_regular, read_regular

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices are of POSIX")


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "file", limit=7) == b"content"
    assert read_regular(tmp_path / "link", limit=7) == b"content"
    with open_regular(os.fsencode(tmp_path / "file")) as file:
        assert file.read() == b"content"
    folder = os.open(tmp_path, os.O_RDONLY)
    assert read_regular("file", limit=7, dir_fd=folder) == b"content"
    os.close(folder)


def test_what_is_no_file_is_refused_by_name_and_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to-fifo").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        cases = {"fifo": "a FIFO", "to-fifo": "a FIFO", "socket": "a socket", "/dev/zero": "a device", ".": "a folder"}
        for name, kind in cases.items():
            with pytest.raises(OSError, match=f"it is {kind}, not a regular file") as caught:
                open_handle(tmp_path / name)
            assert caught.value.filename == tmp_path / name


def test_a_folder_has_its_own_kind_of_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_handle(tmp_path)


def test_a_link_is_not_followed_where_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")

    with pytest.raises(OSError, match="it is a link"):
        open_handle(tmp_path / "link", follow=False)
    assert read_regular(tmp_path / "file", limit=9, follow=False) == b"content"


def test_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    with pytest.raises(OSError, match="it is larger than the limit of 4 bytes"):
        read_regular(tmp_path / "file", limit=4)


def test_a_limit_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert read_regular(tmp_path / "file", limit=1 << 60) == b"12345"
    if sys.platform == "linux":
        assert read_regular("/proc/self/stat", limit=1 << 60), "whose size is said to be 0"


@pytest.mark.parametrize("name", ["missing", "with\0nul", "lone\ud800"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / name, limit=1)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"12345")
    before = os.listdir("/dev/fd")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "file"):
        with pytest.raises(OSError, match="it "):
            read_regular(path, limit=1)

    assert os.listdir("/dev/fd") == before


@pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc of Linux")
def test_a_small_file_takes_little_memory_whatever_the_limit(tmp_path: Path) -> None:
    """A read takes as much memory as it asks for, before it knows how much there is."""
    (tmp_path / "small").write_bytes(b"x" * 1000)
    code = (
        "import resource, sys\n"
        "from vstore.fs.reading import read_regular\n"
        "resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))\n"
        "assert read_regular(sys.argv[1], limit=1 << 30) == b'x' * 1000\n"
        "assert len(read_regular('/proc/self/maps', limit=1 << 30)) > 1000\n"  # its size is said to be 0
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "small")], check=True, cwd=Path(__file__).parents[2])
