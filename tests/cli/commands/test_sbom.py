from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.world import World


def test_it_is_printed_or_written(realised: World, tmp_path: Path) -> None:
    file = tmp_path / "project.json"
    printed = realised.run("--quiet", "sbom", "project")[0]
    assert json.loads(printed)["bomFormat"] == "CycloneDX"
    out = realised.run("sbom", "project", "-o", str(file))[0]
    assert file.read_text() == printed == realised.run("--json", "sbom", "project", "-o", str(file))[0]
    assert out.startswith("wrote the SBOM of ") and str(file) in out


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_only_an_sbom_of_vstore_is_replaced(realised: World, tmp_path: Path, form: str) -> None:
    file = tmp_path / "project.json"
    realised.run("sbom", "project", "-o", str(file))
    realised.run("sbom", "project", "--format", form, "-o", str(file))
    realised.run("sbom", "project", "-o", str(file))
    others = file.read_text().replace('"name": "vstore"', '"name": "another"')
    file.write_text(others)
    assert "that vstore did not make" in realised.run("sbom", "project", "-o", str(file), code=2)[1]
    assert file.read_text() == others


def test_mistakes(realised: World) -> None:
    assert "nobody" in realised.run("sbom", "nobody", code=13)[1]
    err = realised.run("sbom", "project", code=2, SOURCE_DATE_EPOCH="yesterday")[1]
    assert "SOURCE_DATE_EPOCH is no number of seconds since 1970: yesterday" in err


@pytest.mark.slow
def test_publish_writes_one_beside_each_archive(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("publish", str(world.spec), "--locked", "--output-dir", str(out))
    assert world.json(*words, "--dry-run", "--sbom", "spdx")["sboms"] == [] and not out.exists()
    document = world.json(*words, "--sbom", "spdx")
    names = {name.removesuffix(".tar.zst") for name in document["written"]}
    assert {f"{name}.spdx.json" for name in names} == set(document["sboms"])
    assert (out / "app-hello.spdx.json").read_text() == world.run("sbom", "app-hello", "--format", "spdx")[0]
    assert world.json(*words)["sboms"] == []
    (out / "app-hello.cdx.json").write_text("{}")
    assert "that vstore did not make" in world.run(*words, "--sbom", "cyclonedx", code=2)[1]
