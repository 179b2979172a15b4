"""A disk that remembers each write and each flush, so that every power cut that could have been can be tried.

It is one file of a FUSE file system, made a block device by the loop driver, with ext4 on it. What a disk promises
is kept: what was written before a completed flush is there after a power cut; of what was written since, any of its
sectors may be there and any may be missing. `Recording.image` makes such a state; no clock and no luck are involved
in what the page cache of this machine happens to have written.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

from scripts.reliability.crashes.disk_server import FLUSH, HEAD

SECTOR = 4096


@dataclass(frozen=True, slots=True)
class Recording:
    """All that was written to the disk since it was made."""

    log: Path
    size_bytes: int

    def position(self) -> int:
        """Now, as a place in the log."""
        return self.log.stat().st_size

    def instants(self, since: int, *, unflushed: bool = False) -> list[int]:
        """Every moment after `since` at which one more write or flush was done; with `unflushed` one more write."""
        found, log = [], self.log.read_bytes()
        while since + HEAD.size <= len(log):
            offset, length = HEAD.unpack_from(log, since)
            since += HEAD.size + length
            if offset != FLUSH or not unflushed:
                found.append(since)
        return found

    def image(self, cut: int, target: Path, chance: random.Random, *, luck: float) -> int:
        """Write what a power cut at `cut` may leave; return how many sectors of unflushed writes got lost.

        `luck` is the share of them that is not lost.
        """
        records = list(_records(self.log.read_bytes()[:cut]))
        flushed = max((number for number, (offset, _) in enumerate(records) if offset == FLUSH), default=-1)
        lost = 0
        with target.open("wb") as disk:
            disk.truncate(self.size_bytes)
            for number, (offset, data) in enumerate(records):
                for at in range(0, len(data), SECTOR):
                    if number > flushed and chance.random() >= luck:
                        lost += 1
                        continue
                    disk.seek(offset + at)
                    disk.write(data[at : at + SECTOR])
        return lost


def _records(log: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEAD.size <= len(log):
        offset, length = HEAD.unpack_from(log, at)
        at += HEAD.size
        yield offset, log[at : at + length]
        at += length


def why_no_disk() -> str | None:
    """None when such a disk can be made here, else the reason."""
    for tool in ("losetup", "mkfs.ext4", "mount", "fusermount3", "umount"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if importlib.util.find_spec("mfusepy") is None or not (find_library("fuse3") or find_library("fuse")):
        return "mfusepy or libfuse is not installed"
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    tried = subprocess.run(["losetup", "-f"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"no loop device: {tried.stderr.strip()}"


@contextmanager
def recorded_disk(folder: Path, size_bytes: int) -> Iterator[tuple[Path, Recording]]:
    """A mounted ext4 file system on such a disk, and its recording."""
    served, mounted, log = folder / "served", folder / "mounted", folder / "log"
    served.mkdir()
    command = [sys.executable, "-m", "scripts.reliability.crashes.disk_server", str(served), str(log), str(size_bytes)]
    with ExitStack() as held:
        server = subprocess.Popen(command, cwd=Path(__file__).parents[3])
        held.callback(server.wait, 30)
        held.callback(_run, "fusermount3", "-u", str(served))
        deadline = time.monotonic() + 20
        while not (served / "disk").exists():
            assert server.poll() is None and time.monotonic() < deadline, "the disk does not come up"
            time.sleep(0.02)
        _run("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", str(served / "disk"))
        with mounted_image(served / "disk", mounted):
            yield mounted, Recording(log, size_bytes)


@contextmanager
def mounted_image(image: Path, place: Path) -> Iterator[Path]:
    """The file system in this file, mounted; its journal is replayed if it was cut off."""
    place.mkdir(exist_ok=True)
    _run("mount", "-o", "loop,commit=1", str(image), str(place))
    try:
        yield place
    finally:
        _run("umount", str(place))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
