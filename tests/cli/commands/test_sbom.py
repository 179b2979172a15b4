from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.testing.registries import docker_registry
from scripts.testing.servers import free_port, nginx, running
from scripts.testing.world import World
from tests.sbom.validators import assert_cyclonedx, assert_spdx


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
    assert "give --from CACHE" in realised.run("sbom", "project", "--trust", "a:b", code=2)[1]
    assert "--files" in realised.run("sbom", "project", "--from", "/nowhere", "--files", code=2)[1]


@pytest.mark.slow
def test_publish_writes_one_beside_each_archive(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("publish", str(world.spec), "--locked", "--output-dir", str(out))
    planned = world.json(*words, "--dry-run", "--sbom", "spdx")["sboms"]
    assert not out.exists()
    document = world.json(*words, "--sbom", "spdx")
    assert planned == document["sboms"]
    names = {name.removesuffix(".tar.zst") for name in document["written"]}
    assert {f"{name}.spdx.json" for name in names} == set(document["sboms"])
    assert (out / "app-hello.spdx.json").read_text() == world.run("sbom", "app-hello", "--format", "spdx")[0]
    assert world.json(*words)["sboms"] == []
    table = world.run(*words, "--sbom", "spdx")[0]
    assert re.search(r"^app-hello\.spdx\.json +sbom +[0-9.]+ KiB +written$", table, re.MULTILINE)
    table = world.run(*words, "--sbom", "spdx", "--dry-run")[0]
    assert re.search(r"^app-hello\.spdx\.json +sbom +\? +would be written$", table, re.MULTILINE)
    (out / "app-hello.cdx.json").write_text("{}")
    assert "that vstore did not make" in world.run(*words, "--sbom", "cyclonedx", code=2)[1]


@contextmanager
def cache_urls(place: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the URL of a cache to push to, and the one to read from."""
    if place == "registry":
        with docker_registry(folder / "registry") as registry:
            yield registry.url("team/cache"), registry.url("team/cache")
        return
    (folder / "cache").mkdir()
    with nginx(folder / "nginx", folder / "cache") as url:
        yield f"file://{folder}/cache", url


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http", "registry"])
def test_what_a_push_attached_is_fetched_elsewhere_without_the_objects(
    world: World, tmp_path: Path, place: str
) -> None:
    other = World(world.folder, tmp_path / "other")
    key = world.json("key", "generate", "builder-1")["public"]
    with cache_urls(place, tmp_path) as (pushed, read):
        attached = world.json("push", pushed, "project", "--channel", "stable", "--sbom", "cyclonedx")["sboms"]
        attached += world.json("push", pushed, "project", "app-hello", "--sbom", "spdx")["sboms"]
        assert world.json("push", pushed, "project", "--sbom", "cyclonedx")["pushed_bytes"] == 0
        for one in attached:
            words = ("--from", read, "--trust", key, "--format", one["format"])
            fetched = other.run("sbom", one["path"], *words)[0]
            assert fetched == world.run("sbom", one["path"], "--format", one["format"])[0]
            assert len(fetched) == one["size_bytes"]
        file = tmp_path / "stable.json"
        other.run("sbom", "stable", "--from", read, "--trust", key, "-o", str(file))
        assert_cyclonedx(file.read_bytes())
        assert_spdx(fetched.encode(), tmp_path)
        assert other.json("list") == []
        assert "not trusted" in other.run("sbom", "stable", "--from", read, code=10)[1]
        err = other.run("sbom", attached[-1]["path"], "--from", read, "--trust", key, code=10)[1]
        assert "has no SBOM of" in err and "but one as spdx" in err and "give --format spdx" in err
        err = other.run("sbom", "stabel", "--from", read, code=10)[1]
        assert "or give a full store path" in err and ("`vstore cache ls " in err) == (place == "registry")
        listed = world.json("cache", "ls", pushed, "app-hello")["sboms"]
        assert [(one["format"], one["signed_by"]) for one in listed] == [("spdx", ["builder-1"])]


@pytest.mark.slow
def test_a_served_store_offers_the_sboms_of_all_its_objects(world: World, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    other = World(world.folder, tmp_path / "other")
    key = world.json("key", "generate", "builder-1")["public"]
    port, path = free_port(), world.json("info", "app-hello")["path"]
    with running(world.command("serve", "--port", str(port)), port):
        words = ("--from", f"http://127.0.0.1:{port}", "--trust", key)
        for form in ("cyclonedx", "spdx"):
            fetched = other.run("sbom", path, *words, "--format", form)[0]
            assert fetched == world.run("sbom", path, "--format", form)[0]
        assert "has no SBOM of" in other.run("sbom", f"{'0' * 32}-app-hello", *words, code=10)[1]
        assert "not trusted" in other.run("sbom", path, *words[:2], code=10)[1]
