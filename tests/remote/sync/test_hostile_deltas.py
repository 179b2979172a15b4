"""Deltas made to harm, signed all the same: an error in one line, in less than 300 MiB, and never a wrong byte."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from blake3 import blake3

from vstore.cancel import CancelToken
from vstore.digest import Digest, canonical_json
from vstore.errors import CacheError
from vstore.fs.trees.manifest import Entry, EntryKind, Manifest
from vstore.objects import StorePath
from vstore.remote.records.model import DeltaRecord
from vstore.remote.sync.delta import NO_FILE, apply_delta

hdiffpatch = pytest.importorskip("hdiffpatch")

MIB = 1 << 20
OLD = b"".join(b"line %d\n" % number for number in range(20_000))
NEW = OLD[:50_000] + b"something new\n" * 100 + OLD[60_000:]
PATCH = hdiffpatch.diff(OLD, NEW, hdiffpatch.COMPRESSION_ZSTD)
GOOD: Mapping[str, object] = {
    "old": blake3(OLD).hexdigest(),
    "new": blake3(NEW).hexdigest(),
    "old_at": 0,
    "old_bytes": len(OLD),
    "size_bytes": len(NEW),
    "patch_bytes": len(PATCH),
}
PATHS = [StorePath.make(Digest(bytes([number]) * 32), "framework") for number in (1, 2)]
_MEMORY = """
import json, resource, sys
from pathlib import Path
from tests.remote.sync.test_hostile_deltas import applied
from vstore.errors import CacheError
delta, size, digest = Path(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
try:
    applied(delta, size, digest)
    said = "taken"
except CacheError as error:
    said = error.message
print(json.dumps([said, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10]))
"""


def delta_of(*patches: tuple[Mapping[str, object], bytes]) -> bytes:
    """A delta with this index, which is believed as it is signed, and these patches."""
    text = canonical_json([index for index, _ in patches])
    return b"vstore-delta-2\n" + len(text).to_bytes(4, "big") + text + b"".join(patch for _, patch in patches)


def applied(delta: Path, size: int, digest: bytes, *, have: Mapping[bytes, Path] | None = None) -> Mapping[bytes, Path]:
    """The files made for a tree of one file of this size and digest."""
    expected = Manifest((Entry(b"f", EntryKind.FILE, size=size, digest=digest),))
    data = delta.read_bytes()
    record = DeltaRecord(new=PATHS[1], old=PATHS[0], size_bytes=len(data), sha256=sha256(data).hexdigest())
    folder = delta.with_name("made")
    folder.mkdir(exist_ok=True)
    return apply_delta(delta, record, (have or {}).get, expected, folder, CancelToken())


def try_delta(folder: Path, data: bytes, *, old: bytes = OLD) -> Mapping[bytes, Path]:
    (folder / "old").write_bytes(old)
    (folder / "delta").write_bytes(data)
    return applied(folder / "delta", len(NEW), blake3(NEW).digest(), have={blake3(OLD).digest(): folder / "old"})


def test_the_good_one_is_taken(tmp_path: Path) -> None:
    (made,) = try_delta(tmp_path, delta_of((GOOD, PATCH))).values()
    assert made.read_bytes() == NEW


def changed(patch: bytes = PATCH, **fields: object) -> tuple[Mapping[str, object], bytes]:
    return {**GOOD, "patch_bytes": len(patch), **fields}, patch


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a part beyond the old file": lambda: delta_of(changed(old_at=10 * len(OLD))),
    "a part that is longer than the old file": lambda: delta_of(changed(old_at=len(OLD) // 2)),
    "a part that is shorter": lambda: delta_of(changed(old_bytes=10)),
    "from nothing": lambda: delta_of(changed(old=NO_FILE.hex(), old_bytes=0)),
    "two patches for one window": lambda: delta_of(changed(), changed()),
    "a patch that gives more than it says": lambda: delta_of(
        changed(hdiffpatch.diff(OLD, NEW * 3, hdiffpatch.COMPRESSION_ZSTD))
    ),
    "a patch that gives less": lambda: delta_of(changed(hdiffpatch.diff(OLD, NEW[:-1], hdiffpatch.COMPRESSION_ZSTD))),
    "a patch that gives something else": lambda: delta_of(changed(hdiffpatch.diff(OLD, NEW[::-1]))),
    "nothing": lambda: delta_of(changed(b"")),
    "a window beyond the limit": lambda: delta_of(changed(size_bytes=1 << 40)),
    "a size below nothing": lambda: delta_of(changed(size_bytes=-1)),
    "a place of no file": lambda: delta_of(changed(old_at=1 << 49)),
    **{
        f"cut off at byte {at}": lambda at=at: delta_of(changed(PATCH[:at]))  # type: ignore[misc]
        for at in (1, 12, 20, len(PATCH) // 2, len(PATCH) - 1)
    },
    **{
        f"other numbers at byte {at}": lambda at=at: delta_of(  # type: ignore[misc]
            changed(PATCH[:at] + b"\xff" * 9 + PATCH[at + 9 :])
        )
        for at in range(13, 40, 3)
    },
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_an_error_in_one_line(tmp_path: Path, make: Callable[[], bytes]) -> None:
    with pytest.raises(CacheError) as caught:
        try_delta(tmp_path, make())
    assert "\n" not in caught.value.message and len(caught.value.message) < 300


def test_another_old_file_than_it_says_gives_nothing(tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        try_delta(tmp_path, delta_of(changed()), old=OLD[::-1])


def test_patches_from_what_only_patches_make_are_left_out(tmp_path: Path) -> None:
    """From itself, or each from the other: there is no such file, so nothing is made."""
    mine, other = blake3(NEW).hexdigest(), blake3(b"other").hexdigest()
    assert try_delta(tmp_path, delta_of(changed(old=mine))) == {}
    assert try_delta(tmp_path, delta_of(changed(old=other), changed(old=mine, new=other))) == {}


def test_more_than_the_disk_has_free_is_not_begun(tmp_path: Path) -> None:
    window = {**GOOD, "old": NO_FILE.hex(), "old_bytes": 0, "size_bytes": 32 * MIB, "patch_bytes": 0}
    (tmp_path / "delta").write_bytes(delta_of(*[(window, b"")] * 60_000))
    with pytest.raises(CacheError, match="more space than the disk has free"):
        applied(tmp_path / "delta", 60_000 * 32 * MIB, blake3(NEW).digest())
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
@pytest.mark.parametrize("mebibytes", [100, 240, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_patch_that_expands_stays_in_its_memory(tmp_path: Path, mebibytes: int) -> None:
    """As large as the largest window it says; what it gives is as large as it likes."""
    patch = hdiffpatch.diff(b"", bytes(mebibytes * MIB), hdiffpatch.COMPRESSION_ZSTD)
    assert len(patch) < MIB
    index = {**GOOD, "old": NO_FILE.hex(), "old_bytes": 0, "size_bytes": 32 * MIB, "patch_bytes": len(patch)}
    (tmp_path / "delta").write_bytes(delta_of((index, patch)))
    command = [sys.executable, "-c", _MEMORY, str(tmp_path / "delta"), str(32 * MIB), str(index["new"])]
    root = Path(__file__).resolve().parents[3]
    said, peak = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)
    assert "cannot be applied" in said and peak < 300
