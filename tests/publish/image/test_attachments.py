"""Artifacts of images: in layouts and in registries, with and without a list of referrers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.memory_registry import MemoryRepository
from scripts.testing.world import World
from tests.sbom.validators import assert_cyclonedx, assert_spdx
from vstore.objects import StorePath
from vstore.oci import Descriptor, ImageIndex, ImageManifest, Reference, media_types
from vstore.oci.layout import open_layout
from vstore.publish.image.attachments import Artifact, Attachment, referrers_tag
from vstore.publish.image.destinations import RegistryRepository

TOP = Descriptor.of(media_types.MANIFEST, b"an image")
PATH = StorePath.parse("0123456789abcdfghijklmnpqrsvwxyz-app")


def artifact(data: bytes) -> Artifact:
    attachment = Attachment(path=PATH, media_type="application/spdx+json", name="app.spdx.json", data=data)
    return Artifact(attachment=attachment, subject=TOP)


class ListingRegistry(MemoryRepository):
    """A registry that lists referrers."""

    def find(self, key: str) -> bytes | None:
        return ImageIndex(manifests=()).encode() if key.startswith("referrers/") else super().find(key)

    def get(self, key: str, *, limit: int) -> bytes | None:
        return self.find(key) if key.startswith("referrers/") else super().get(key, limit=limit)


def finish(registry: MemoryRepository, *artifacts: Artifact) -> None:
    place = RegistryRepository(reference=Reference.parse("memory.test/repository:1"), transport=registry, tags=("1",))
    place.finish(TOP, b"an image", artifacts)


def test_a_registry_that_lists_them_gets_no_tag_for_them() -> None:
    registry = ListingRegistry()
    finish(registry, artifact(b"{}"))
    assert list(registry.tagged) == ["1"]


def test_in_another_registry_a_tag_lists_them_beside_those_of_others() -> None:
    registry = MemoryRepository()
    tag = referrers_tag(TOP.digest)
    signature = Descriptor.of(media_types.MANIFEST, b"a signature")
    registry.put(f"manifests/{tag}", ImageIndex(manifests=(signature,)).encode())
    for _ in range(2):
        finish(registry, artifact(b"{}"))
        finish(registry, artifact(b"[]"))
    listed = ImageIndex.decode(registry.find(f"manifests/{tag}") or b"").manifests
    assert listed == (signature, artifact(b"{}").descriptor, artifact(b"[]").descriptor)
    assert {one.artifact_type for one in listed[1:]} == {"application/spdx+json"}


class RacingRegistry(MemoryRepository):
    """A registry where another client writes the list each time after it was read, a few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def put(self, key: str, data: bytes | Path) -> None:
        super().put(key, data)
        if key == f"manifests/{referrers_tag(TOP.digest)}" and self.times:
            self.times -= 1
            other = Descriptor.of(media_types.MANIFEST, f"other {self.times}".encode())
            super().put(key, ImageIndex(manifests=(other,)).encode())


def test_a_list_that_another_client_wrote_at_the_same_time_is_written_again() -> None:
    registry = RacingRegistry(2)
    finish(registry, artifact(b"{}"))
    listed = ImageIndex.decode(registry.find(f"manifests/{referrers_tag(TOP.digest)}") or b"").manifests
    assert listed == (Descriptor.of(media_types.MANIFEST, b"other 0"), artifact(b"{}").descriptor)


def entries(place: Path) -> list[Any]:
    with open_layout(place) as layout:
        return [(one, layout.document(one)) for one in layout.index().manifests]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["layout", "layout.tar"])
def test_a_layout_lists_the_sbom_of_its_image(realised: World, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    plain = realised.json("image", "project/hello", "-o", str(place))
    assert plain["sboms"] == []
    planned = realised.json("image", "project/hello", "-o", str(place), "--sbom", "spdx", "--dry-run")
    made = realised.json("image", "project/hello", "-o", str(place), "--sbom", "spdx")
    assert planned["sboms"] == made["sboms"] and made["digest"] == plain["digest"]
    (image, _), (listed, document) = entries(place)
    manifest = ImageManifest.decode(document)
    assert manifest.subject is not None and str(manifest.subject.digest) == str(image.digest) == made["digest"]
    assert listed.artifact_type == manifest.artifact_type == "application/spdx+json"
    [sbom] = made["sboms"]
    assert (sbom["digest"], sbom["image"]) == (str(listed.digest), made["digest"])
    with open_layout(place) as layout:
        data = layout.document(manifest.layers[0])
        assert layout.document(manifest.config) == b"{}"
    assert_spdx(data, tmp_path)
    assert data.decode() == realised.run("sbom", "project/hello", "--format", "spdx")[0]
    assert realised.json("image", "project/hello", "-o", str(place), "--sbom", "spdx")["sboms"] == made["sboms"]
    assert len(entries(place)) == 2


@pytest.mark.slow
def test_an_image_that_takes_the_tag_takes_the_sbom_of_the_other_away(realised: World, tmp_path: Path) -> None:
    place = tmp_path / "layout"
    first = realised.json("image", "project/hello", "-o", str(place), "--tag", "one", "--sbom", "cyclonedx")
    second = realised.json(
        "image", "project/hello", "-o", str(place), "--tag", "two", "--label", "a=b", "--sbom", "spdx"
    )
    assert first["digest"] != second["digest"] and len(entries(place)) == 4
    realised.json("image", "project/hello", "-o", str(place), "--tag", "one", "--label", "c=d")
    left = [str(one.digest) for one, _ in entries(place) if one.artifact_type]
    assert left == [sbom["digest"] for sbom in second["sboms"]]
    documents = [json.loads(data) for one, data in entries(place) if one.artifact_type]
    assert [one["subject"]["digest"] for one in documents] == [second["digest"]]
    assert_cyclonedx(realised.run("sbom", "project/hello")[0].encode())
