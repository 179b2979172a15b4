import os
import random
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.reliability.crashes.disk import why_no_disk
from vstore.errors import StoreError
from vstore.fs.trees.manifest import FIXED_TIME, Manifest, Outline, linked_object
from vstore.fs.trees.scan import _hash_file, hash_file, scan
from vstore.objects import StorePath

OTHER = "0123456789abcdfghijklmnpqrsvwxyz-other"


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def digest(root: Path) -> str:
    return str(scan(root).digest)


def test_same_content_same_digest_whatever_times_and_modes(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", {"a": b"1", "d/b": b"2"})
    two = tree(tmp_path / "two", {"d/b": b"2", "a": b"1"})
    os.utime(two / "a", (5, 5))
    (two / "a").chmod(0o600)
    assert digest(one) == digest(two)


def test_each_difference_counts(tmp_path: Path) -> None:
    def variant(name: str, change: object) -> str:
        root = tree(tmp_path / name, {"a": b"1", "ab/c": b"2"})
        change(root)  # type: ignore[operator]
        return digest(root)

    variants = [
        lambda root: None,
        lambda root: (root / "a").chmod(0o755),
        lambda root: (root / "a").write_bytes(b"2"),
        lambda root: (root / "a").rename(root / "b"),
        lambda root: (root / "ab" / "c").rename(root / "ab" / "d"),
        lambda root: (root / "ab" / "c").rename(root / "c"),
        lambda root: (root / "e").mkdir(),
        lambda root: ((root / "a").unlink(), (root / "a").symlink_to("1")),
        lambda root: ((root / "a").unlink(), (root / "a").symlink_to("2")),
    ]
    digests = [variant(str(number), change) for number, change in enumerate(variants)]
    assert len(set(digests)) == len(variants)


names = st.text(alphabet="ab-/.", min_size=1, max_size=6).map(lambda s: s.strip("/.")).filter(bool)
trees = st.dictionaries(names, st.binary(max_size=3), max_size=5)


@given(trees, trees)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_different_trees_different_digests(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    manifests = []
    for files in (one, two):
        root = tmp_path_factory.mktemp("t")
        try:
            tree(root, files)
        except (OSError, ValueError):
            return
        manifests.append(scan(root))
        assert Manifest.decode(manifests[-1].encoded) == manifests[-1]
    assert (manifests[0].digest == manifests[1].digest) == (manifests[0].entries == manifests[1].entries)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (16 << 20) + 5, 40 << 20])
def test_a_large_file_is_hashed_whole(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "f").write_bytes(data)
    assert hash_file(tmp_path / "f") == blake3(data).digest()


def test_what_grows_or_shrinks_meanwhile_is_hashed_as_it_is(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(20 << 20)
    (tmp_path / "f").write_bytes(data)
    handle = os.open(tmp_path / "f", os.O_RDONLY)
    for size in (2 << 20, 16 << 20, 32 << 20):  # as it was when it was asked
        assert _hash_file(handle, size) == (blake3(data).digest(), len(data))
    os.close(handle)


BROKEN = """
import errno, stat, sys
import mfusepy
class Disk(mfusepy.Operations):
    use_ns = True
    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/file":
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": 48 << 20}
    def read(self, path, size, offset, fh):
        if offset + size > 20 << 20:
            raise mfusepy.FuseOSError(errno.EIO)
        return bytes(size)
mfusepy.FUSE(Disk(), sys.argv[1], foreground=True, nothreads=True)
"""


def test_a_disk_that_fails_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    """As SIGBUS would be, which is what touching a mapped page gives then."""
    if (reason := why_no_disk()) is not None:
        pytest.skip(reason)
    server = subprocess.Popen([sys.executable, "-c", BROKEN, tmp_path])
    try:
        for _ in range(200):
            if (tmp_path / "file").exists():
                break
            time.sleep(0.05)
        code = "import sys; from vstore.fs.trees.scan import hash_file; hash_file(sys.argv[1].encode())"
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], capture_output=True, text=True)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "OSError: [Errno 5] Input/output error")
    finally:
        subprocess.run(["fusermount3", "-u", tmp_path], check=True)
        server.wait(30)


def test_freeze_sets_modes_and_times(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"d/a": b"1", "x": b"2"})
    (root / "x").chmod(0o700)
    before = digest(root)
    assert str(scan(root, freeze=True).digest) == before
    assert [(root / p).stat().st_mode & 0o777 for p in ("d", "d/a", "x")] == [0o555, 0o444, 0o555]
    assert (root / "d").stat().st_mtime == FIXED_TIME
    for entry in scan(root).entries:
        assert (root / os.fsdecode(entry.path)).stat().st_mtime_ns == entry.mtime * 10**9


def test_a_time_follows_from_the_content_alone(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"d/a": b"1", "other": b"1", "program": b"1", "changed": b"2", "empty": b""})
    (root / "program").chmod(0o755)
    (root / "link").symlink_to("other")
    scan(root, freeze=True)
    times = {p: (root / p).lstat().st_mtime_ns for p in ("d/a", "other", "program", "changed", "empty", "link", "d")}
    assert times["d/a"] == times["other"] == times["program"] != times["changed"]
    assert times["d"] == times["link"] == FIXED_TIME * 10**9
    for mtime in times.values():
        moment = datetime.fromtimestamp(mtime / 10**9, UTC)
        assert datetime(1980, 1, 2, tzinfo=UTC) <= moment < datetime(2000, 1, 1, tzinfo=UTC)
        assert mtime % (2 * 10**9) == 0, "zip archives and FAT keep even seconds"


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+12", "Etc/GMT-14"])
def test_what_is_frozen_can_be_zipped(tmp_path: Path, zone: str) -> None:
    """Files and folders, by zipfile and by shutil, wherever in the world."""
    root = tree(tmp_path / "t", {"d/a": b"1", "x": b"2"})
    scan(root, freeze=True)
    code = (
        "import shutil, sys, zipfile; root, out = sys.argv[1:]; shutil.make_archive(out, 'zip', root)\n"
        "with zipfile.ZipFile(out + '-one.zip', 'w') as archive: archive.write(root + '/x'); archive.write(root + '/d')"
    )
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "out")]
    subprocess.run(command, env={**os.environ, "TZ": zone}, check=True)


def test_big_file_is_hashed_whole(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 7)
    one, two = tree(tmp_path / "one", {"a": data}), tree(tmp_path / "two", {"a": data[:-1] + b"!"})
    assert digest(one) != digest(two)
    assert scan(one).size_bytes == len(data)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"a", b"/etc/passwd"),
        (b"a", b"../elsewhere"),
        (b"a", b".."),
        (b"d/a", b"../../.."),
        (b"d/a", b"../../../etc"),
        (b"a", f"../../{OTHER}".encode()),
        (b"d/a", b"x/../../b"),
        (b"a", b""),
    ],
)
def test_links_that_leave_are_refused(path: bytes, target: bytes) -> None:
    with pytest.raises(StoreError, match="refused link"):
        linked_object(path, target)


def test_references_come_from_links(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"d/a": b"1"})
    (root / "d/in").symlink_to("../x")
    (root / "d/out").symlink_to(f"../../{OTHER}/lib")
    assert scan(root).references() == {StorePath.parse(OTHER)}
    assert scan(root).references(StorePath.parse(OTHER)) == set()


def test_an_outline_is_read_from_an_encoding(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"d/a": b"1", "run": b"2", "d/e/f": b""})
    (root / "run").chmod(0o755)
    (root / "d/out").symlink_to(f"../../{OTHER}/lib")
    manifest = scan(root)
    outline = Outline.read(manifest.encoded)
    assert outline == manifest.outline
    assert outline.kinds == {entry.path: entry.kind for entry in manifest.entries}
    assert outline.links == {b"d/out": f"../../{OTHER}/lib".encode()}
    for damaged in (manifest.encoded[:-1], manifest.encoded + b"D", b"", manifest.encoded.replace(b"D\0", b"E\0")):
        with pytest.raises(StoreError, match="malformed"):
            Outline.read(damaged)


def test_sockets_and_fifos_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"a": b"1"})
    os.mkfifo(root / "fifo")
    with pytest.raises(StoreError, match="neither a file"):
        scan(root)
    (root / "fifo").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "s"))
        with pytest.raises(StoreError, match="neither a file"):
            scan(root)


@pytest.mark.parametrize("damage", [b"", b"x", b"vstore-tree-1\n\0\0\0\0\0\0\0\2D\0\0\0\1a"])
def test_malformed_encodings_are_refused(damage: bytes) -> None:
    with pytest.raises(StoreError, match="malformed"):
        Manifest.decode(damage)


def test_trailing_and_unsorted_bytes_are_refused(tmp_path: Path) -> None:
    encoded = scan(tree(tmp_path / "t", {"a": b"1", "b": b"1"})).encoded
    with pytest.raises(StoreError, match="length"):
        Manifest.decode(encoded + b"\0")
    first, second = scan(tmp_path / "t").entries
    with pytest.raises(StoreError, match="sorted"):
        Manifest.decode(Manifest((second, first)).encoded)
