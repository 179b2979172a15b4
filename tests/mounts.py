"""File systems that tests mount. Only tests that ask for root by the marker `root` or the fixture `as_root` can."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_KINDS = {
    "vfat": (["mkfs.vfat", "-F", "32"], ["mount", "-t", "vfat"]),
    "exfat": (["mkfs.exfat"], ["mount.exfat-fuse"]),
    "btrfs": (["mkfs.btrfs", "-q"], ["mount", "-t", "btrfs"]),
}


@contextmanager
def mounted(place: Path, *command: str | Path) -> Iterator[Path]:
    """Mount with this command and `place`, unmount at the end; skip the test, with the reason, where that fails."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    place.mkdir(exist_ok=True)
    done = subprocess.run([*command, place], capture_output=True, text=True)
    failed = done.returncode != 0 or (command[0] != "mount" and not place.is_mount())  # is_mount() sees no bind mount
    if failed:
        pytest.skip(f"cannot mount here: {(done.stderr or done.stdout).strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def bind_mount(source: Path, place: Path | None = None) -> Iterator[Path]:
    """Show `source` in `place` too, or as a mount of its own."""
    with mounted(place or source, "mount", "--bind", source) as found:
        yield found


@contextmanager
def tmpfs(place: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of this size in memory."""
    with mounted(place, "mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs") as found:
        yield found


@contextmanager
def file_system(kind: str, folder: Path, *, megabytes: int = 300) -> Iterator[Path]:
    """Make a file system of this kind in a file and mount it, both below `folder`."""
    make, mount = _KINDS[kind]
    for program in (make[0], "losetup"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    image = folder / f"{kind}.img"
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([*make, image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if loop.returncode != 0:
        pytest.skip(f"no loop device: {loop.stderr.strip()}")
    device = loop.stdout.strip()
    try:
        with mounted(folder / kind, *mount, device) as place:
            yield place
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def remount_read_only(place: Path) -> None:
    """Make a mount read-only."""
    subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
