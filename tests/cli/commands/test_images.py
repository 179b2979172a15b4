"""`vstore image` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.images import make_image
from scripts.testing.world import World
from vstore.oci import ImageConfig, ImageManifest, Sha256
from vstore.oci.layout import blob_path
from vstore.target import Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Target.host().is_linux, reason="images run Linux"),
]


def config(folder: Path, made: Any) -> ImageConfig:
    [image] = made["images"]
    return ImageConfig.decode((folder / blob_path(Sha256.parse(image["image_id"]))).read_bytes())


def test_two_machines_make_one_image(realised: World, world: World, tmp_path: Path) -> None:
    """Whatever its root, its day and its threads are, and in both forms of a layout."""
    first = realised.json("image", "project", "-o", str(tmp_path / "a"), "-j", "1")
    other = World(world.folder, tmp_path / "elsewhere" / "root")
    other.realise()
    second = other.json("image", str(other.spec), "-o", str(tmp_path / "b.tar"), "-j", "2")
    assert first["digest"] == second["digest"]
    assert [one["digest"] for one in first["images"][0]["layers"]] == [
        one["digest"] for one in second["images"][0]["layers"]
    ]
    assert (
        realised.json("image", "project", "-o", str(tmp_path / "c"), SOURCE_DATE_EPOCH="0")["digest"] != first["digest"]
    )


def test_a_dry_run_tells_the_truth(world: World, tmp_path: Path) -> None:
    place = ("-o", str(tmp_path / "image"), "--level", "2")  # not packed by any other test
    before = world.json("image", "project", *place, "--dry-run")
    assert before["digest"] is None and before["images"] == [] and not (tmp_path / "image").exists()
    made = world.json("image", "project", *place)
    assert made["written"] == before["written"]
    again = world.json("image", "project", *place, "--tag", "second", "--dry-run")
    assert again["digest"] == made["digest"] and again["images"] == made["images"]
    assert again["written"] == [] and again["sent_bytes"] == 0
    elsewhere = world.json("image", "project", "-o", str(tmp_path / "other"), *place[2:], "--dry-run")
    assert elsewhere["sent_bytes"] == sum(one["size_bytes"] for one in made["images"][0]["layers"])
    said, _ = world.run("image", "project", *place, "--dry-run")
    assert "0 layers would be written, 6 unchanged" in said and str(made["digest"]) in said


def test_options_reach_the_image(realised: World, tmp_path: Path) -> None:
    folder = tmp_path / "image"
    options = ("--user", "1:2", "--workdir", "/work", "--env", "A=b=c", "--env", "EMPTY=", "--label", "team=x")
    made = realised.json("image", "project@1", "-o", str(folder), *options, "--annotation", "k=v", "--tag", "app:1")
    defaults = config(folder, made).defaults
    assert (defaults.user, defaults.working_directory) == ("1:2", "/work")
    assert defaults.environment["A"] == "b=c" and defaults.environment["EMPTY"] == ""
    assert defaults.labels["team"] == "x" and defaults.labels["dev.vstore.generation"] == "1"
    manifest = ImageManifest.decode((folder / blob_path(Sha256.parse(made["digest"]))).read_bytes())
    assert manifest.annotations["k"] == "v"
    assert made["tags"] == ["app:1"]


def test_records_are_signed_by_the_keys_of_the_store(world: World, tmp_path: Path) -> None:
    world.run("key", "generate", "builder")
    made = world.json("image", "project/hello", "-o", str(tmp_path / "image"))
    manifest = ImageManifest.decode((tmp_path / "image" / blob_path(Sha256.parse(made["digest"]))).read_bytes())
    for layer in manifest.layers:
        records = [json.loads(layer.annotations["dev.vstore.object"])]
        records += json.loads(layer.annotations["dev.vstore.realisations"])
        assert len(records) == 2
        for record in records:
            assert record["path"] == layer.annotations["dev.vstore.path"]
            assert [one["key"] for one in record["signatures"]] == ["builder"]


def test_what_the_base_must_have_is_said(realised: World, tmp_path: Path) -> None:
    made = realised.json("image", "project", "-o", str(tmp_path / "image"))
    [image] = made["images"]
    assert image["needs_glibc"] is None or image["needs_glibc"].startswith("2.")
    said, _ = realised.run("image", "project", "-o", str(tmp_path / "image"))
    for library in image["needs_libraries"]:
        assert library in said


def test_mistakes_are_one_line_with_a_hint(realised: World, tmp_path: Path) -> None:
    place = ("-o", str(tmp_path / "image"))
    make_image(tmp_path / "base", [b"\0" * 1024], tag="one")
    for arguments, message in (
        (("project",), "an image goes to one place"),
        (("project", *place, "--push", "a.b/c:1"), "an image goes to one place"),
        (("project", "--push", "hello:1"), "not an image reference: hello:1"),
        (("project", "--push", "a.b/c:1", "--format", "file"), "--format is about --output"),
        (("project", *place, "--mount-from", "x"), "--mount-from is about --push"),
        (("project", *place, "--platform", "linux_x86_64"), "--platform needs a spec"),
        (("project", *place, "--entrypoint", "hallo"), "--entrypoint hallo: no such layer"),
        (("project", *place, "--base", str(tmp_path / "none")), "no such file or folder"),
        (("project", *place, "--base", f"{tmp_path}/base:two"), "no image is tagged two"),
        (("project", *place, "--env", "NAME"), "--env NAME: expected NAME=VALUE"),
        (("project", *place, "--best", "--level", "3"), "--best and --level exclude each other"),
    ):
        error = realised.json("image", *arguments, code=2)["error"]
        assert message in error["message"], arguments
        assert "\n" not in error["message"]
    assert not (tmp_path / "image").exists()
    error = realised.json("image", "project", *place, code=2, SOURCE_DATE_EPOCH="yesterday")["error"]
    assert error["message"] == "SOURCE_DATE_EPOCH is not a number of seconds: yesterday"
