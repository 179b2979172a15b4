"""Images of several platforms, made on this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.platforms import Realised
from vstore.oci import ImageIndex, media_types
from vstore.oci.layout import open_layout
from vstore.target import Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(Target.host() != Target.LINUX_X86_64, reason="aarch64 is a foreign platform elsewhere"),
]
BOTH = ("--platform", "linux_x86_64", "--platform", "linux_aarch64")


def test_one_machine_makes_the_index_of_several_platforms(realised: Realised, tmp_path: Path) -> None:
    world, _ = realised
    made = world.json("image", str(world.spec), *BOTH, "-o", str(tmp_path / "image"), "--annotation", "a=b")
    assert [image["platform"] for image in made["images"]] == ["linux/arm64", "linux/amd64"]
    with open_layout(tmp_path / "image") as layout:
        [top] = layout.index().manifests
        assert top.media_type == media_types.INDEX and str(top.digest) == made["digest"]
        index = ImageIndex.decode(layout.document(top))
        assert [str(one.digest) for one in index.manifests] == [image["digest"] for image in made["images"]]
        assert [str(one.platform) for one in index.manifests] == ["linux/arm64", "linux/amd64"]
        for image, architecture in zip(made["images"], ("arm64", "amd64"), strict=True):
            config = json.loads((tmp_path / "image" / "blobs/sha256" / image["image_id"][7:]).read_bytes())
            assert config["architecture"] == architecture
    again = world.json("image", str(world.spec), *BOTH, "-o", str(tmp_path / "image"), "--annotation", "a=b")
    assert again["digest"] == made["digest"] and again["written"] == []


def test_a_base_must_have_each_platform(realised: Realised, tmp_path: Path) -> None:
    world, _ = realised
    arm = ("--platform", "linux_aarch64")
    base = world.json("image", str(world.spec), *arm, "-o", str(tmp_path / "base"))
    made = world.json("image", str(world.spec), *arm, "-o", str(tmp_path / "own"), "--base", str(tmp_path / "base"))
    assert made["images"][0]["base"] == [layer["digest"] for layer in base["images"][0]["layers"]]
    arguments = ("-o", str(tmp_path / "both"), "--base", str(tmp_path / "base"))
    error = world.json("image", str(world.spec), *BOTH, *arguments, code=2)["error"]
    assert error["message"].startswith("the base is not for linux/amd64")
    assert error["hint"] == "its platforms: linux/arm64"


@pytest.mark.parametrize("target", ["win_amd64", "macosx_arm64"])
def test_other_systems_have_no_images(realised: Realised, tmp_path: Path, target: str) -> None:
    world, _ = realised
    place = ("-o", str(tmp_path / "image"))
    error = world.json("image", str(world.spec), "--platform", target, *place, code=2)["error"]
    assert error["message"] == f"no image for {target}: containers of images run Linux"
    assert not (tmp_path / "image").exists()
