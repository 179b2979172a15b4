"""Real file systems in image files, for tests that run as root where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_KINDS = {  # how to make one, and how to mount its loop device
    "vfat": (["mkfs.vfat", "-F", "32"], ["mount", "-t", "vfat"]),
    "exfat": (["mkfs.exfat"], ["mount.exfat-fuse"]),
    "btrfs": (["mkfs.btrfs", "-q"], ["mount", "-t", "btrfs"]),
}


@contextmanager
def mounted(kind: str, folder: Path, *, megabytes: int = 300) -> Iterator[Path]:
    """A new file system, mounted below `folder`; the test is skipped, with the reason, where that is impossible."""
    make, mount = _KINDS[kind]
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    for program in (make[0], mount[0], "losetup", "umount"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    image, place = folder / f"{kind}.img", folder / kind
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([*make, image], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if loop.returncode != 0:
        pytest.skip(f"no loop device: {loop.stderr.strip()}")
    device = loop.stdout.strip()
    try:
        done = subprocess.run([*mount, device, place], capture_output=True, text=True)
        if done.returncode != 0 or not os.path.ismount(place):
            pytest.skip(f"{kind} cannot be mounted: {(done.stderr or done.stdout).strip().splitlines()[0]}")
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
