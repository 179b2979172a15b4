"""An object is packed once: for caches, folders, bundles and servers, in several processes and after damage."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from scripts.testing.machine import KEY, TRUST, Machine, Said, folder_cache, machine
from scripts.testing.registries import docker_registry
from scripts.testing.world import World
from vstore.archive import Compression, Limits, Packer, unpack
from vstore.errors import ArchiveError
from vstore.objects import StorePath
from vstore.publish import ArchiveOptions, ArchiveOutput, BundleOptions, BundleOutput, members_of_objects
from vstore.remote import Pusher, PushOptions, Signer, open_cache
from vstore.remote.file_cache.layout import archive_key
from vstore.remote.packing.packed_archives import PackedArchives
from vstore.reporter import CancellableReporter
from vstore.store import Store
from vstore.store.health.reindex import reindex


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path / "builder") as one:
        yield one


def archives(builder: Machine, level: int | None = None) -> PackedArchives:
    return PackedArchives(builder.store, level=level, reporter=CancellableReporter(builder.said))


def packings(said: Said) -> int:
    """How often something was packed, as the real code says."""
    return sum("packed, as" in text for text in said.details)


def limited(builder: Machine, size: str) -> None:
    """Set the limit of kept archives, before the store reads its settings."""
    builder.store.layout.config_file.write_text(f'archives.max_size = "{size}"')


def test_what_was_pushed_is_published_bundled_and_pushed_without_packing(builder: Machine, tmp_path: Path) -> None:
    low, mid, top = builder.add_three()
    builder.push(folder_cache(tmp_path / "one"), top)
    assert packings(builder.said) == 3
    builder.push(folder_cache(tmp_path / "two"), top)
    stack = members_of_objects(builder.store, (low, mid, top))
    ArchiveOutput(store=builder.store, folder=tmp_path / "site", target="any", options=ArchiveOptions()).write(
        stack, reporter=builder.said
    )
    BundleOutput(store=builder.store, file=tmp_path / "bundle", options=BundleOptions()).write(
        stack, reporter=builder.said
    )
    assert packings(builder.said) == 3
    for path in (low, mid, top):
        files = [tmp_path / place / archive_key(path) for place in ("one", "two")]
        files.append(tmp_path / "site" / f"{path.name}.tar.zst")
        assert {sha256(file.read_bytes()).hexdigest() for file in files} == {found(builder, path)}


def test_an_archive_that_a_registry_has_is_not_packed_if_its_digest_is_known(builder: Machine, tmp_path: Path) -> None:
    """As that of an image, or of a record that a collection deleted."""
    limited(builder, "0")
    path = builder.add("low", {"a": os.urandom(100_000)})
    with docker_registry(tmp_path / "registry") as registry:
        cache = open_cache(registry.url("some/cache"))
        builder.push(cache, path)
        for item in cache.inventory().items.values():
            cache.writer.delete(item.keys)
        assert cache.object(path, TRUST) is None
        builder.push(cache, path)
        assert packings(builder.said) == 1
        record = cache.object(path, TRUST)
        assert record is not None and cache.file(record).size_bytes() == record.archive.size_bytes


def found(builder: Machine, path: StorePath) -> str:
    info = archives(builder).info(path)
    assert info is not None
    return info.sha256


def test_other_forms_of_archives_are_packed_by_themselves(builder: Machine, tmp_path: Path) -> None:
    path = builder.add("app", {"m.py": b"1", "__pycache__/m.pyc": b"2"})
    stack = members_of_objects(builder.store, (path,))
    for options in (ArchiveOptions(compression=Compression.XZ), ArchiveOptions(bytecode=False)):
        folder = tmp_path / f"{options.compression}-{options.bytecode}"
        ArchiveOutput(store=builder.store, folder=folder, target="any", options=options).write(stack)
    assert archives(builder).info(path) is None
    builder.push(folder_cache(tmp_path / "cache"), path)
    manifest = unpack(tmp_path / "cache" / archive_key(path), tmp_path / "tree")
    assert manifest == builder.store.manifest(path)[0]


def test_without_room_nothing_is_kept_but_the_digests(builder: Machine, tmp_path: Path) -> None:
    limited(builder, "0")
    path = builder.add("low")
    with archives(builder).packed(path) as (file, made):
        assert sha256(file.read_bytes()).hexdigest() == made.sha256
    assert not builder.store.layout.archives.exists()
    assert archives(builder).info(path) == made
    assert archives(builder).write(path, tmp_path / "again") == made
    assert packings(builder.said) == 2


def _cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-1])


def _changed(place: Path) -> None:
    data = bytearray(place.read_bytes())
    data[20] ^= 1
    place.write_bytes(bytes(data))


def _linked(place: Path) -> None:
    (place.parent / "other").write_bytes(place.read_bytes())
    place.unlink()
    place.symlink_to(place.parent / "other")


def _folder(place: Path) -> None:
    place.unlink()
    place.mkdir()


def _fifo(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _changed, _linked, _folder, _fifo])
def test_a_kept_archive_that_is_not_as_it_was_is_packed_again(
    builder: Machine, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = builder.add("low", {"a": os.urandom(1000)})
    made = archives(builder).write(path, tmp_path / "one")
    place = builder.store.layout.archive(path, 3)
    damage(place)
    assert archives(builder).write(path, tmp_path / "two") == made
    assert sha256((tmp_path / "two").read_bytes()).hexdigest() == made.sha256
    assert packings(builder.said) == 2


def test_an_archive_of_another_level_or_packer_is_another(builder: Machine, tmp_path: Path) -> None:
    path = builder.add("low", {"a": b"some text " * 1000})
    one = archives(builder).write(path, tmp_path / "one")
    assert archives(builder, 19).info(path) is None
    assert archives(builder, 19).write(path, tmp_path / "best") != one
    with builder.store.database.transaction() as connection:
        connection.execute("UPDATE archives SET packer = 'zst 1 0.9.9' WHERE level = 3")
    assert archives(builder).info(path) is None
    assert archives(builder).write(path, tmp_path / "two") == one
    assert packings(builder.said) == 3
    assert archives(builder).info(path) == one


def test_the_longest_unused_archives_go_first(builder: Machine, tmp_path: Path) -> None:
    limited(builder, "256K")
    packed = archives(builder)
    paths = [builder.add(f"one-{number}", {"a": os.urandom(60_000)}) for number in range(6)]
    for number, path in enumerate(paths[:4]):
        packed.write(path, tmp_path / f"{number}")
    for age, path in enumerate((paths[0], paths[2], paths[1], paths[3])):
        place = builder.store.layout.archive(path, 3)
        os.utime(place, (1_000_000_000 - age, place.stat().st_mtime))
    packed.write(paths[3], tmp_path / "used")
    for number in (4, 5):
        packed.write(paths[number], tmp_path / f"{number}")
    names = {file.name for file in builder.store.layout.archives.iterdir()}
    assert names == {f"{paths[number]}.3.tar.zst" for number in (0, 3, 4, 5)}
    large = builder.add("large", {"a": os.urandom(300_000)})
    assert packed.write(large, tmp_path / "large").size_bytes > 256 << 10
    assert {file.name for file in builder.store.layout.archives.iterdir()} == names


def test_a_place_that_cannot_be_written_is_no_error(builder: Machine, tmp_path: Path) -> None:
    builder.store.layout.archives.write_text("a file in place of the folder")
    low, _, top = builder.add_three()
    builder.push(folder_cache(tmp_path / "cache"), top)
    assert archives(builder).info(low) is not None
    assert builder.store.layout.archives.read_text() == "a file in place of the folder"


def test_a_store_that_is_only_read_keeps_nothing_and_takes_what_is_kept(builder: Machine, tmp_path: Path) -> None:
    one, other = builder.add("one"), builder.add("other")
    made = archives(builder).write(one, tmp_path / "one")
    with Store.open(tmp_path / "builder", read_only=True) as store:
        said = Said()
        packed = PackedArchives(store, reporter=CancellableReporter(said))
        assert packed.write(one, tmp_path / "again") == made
        assert packings(said) == 0
        packed.write(other, tmp_path / "other")
        assert packings(said) == 1 and packed.info(other) is None
    assert len(list(builder.store.layout.archives.iterdir())) == 1


def test_an_archive_that_readers_would_refuse_is_not_taken(builder: Machine, tmp_path: Path) -> None:
    """One that was packed for clients that trust a signature, asked for by a push without a key."""
    path = builder.add("zeros", {"a": bytes(1 << 20)})
    lenient = PackedArchives(builder.store, limits=Limits().without_ratio())
    lenient.write(path, tmp_path / "one")
    with pytest.raises(ArchiveError, match="more than 2 times its size"):
        PackedArchives(builder.store, limits=Limits(ratio=2, ratio_free_bytes=0)).write(path, tmp_path / "two")


def test_a_new_index_knows_no_archives_and_they_are_packed_again(tmp_path: Path) -> None:
    with machine(tmp_path / "root") as builder:
        path = builder.add("low")
        made = archives(builder).write(path, tmp_path / "one")
    reindex(tmp_path / "root")
    with machine(tmp_path / "root") as builder:
        assert archives(builder).info(path) is None
        assert archives(builder).write(path, tmp_path / "two") == made
        assert packings(builder.said) == 1


def test_a_damaged_object_is_not_packed(builder: Machine, tmp_path: Path) -> None:
    path = builder.add("low")
    file = builder.store.layout.object(path) / "a"
    file.chmod(0o644)
    file.write_bytes(b"LOW")
    with pytest.raises(ArchiveError, match="differs"):
        archives(builder).write(path, tmp_path / "one")
    assert archives(builder).info(path) is None and not (tmp_path / "one").exists()


@pytest.mark.slow
def test_two_processes_pack_an_object_once(tmp_path: Path) -> None:
    with machine(tmp_path / "root") as builder:
        path = builder.add("large", {f"{number}": os.urandom(1 << 20) * 8 for number in range(20)})
    world = World(tmp_path, tmp_path / "root")
    started = [world.start("-v", "push", str(tmp_path / cache), str(path)) for cache in ("one", "two")]
    texts = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], texts
    assert sum(text.count("packed, as") for text in map(str, texts)) == 1, texts
    one, two = (tmp_path / cache / archive_key(path) for cache in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_version_of_a_packer_names_its_compressor() -> None:
    versions = [Packer(compression).version for compression in Compression]
    assert len(set(versions)) == 3 and all(text[:3].strip() in ("zst", "xz", "gz") for text in versions)


def test_a_push_with_another_level_writes_that_level(builder: Machine, tmp_path: Path) -> None:
    path = builder.add("low", {"a": b"".join(b"%d " % (number * number) for number in range(50_000))})
    for level in (1, 12):
        cache = folder_cache(tmp_path / f"cache-{level}")
        Pusher(builder.store, cache, Signer((KEY,)), PushOptions(level=level), reporter=builder.said).push([path])
    sizes = [(tmp_path / f"cache-{level}" / archive_key(path)).stat().st_size for level in (1, 12)]
    assert sizes[0] != sizes[1] and packings(builder.said) == 2


@pytest.mark.root
def test_a_folder_on_another_mount_is_filled_by_copies_until_it_is_full(builder: Machine, tmp_path: Path) -> None:
    folder = builder.store.layout.archives
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    try:
        small, large = (builder.add(f"of-{size}", {"a": os.urandom(size)}) for size in (50_000, 500_000))
        made = [archives(builder).write(path, tmp_path / path.name) for path in (small, large)]
        assert [file.name for file in folder.iterdir()] == [f"{small}.3.tar.zst"]
        assert archives(builder).write(small, tmp_path / "again") == made[0]
        assert packings(builder.said) == 2
        assert sha256((tmp_path / "again").read_bytes()).hexdigest() == made[0].sha256
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_an_archive_of_another_user_is_compared_in_a_copy(builder: Machine, tmp_path: Path) -> None:
    """Who owns a file can write to it after it was compared."""
    path = builder.add("low")
    made = archives(builder).write(path, tmp_path / "one")
    place = builder.store.layout.archive(path, 3)
    os.chown(place, 12345, 12345)
    assert archives(builder).write(path, tmp_path / "two") == made
    assert (tmp_path / "two").stat().st_uid == 0 and not (tmp_path / "two").samefile(place)
    assert packings(builder.said) == 1
