"""The places of images on disk. Their contract is in `tests/publish/test_outputs`, registries in `test_registry`."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.images import make_image
from scripts.testing.world import World
from vstore.errors import UsageError
from vstore.oci import Descriptor, ImageIndex, media_types
from vstore.oci.layout import TAG, blob_path
from vstore.publish.image.destinations import LayoutFile, LayoutFolder
from vstore.store import Store

TOP = Descriptor.of(media_types.MANIFEST, b"manifest", {"dev.vstore.path": "…"})
BLOB = Descriptor.of(media_types.ZSTD_LAYER, b"layer")


@pytest.fixture
def store(realised: World) -> Iterator[Store]:
    with Store.open(realised.root) as opened:
        yield opened


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    (tmp_path / "blob").write_bytes(b"layer")
    return tmp_path / "blob"


def put(place: LayoutFolder | LayoutFile, store: Store, blob: Path) -> None:
    with place.opened(store) as opened:
        if not opened.has(BLOB):
            opened.put(BLOB, blob)
        assert opened.has(BLOB)
        opened.put_document(Descriptor.of(media_types.CONFIG, b"config"), b"config")
        opened.finish(TOP, b"manifest")


def tags(folder: Path) -> dict[str | None, str]:
    manifests = ImageIndex.decode((folder / "index.json").read_bytes()).manifests
    return {one.annotations.get(TAG): str(one.digest) for one in manifests}


def test_images_of_others_in_a_folder_stay(store: Store, tmp_path: Path, blob: Path) -> None:
    other = make_image(tmp_path / "layout", [b"\0" * 1024], tag="theirs")
    place = LayoutFolder(folder=tmp_path / "layout", store=store.layout.root, tags=("a", "b"))
    put(place, store, blob)
    put(place, store, blob)
    assert tags(place.folder) == {"theirs": str(other), "a": str(TOP.digest), "b": str(TOP.digest)}
    assert (place.folder / blob_path(BLOB.digest)).read_bytes() == b"layer"
    assert sorted(os.listdir(place.folder)) == ["blobs", "index.json", "oci-layout"]


def test_the_tag_of_an_image_of_others_is_refused(store: Store, tmp_path: Path) -> None:
    make_image(tmp_path / "layout", [b"\0" * 1024], tag="theirs")
    place = LayoutFolder(folder=tmp_path / "layout", store=store.layout.root, tags=("theirs",))
    with pytest.raises(UsageError, match="did not make the image theirs"):
        place.check()


def test_a_blob_that_was_cut_off_is_written_again(store: Store, tmp_path: Path, blob: Path) -> None:
    place = LayoutFolder(folder=tmp_path / "layout", store=store.layout.root)
    put(place, store, blob)
    (place.folder / blob_path(BLOB.digest)).write_bytes(b"lay")
    assert not place.has(BLOB)
    put(place, store, blob)
    assert place.has(BLOB)


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX systems")
@pytest.mark.parametrize("inside", ["blobs", "blobs/sha256", "index.json", "oci-layout"])
def test_links_in_a_folder_are_not_followed(store: Store, tmp_path: Path, blob: Path, inside: str) -> None:
    place = LayoutFolder(folder=tmp_path / "layout", store=store.layout.root)
    put(place, store, blob)
    (place.folder / inside).rename(tmp_path / "elsewhere")
    (place.folder / inside).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="there is a link"):
        place.check()


def test_an_image_that_fails_is_not_listed(store: Store, tmp_path: Path, blob: Path) -> None:
    for place in (
        LayoutFolder(folder=tmp_path / "layout", store=store.layout.root),
        LayoutFile(file=tmp_path / "layout.tar", store=store.layout.root),
    ):
        with pytest.raises(FileNotFoundError), place.opened(store) as opened:
            opened.put(BLOB, blob.with_name("missing"))
    assert tags(tmp_path / "layout") == {}
    assert not (tmp_path / "layout.tar").exists()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".vstore")]


def test_a_file_has_the_same_bytes_each_time(store: Store, tmp_path: Path, blob: Path) -> None:
    first, second = (LayoutFile(file=tmp_path / name, store=store.layout.root) for name in ("a.tar", "b.tar"))
    put(first, store, blob)
    put(second, store, blob)
    put(second, store, blob)
    assert first.file.read_bytes() == second.file.read_bytes()
    with tarfile.open(first.file) as tar:
        assert {(one.uid, one.gid, one.mtime, one.mode) for one in tar} == {(0, 0, 315_619_200, 0o644)}
        assert tar.getnames()[0] == "oci-layout" and tar.getnames()[-1] == "index.json"
