"""Bases in OCI layouts. Those of registries are in `test_registry`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.images import HOST, make_image
from vstore.errors import ArchiveError, UsageError
from vstore.oci import Descriptor, ImageIndex, ImageManifest, ImagePlatform, Reference, Sha256, media_types
from vstore.oci.layout import blob_path
from vstore.publish.image.bases import open_base
from vstore.remote.transport.protocol import Transport

ARM = ImagePlatform(os="linux", architecture="riscv64", variant="v1")
TAR = b"\0" * 1024


def no_registry(reference: Reference) -> Transport:
    raise AssertionError(f"{reference} is opened")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return tmp_path / "layout"


def test_the_only_image_needs_no_tag(layout: Path) -> None:
    digest = make_image(layout, [TAR, TAR])
    with open_base(str(layout), no_registry) as base:
        image = base.image(HOST)
    assert image.digest == digest and len(image.layers) == 2 and image.name is None


def test_a_tag_chooses_among_several(layout: Path) -> None:
    make_image(layout, [TAR], tag="one")
    second = make_image(layout, [TAR, TAR], tag="name:two")
    with open_base(f"{layout}:name:two", no_registry) as base:
        assert base.image(HOST).digest == second
    with open_base(str(layout), no_registry) as base, pytest.raises(UsageError, match="several images"):
        base.image(HOST)
    with (
        pytest.raises(UsageError, match="no image is tagged three") as caught,
        open_base(f"{layout}:three", no_registry),
    ):
        pass
    assert caught.value.hint == "tags: one, name:two"


def test_the_image_of_the_right_platform_is_taken(layout: Path) -> None:
    own = make_image(layout, [TAR], tag="own")
    make_image(layout, [TAR, TAR], tag="arm", platform=ARM)
    nested = ImageIndex(manifests=ImageIndex.decode((layout / "index.json").read_bytes()).manifests).encode()
    (layout / blob_path(Sha256.of(nested))).write_bytes(nested)
    top = ImageIndex(manifests=(Descriptor.of(media_types.INDEX, nested),))
    (layout / "index.json").write_bytes(top.encode())
    with open_base(str(layout), no_registry) as base:
        assert base.image(HOST).digest == own
        assert len(base.image(ARM).layers) == 2
        with pytest.raises(UsageError, match="not for linux/s390x") as caught:
            base.image(ImagePlatform(os="linux", architecture="s390x"))
    assert "riscv64" in str(caught.value.hint)


def test_what_is_no_image_in_an_index_is_passed_over(layout: Path) -> None:
    """BuildKit puts attestations beside the images."""
    own = make_image(layout, [TAR])
    make_image(layout, [], tag="attestation", platform=ImagePlatform(os="unknown", architecture="unknown"))
    artifact = ImageManifest(config=Descriptor.of(media_types.EMPTY, b"{}"), layers=()).encode()
    (layout / blob_path(Sha256.of(artifact))).write_bytes(artifact)
    index = ImageIndex.decode((layout / "index.json").read_bytes())
    more = (*index.manifests, Descriptor.of(media_types.MANIFEST, artifact), Descriptor.of("text/plain", b"x"))
    (layout / "index.json").write_bytes(ImageIndex(manifests=more).encode())
    with open_base(str(layout), no_registry) as base:
        assert base.image(HOST).digest == own


def test_an_index_in_itself_ends(layout: Path) -> None:
    """The digest of an index cannot be in it, but a chain of them can be long."""
    make_image(layout, [TAR])
    for _ in range(6):
        data = (layout / "index.json").read_bytes()
        (layout / blob_path(Sha256.of(data))).write_bytes(data)
        (layout / "index.json").write_bytes(ImageIndex(manifests=(Descriptor.of(media_types.INDEX, data),)).encode())
    with open_base(str(layout), no_registry) as base, pytest.raises(ArchiveError, match="too many indexes"):
        base.image(HOST)


@pytest.mark.parametrize("changed", ["config", "manifest"])
def test_a_damaged_base_is_one_line(layout: Path, changed: str) -> None:
    digest = make_image(layout, [TAR])
    manifest = layout / blob_path(digest)
    config = layout / blob_path(ImageManifest.decode(manifest.read_bytes()).config.digest)
    file = {"config": config, "manifest": manifest}[changed]
    file.write_bytes(file.read_bytes() + b" ")
    with open_base(str(layout), no_registry) as base, pytest.raises(ArchiveError, match="damaged") as caught:
        base.image(HOST)
    assert "\n" not in caught.value.message


def test_a_base_whose_config_has_other_layers_is_malformed(layout: Path) -> None:
    manifest = ImageManifest.decode((layout / blob_path(make_image(layout, [TAR]))).read_bytes())
    config = json.loads((layout / blob_path(manifest.config.digest)).read_bytes())
    config["rootfs"]["diff_ids"] *= 2
    data = json.dumps(config).encode()
    other = ImageManifest(config=Descriptor.of(media_types.CONFIG, data), layers=manifest.layers).encode()
    for blob in (data, other):
        (layout / blob_path(Sha256.of(blob))).write_bytes(blob)
    (layout / "index.json").write_bytes(ImageIndex(manifests=(Descriptor.of(media_types.MANIFEST, other),)).encode())
    with open_base(str(layout), no_registry) as base, pytest.raises(ArchiveError, match="malformed base"):
        base.image(HOST)


def test_what_is_nothing_is_one_line(tmp_path: Path) -> None:
    for text, found in ((str(tmp_path / "none"), "no such file"), ("debian:13", "not an image reference")):
        with pytest.raises(UsageError, match=found), open_base(text, no_registry):
            pass
    with pytest.raises(ArchiveError, match="not an OCI layout"), open_base(str(tmp_path), no_registry):
        pass
