"""Bundles: into one file here, out of it there, and what a file from outside must not do."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.testing.machine import folder_cache, machine
from scripts.testing.world import World
from tests.publish.test_folders import SAYS, start
from tests.publish.waiting import appears
from vstore.api.caches import make_generation
from vstore.archive import Limits, Packer
from vstore.archive.tar import END, member, padding
from vstore.digest import Digest, canonical_json
from vstore.errors import ArchiveError, CacheError, StoreError
from vstore.fs.trees.manifest import Entry, EntryKind
from vstore.fs.trees.scan import scan
from vstore.objects import Kind, StorePath
from vstore.publish.bundle import unpack_bundle
from vstore.publish.bundle_transport import BundleReader, BundleWriter
from vstore.remote import Fetcher, FileCache, Trust, pull
from vstore.remote.file_cache.layout import archive_key, object_key
from vstore.remote.records.encoding import encode
from vstore.remote.records.model import Archive, ObjectRecord
from vstore.remote.transport.memory import MemoryTransport
from vstore.reporter import NullReporter
from vstore.store import Store

pytestmark = pytest.mark.slow

TOP = StorePath.parse("0" * 32 + "-demo-stack")


@pytest.fixture(scope="session")
def bundle(realised: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The world's profile in a file, and the key that signed it."""
    file = tmp_path_factory.mktemp("bundle") / "project.vstore"
    key = realised.json("key", "generate", "builder")["public"]
    assert len(realised.json("pack", "project", "-o", str(file))["written"]) == 6
    return file, key


def other(world: World, folder: Path) -> World:
    """Another machine: a copy of the project, an empty store, and no wheels."""
    shutil.copytree(world.spec.parent, folder / "project")
    (folder / "wheels").mkdir()
    return World(folder, folder / "root")


def unpack(world: World, file: Path, *arguments: str, code: int = 0) -> dict[str, object]:
    found: dict[str, object] = world.json("unpack", str(file), *arguments, code=code)
    return found


def test_a_machine_without_wheels_or_network_gets_the_stack(
    realised: World, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    file, key = bundle
    there = other(realised, tmp_path)
    done = unpack(there, file, "--profile", "project", "--trust", key)
    assert done["generation"] == 1 and done["changed"] is True and done["realisations"] == 6
    assert start(there.root / "profiles/project/bin/hello") == SAYS
    assert there.json("verify", "--contents")["problems"] == []
    again = unpack(there, file, "--profile", "project", "--trust", key)
    assert again["added"] == [] and again["changed"] is False
    result = there.json("realise", str(there.spec), "--offline", "--locked")
    assert {layer["origin"] for layer in result["layers"]} == {"present"}
    assert there.json("gc")["deleted"] == []
    recipe = there.json("export", "project", "--output-dir", str(tmp_path / "out"))["layers"]["applications"][0]
    assert [path[33:] for path in recipe["required_layers"]] == ["framework-mid", "framework-side"]


def test_bundles_have_words_of_their_own(realised: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = realised.run("pack", "framework-mid", "-o", str(tmp_path / "mid"), "--log-file", str(log))[1]
    assert "framework-mid: packed in" in said and "push" not in said
    assert "pack: looking for 3 objects" in log.read_text()
    said = other(realised, tmp_path).run("unpack", str(tmp_path / "mid"))[1]
    assert "framework-mid: unpacked in" in said and "fetch" not in said


def test_who_signed_is_believed_and_nobody_else(realised: World, bundle: tuple[Path, str], tmp_path: Path) -> None:
    there = other(realised, tmp_path)
    done = unpack(there, bundle[0], "--profile", "p")
    assert done["realisations"] == 0 and start(there.root / "profiles/p/bin/hello") == SAYS
    origins = {layer["origin"] for layer in there.json("realise", str(there.spec), "--dry-run")["layers"]}
    assert "to build" in origins
    document = there.json("export", "p", "--output-dir", str(tmp_path / "out"))
    assert document["layers"]["applications"][0]["app_launch_module"] == "hello"


def test_only_what_is_not_there_is_added(realised: World, bundle: tuple[Path, str], tmp_path: Path) -> None:
    there = other(realised, tmp_path)
    realised.json("pack", "framework-mid", "-o", str(tmp_path / "small"))
    assert len(unpack(there, tmp_path / "small")["added"]) == 3  # type: ignore[arg-type]
    assert len(unpack(there, bundle[0])["added"]) == 3  # type: ignore[arg-type]


def test_a_bundle_without_what_the_other_side_has(realised: World, tmp_path: Path) -> None:
    there = other(realised, tmp_path)
    rest = realised.json("pack", "project@1", "-o", str(tmp_path / "rest"), "--without", "framework-mid")
    assert sorted(path[33:] for path in rest["written"]) == ["app-hello", "framework-side", "project-stack"]
    alone = realised.json("pack", "app-hello", "-o", str(tmp_path / "alone"), "--no-closure")
    assert len(alone["written"]) == 1
    error = unpack(there, tmp_path / "rest", code=9)["error"]
    assert isinstance(error, dict) and "does not have" in error["message"]
    realised.json("pack", "framework-mid", "-o", str(tmp_path / "low"))
    unpack(there, tmp_path / "low")
    assert unpack(there, tmp_path / "rest", "--profile", "p")["generation"] == 1
    assert start(there.root / "profiles/p/bin/hello") == SAYS
    unpack(there, tmp_path / "low", "--profile", "p", code=2)
    realised.json("pack", "app-hello", "-o", str(tmp_path / "x"), "--without", "project", code=2)
    assert not (tmp_path / "x").exists()


def test_plain_tar_makes_a_cache_of_it(realised: World, bundle: tuple[Path, str], tmp_path: Path) -> None:
    there = other(realised, tmp_path)
    subprocess.run(["tar", "-xf", bundle[0], "-C", tmp_path], check=True)
    stack = Path(os.path.realpath(realised.root / "profiles/project")).name
    there.json("pull", str(tmp_path / "vstore-bundle"), stack, "--profile", "p")
    assert start(there.root / "profiles/p/bin/hello") == SAYS


def test_a_damaged_bundle_adds_nothing_that_is_damaged(
    realised: World, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    there = other(realised, tmp_path)
    data = bytearray(bundle[0].read_bytes())
    at = data.index(b"-cpython-") + 100_000  # within the interpreter's archive
    data[at] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    assert unpack(there, tmp_path / "damaged", code=9)["error"]
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    error = unpack(there, tmp_path / "cut", code=9)["error"]
    assert isinstance(error, dict) and "truncated" in error["details"][0]
    assert there.json("list") == []
    assert list((there.root / "tmp").iterdir()) == [there.root / "tmp/trash"]
    assert len(unpack(there, bundle[0])["added"]) == 6  # type: ignore[arg-type]


def test_a_killed_pack_leaves_no_bundle_and_a_killed_unpack_goes_on(
    world: World, bundle: tuple[Path, str], tmp_path: Path
) -> None:
    process = world.start("pack", "project", "-o", str(tmp_path / "b"), "--best")
    while not appears(tmp_path, ".vstore-pack-*/bundle") and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert not (tmp_path / "b").exists()
    there = other(world, tmp_path)
    process = there.start("unpack", str(bundle[0]))
    while not appears(there.root / "tmp", "*-*/tree/*") and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert unpack(there, bundle[0], "--profile", "p")["generation"] == 1
    assert there.json("verify", "--contents")["problems"] == []


def written(fill: Callable[[BundleWriter], object], top: StorePath = TOP) -> bytes:
    file = io.BytesIO()
    writer = BundleWriter(file, [top], url="test")
    fill(writer)
    writer.finish()
    return file.getvalue()


def test_what_is_put_is_got(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1000)

    def fill(writer: BundleWriter) -> None:
        writer.put("objects/a.json", b"{}")
        assert writer.get("objects/a.json", limit=9) == b"{}"
        writer.put("archives/a", tmp_path / "large")
        assert not writer.create("objects/a.json", b"other")

    (tmp_path / "b").write_bytes(written(fill))
    with BundleReader(tmp_path / "b") as reader:
        assert reader.tops == (TOP,)
        assert reader.get("objects/a.json", limit=2) == b"{}" and reader.get("nothing", limit=2) is None
        assert reader.get_ranges("archives/a", [(0, 1), (998, 1000)]) == [b"x", b"xx"]
        assert [stat.size_bytes for stat in reader.scan("archives")] == [1000]
        assert reader.download("archives/a", tmp_path / "copy", limit=1000) == 1000


def raw(path: bytes, content: bytes = b"x", kind: EntryKind = EntryKind.FILE, top: bytes = b"vstore-bundle") -> bytes:
    target = b"../.." if kind == EntryKind.SYMLINK else b""
    size = len(content) if kind == EntryKind.FILE else 0
    data = content + bytes(padding(len(content))) if kind == EntryKind.FILE else b""
    return member(top, Entry(path, kind, size=size, target=target)) + data


@pytest.mark.parametrize(
    "bad",
    [
        raw(b"../x"),
        raw(b"a/../b"),
        raw(b"a//b"),
        raw(b"link", kind=EntryKind.SYMLINK),
        raw(b"folder", kind=EntryKind.DIRECTORY),
        raw(b"a") + raw(b"a"),
        raw(b"a", top=b"elsewhere"),
        raw("é".encode()),
        raw(b"a")[:-600],
        b"\1" * 512,
    ],
    ids=["up", "inner up", "empty part", "link", "folder", "twice", "outside", "odd name", "torn", "noise"],
)
def test_a_member_that_no_bundle_has_is_refused(tmp_path: Path, bad: bytes) -> None:
    good = written(lambda writer: None)
    (tmp_path / "b").write_bytes(good[: -len(END)] + bad + END)
    with pytest.raises(ArchiveError):
        BundleReader(tmp_path / "b")
    (tmp_path / "b").write_bytes(good)
    BundleReader(tmp_path / "b").close()


def test_a_size_below_nothing_is_refused(tmp_path: Path) -> None:
    """Octal digits with a sign before them, which would lead back to what was read already."""
    header = bytearray(member(b"vstore-bundle", Entry(b"x", EntryKind.FILE)))
    header[124:136] = b"-0000002000\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data = written(lambda writer: None)
    (tmp_path / "b").write_bytes(data.removesuffix(END) + header + END)
    with pytest.raises(ArchiveError, match="damaged"):
        BundleReader(tmp_path / "b")


@pytest.mark.parametrize("more", [b"x", bytes(512), END, b"PK\3\4"])
def test_what_follows_the_end_of_a_bundle_is_refused(tmp_path: Path, more: bytes) -> None:
    (tmp_path / "b").write_bytes(written(lambda writer: None) + more)
    with pytest.raises(ArchiveError, match="damaged"):
        BundleReader(tmp_path / "b")


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + bytes(2000), bytes(4096), raw(b"", kind=EntryKind.DIRECTORY) + END])
def test_what_is_no_bundle_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(ArchiveError):
        BundleReader(tmp_path / "b")


@pytest.mark.fast
def test_an_unsigned_bomb_is_refused_however_it_comes(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with open(tmp_path / "tree/zeros", "wb") as file:
        file.truncate(300 << 20)
    manifest = scan(tmp_path / "tree")
    top = StorePath.make(manifest.digest, "zeros")
    made = Packer(limits=Limits().without_ratio()).pack(
        tmp_path / "tree", manifest, tmp_path / "archive", name=str(top)
    )
    assert made.size_bytes < 100_000 and made.index_digest is not None
    record = ObjectRecord(
        path=top,
        digest=manifest.digest,
        kind=Kind.FRAMEWORK,
        size_bytes=manifest.size_bytes,
        references=(),
        archive=Archive.of(made),
    )

    def fill(writer: BundleWriter | MemoryTransport) -> None:
        writer.put("vstore-cache.json", b'{"compression":"zst","format":1}')
        writer.put(archive_key(top), tmp_path / "archive")
        writer.put(object_key(top), encode(record))

    (tmp_path / "b").write_bytes(written(fill, top))
    fill(folder := MemoryTransport())
    with Store.open(tmp_path / "root") as store:
        with pytest.raises(ArchiveError, match="more than 1000 times its size"):
            unpack_bundle(store, tmp_path / "b", trust=Trust(), reporter=NullReporter())
        with pytest.raises(CacheError, match="more than 1000 times its size"):
            pull(Fetcher(store, trust=Trust(), reporter=NullReporter()), FileCache(folder), [top])
        assert list(store.layout.tmp.iterdir()) == [store.layout.trash]


@pytest.mark.fast
@pytest.mark.parametrize("layers", [[], [{"name": "app", "kind": "application", "path": f"{'1' * 32}-app"}]])
def test_a_stack_that_could_not_run_becomes_no_generation(tmp_path: Path, layers: list[object]) -> None:
    with machine(tmp_path / "root") as one:
        document = {"format": 1, "name": "demo", "target": "linux_x86_64", "layers": layers}
        stack = one.add("demo-stack", {"stack.json": canonical_json(document) + b"\n"}, kind=Kind.STACK)
        with pytest.raises(StoreError, match="cannot run"):
            make_generation(one.store, [stack], "demo")
        assert list(one.store.layout.profiles.iterdir()) == []


def test_what_no_reader_would_take_is_not_written() -> None:
    tops = [StorePath.make(Digest(number.to_bytes(32, "big")), "top") for number in range(30_000)]
    with open(os.devnull, "wb") as nowhere:
        with pytest.raises(ArchiveError, match="the names of the objects need more"):
            BundleWriter(nowhere, tops, url="here")
        writer = BundleWriter(nowhere, tops[:1], url="here")
        for number in range(199_999):
            writer.put(f"{number}", b"")
        with pytest.raises(ArchiveError, match="more than 200000 members"):
            writer.put("more", b"")


def test_a_bomb_is_pushed_only_with_a_signature(tmp_path: Path) -> None:
    """Without one nobody would take it."""
    with machine(tmp_path / "root") as one:
        path = one.add("zeros", {"zeros": bytes(300 << 20)})
        with pytest.raises(ArchiveError, match="more than 1000 times its size"):
            one.push(folder_cache(tmp_path / "cache"), path, keys=())
        one.push(folder_cache(tmp_path / "cache"), path)
