"""Our own code on systems that are not here: what they lack is found by type checking for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vstore.errors import BusyError
from vstore.fs.atomic import flush_file, flush_filesystem, replace_symlink
from vstore.fs.links import make_link
from vstore.fs.locking.filelock import lock_file

ROOT = Path(__file__).parents[2]
# file → names that it uses only where it has looked for them
GUARDED = {
    "vstore/archive/write.py": {"copy_file_range", "fchmod"},  # AttributeError is caught; _BY_HANDLE
    "vstore/cli/signals.py": {"set_blocking"},  # os.name is asked
    "vstore/environments/shell.py": {"getpwuid", "getuid"},  # refused on Windows before
    "vstore/fs/locking/holders.py": {"major", "minor", "sysconf"},  # where /proc/locks is
    "vstore/fs/trees/removal.py": {"fchmod"},  # BY_HANDLE
    "vstore/fs/trees/scan.py": {"fchmod", "O_CLOEXEC"},  # from open folders only
    "vstore/spec/find.py": {"geteuid"},  # os.name is asked
    "vstore/store/default_root.py": {"getuid"},  # on Linux only
    "vstore/spec/files/module_roots.py": {"geteuid"},  # os.name is asked
    "vstore/store/layout.py": {"fchmod"},  # geteuid is asked for
    "vstore/uv/bars.py": {"openpty", "ioctl", "TIOCSWINSZ"},  # ImportError is caught
    "vstore/publish/tree_copier.py": {"ioctl"},  # ImportError is caught
    "vstore/fs/faults.py": {"SIGKILL", "SIGSTOP"},  # armed by tests only
}


@pytest.mark.parametrize("platform", ["win32", "darwin"])
@pytest.mark.slow
def test_nothing_is_used_that_the_platform_lacks(platform: str, tmp_path: Path) -> None:
    """typeshed knows which functions each system has."""
    command = [sys.executable, "-m", "mypy", "--platform", platform, "--no-warn-unreachable", "--no-error-summary"]
    command += ["--cache-dir", str(tmp_path), "--no-pretty", "vstore"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    faults = []
    for line in said.splitlines():
        file = line.partition(":")[0].replace(os.sep, "/")
        name = re.search(r'has no attribute "(\w+)"', line)
        if not (name and name[1] in GUARDED.get(file, ())):
            faults.append(line)
    assert faults == []


def test_the_checker_sees_what_is_lacking(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import os\n\nos.O_DIRECTORY\n")
    command = [sys.executable, "-m", "mypy", "--platform", "win32", "--cache-dir", str(tmp_path / "cache"), "x.py"]
    assert 'no attribute "O_DIRECTORY"' in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout


@pytest.mark.parametrize("in_one", [True, False])
def test_a_link_is_exchanged(tmp_path: Path, in_one: bool) -> None:
    """The second way is that of Windows, which replaces no link to a folder."""
    link = tmp_path / "link"
    for target in ("one", "two", "two"):
        (tmp_path / target).mkdir(exist_ok=True)
        replace_symlink(link, target, in_one=in_one)
        assert os.readlink(link) == target
    assert sorted(os.listdir(tmp_path)) == ["link", "one", "two"]


def test_a_folder_is_not_replaced_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "file").touch()
    with pytest.raises(OSError, match="irectory"):
        replace_symlink(tmp_path / "link", "one", in_one=True)
    assert os.listdir(tmp_path) == ["link"]


def test_readers_share_and_a_writer_waits(tmp_path: Path) -> None:
    order = []
    with lock_file(tmp_path / "lock", shared=True), lock_file(tmp_path / "lock", shared=True, blocking=False):
        with pytest.raises(BusyError), lock_file(tmp_path / "lock", blocking=False):
            pass

        def write() -> None:
            with lock_file(tmp_path / "lock"):
                order.append("writer")

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.05)
        order.append("readers")
    writer.join()
    assert order == ["readers", "writer"]


def test_a_locked_file_can_be_read_and_written(tmp_path: Path) -> None:
    """On Windows a lock forbids what it covers: it must cover no content."""
    with lock_file(tmp_path / "lock") as handle:
        os.write(handle, b"\nname\n")
        assert (tmp_path / "lock").read_bytes() == b"\nname\n"


def test_flushing_does_not_fail(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        flush_file(file.fileno())
    flush_filesystem(tmp_path)


def test_links_lead_where_they_should(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    make_link(tmp_path / "link", "folder", folder=True)
    assert (tmp_path / "link").is_dir()
    with pytest.raises(FileExistsError):
        make_link(tmp_path / "link", "folder", folder=True)
