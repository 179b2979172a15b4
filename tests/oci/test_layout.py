"""OCI layouts: folders and tar files."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from vstore.errors import ArchiveError
from vstore.oci import Descriptor, ImageIndex, ImageManifest, media_types
from vstore.oci.layout import LAYOUT, TAG, blob_path, open_layout

BLOB = b"layer" * 1000
LAYER = Descriptor.of(media_types.LAYER, BLOB)
MANIFEST = ImageManifest(config=Descriptor.of(media_types.CONFIG, b"{}"), layers=(LAYER,)).encode()
TOP = Descriptor.of(media_types.MANIFEST, MANIFEST, {TAG: "one"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "layout"
    (place / "blobs" / "sha256").mkdir(parents=True)
    (place / "oci-layout").write_bytes(LAYOUT)
    (place / "index.json").write_bytes(ImageIndex(manifests=(TOP,)).encode())
    for data in (MANIFEST, BLOB):
        (place / blob_path(Descriptor.of("a/b", data).digest)).write_bytes(data)
    return place


def packed(folder: Path, prefix: str = "") -> Path:
    file = folder.with_name("layout.tar")
    with tarfile.open(file, "w") as tar:
        tar.add(folder, arcname=prefix or ".")
    return file


@pytest.mark.parametrize("form", ["a folder", "a tar file"])
def test_a_layout_is_read(folder: Path, form: str, tmp_path: Path) -> None:
    with open_layout(folder if form == "a folder" else packed(folder)) as layout:
        assert layout.index().manifests == (TOP,)
        assert layout.document(TOP) == MANIFEST
        layout.copy(LAYER, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BLOB


@pytest.mark.parametrize("form", ["a folder", "a tar file"])
def test_another_content_is_found(folder: Path, form: str, tmp_path: Path) -> None:
    (folder / blob_path(TOP.digest)).write_bytes(MANIFEST + b" ")
    (folder / blob_path(LAYER.digest)).write_bytes(BLOB[:-1] + b"x")
    with open_layout(folder if form == "a folder" else packed(folder)) as layout:
        with pytest.raises(ArchiveError, match="damaged OCI layout"):
            layout.document(TOP)
        with pytest.raises(ArchiveError, match="damaged OCI layout"):
            layout.copy(LAYER, tmp_path / "copy")


@pytest.mark.parametrize("form", ["a folder", "a tar file"])
def test_a_missing_blob_is_one_line(folder: Path, form: str) -> None:
    (folder / blob_path(TOP.digest)).unlink()
    place = folder if form == "a folder" else packed(folder)
    with open_layout(place) as layout, pytest.raises(ArchiveError, match="incomplete OCI layout") as caught:
        layout.document(TOP)
    assert "\n" not in caught.value.message


def test_what_is_no_layout_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text" * 1000)
    places = [tmp_path / "empty", tmp_path / "text", packed(folder, "inside"), tmp_path / "nothing"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        places.append(tmp_path / "fifo")
    for place in places:
        with pytest.raises(ArchiveError, match="OCI layout"), open_layout(place):
            pass


def test_a_document_of_a_layout_is_bounded(folder: Path) -> None:
    with (folder / "index.json").open("ab") as file:
        file.truncate(1 << 30)
    with open_layout(folder) as layout, pytest.raises(ArchiveError, match="larger than"):
        layout.index()


def test_a_full_disk_is_not_a_damaged_layout(folder: Path, tmp_path: Path) -> None:
    with open_layout(folder) as layout, pytest.raises(OSError, match=r"File exists"):
        layout.copy(LAYER, folder / "oci-layout")
