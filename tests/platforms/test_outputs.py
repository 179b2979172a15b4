"""Publishing, exporting and packing what was realised for other platforms than this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.mirror import SERIES, VERSION
from scripts.testing.platforms import DIGITS, EXTENSIONS, FOREIGN, Platforms, Realised
from tests.platforms.getpath import ROOT, windows_paths
from vstore.target import Target

pytestmark = pytest.mark.slow

WINDOWS = Target.WIN_AMD64
ALL = [word for target in FOREIGN for word in ("--platform", str(target))]


def hand(world: Platforms, command: str, output: Path, *arguments: str, code: int = 0) -> Any:
    return world.json(command, str(world.spec), "--output-dir", str(output), *arguments, code=code)


def site(target: Target) -> str:
    return "Lib/site-packages" if target.is_windows else f"lib/python{SERIES}/site-packages"


def suffixed(target: Target, name: str) -> str:
    return f"{name}.exe" if target.is_windows else name


def test_all_platforms_are_published_into_one_folder(realised: Realised, tmp_path: Path) -> None:
    world, documents = realised
    error = hand(world, "publish", tmp_path / "out", *ALL, code=2)["error"]
    assert "--tag-outputs" in error["message"]
    output = tmp_path / "out"
    done = hand(world, "publish", output, *ALL, "--tag-outputs")
    assert [one["written"] for one in hand(world, "publish", output, *ALL, "--tag-outputs")] == [[]] * len(FOREIGN)
    for target, one in zip(FOREIGN, done, strict=True):
        (app,) = one["layers"]["applications"]
        assert app == json.loads((output / f"__venvstacks__/env_metadata/app-hello-{target}.json").read_bytes())
        assert (app["target_platform"], app["archive_name"]) == (target, f"app-hello-{target}-1.tar.zst")
        assert app["install_target"] == world.paths(documents[target])["app-hello"]


@pytest.mark.skipif(shutil.which("zstd") is None, reason="tar needs zstd, which is not installed")
@pytest.mark.parametrize("target", FOREIGN)
def test_unpacked_side_by_side_it_is_what_the_store_has(realised: Realised, target: Target, tmp_path: Path) -> None:
    world, documents = realised
    hand(world, "publish", tmp_path / "out", "--platform", str(target))
    there = tmp_path / "there"
    there.mkdir()
    for archive in (tmp_path / "out").glob("*.tar.zst"):
        subprocess.run(["tar", "-xf", archive, "-C", there], check=True)
    names = {*world.paths(documents[target]).values(), documents[target]["stack"]}
    assert set(os.listdir(there)) == names
    for name in names:
        subprocess.run(["diff", "-r", "--no-dereference", world.root / "store" / name, there / name], check=True)
    assert all(link.exists() for link in there.rglob("*") if link.is_symlink())


@pytest.mark.parametrize("target", FOREIGN)
def test_exported_with_links(realised: Realised, target: Target, tmp_path: Path) -> None:
    world, documents = realised
    output = tmp_path / "out"
    hand(world, "export", output, "--platform", str(target))
    assert os.readlink(output / "app-hello") == world.paths(documents[target])["app-hello"]
    assert (output / "app-hello" / site(target) / f"fast/core.{EXTENSIONS[target][0]}").is_file()
    (start,) = (output / "project-stack/bin").iterdir()
    assert start.name == ("hello.cmd" if target.is_windows else "hello")
    assert all(link.exists() for link in output.rglob("*") if link.is_symlink())


@pytest.mark.parametrize("target", FOREIGN)
def test_exported_without_links_it_is_a_whole_python(realised: Realised, target: Target, tmp_path: Path) -> None:
    world, documents = realised
    hand(world, "export", tmp_path / "out", "--platform", str(target), "--links", "copy", "--include", "app-hello")
    layer, interpreter = tmp_path / "out/app-hello", world.layers(documents[target])[f"cpython-{VERSION}"]
    assert not any(path.is_symlink() for path in layer.rglob("*")) and not (layer / "pyvenv.cfg").exists()
    for name in ("hello.py", "ns/app.py", "low/__init__.py", "fast/__init__.py", f"fast/core.{EXTENSIONS[target][0]}"):
        assert (layer / site(target) / name).is_file()
    assert (layer / site(target) / f"low/__pycache__/__init__.cpython-{DIGITS}.pyc").is_file()
    assert (layer / suffixed(target, "libexec/launch")).is_file()
    library = "Lib" if target.is_windows else f"lib/python{SERIES}"
    assert (layer / library / "os.py").read_bytes() == (interpreter / library / "os.py").read_bytes()
    again = hand(world, "export", tmp_path / "out", "--platform", str(target), "--links", "copy", "--include", "app-*")
    assert again["written"] == []


def test_an_export_for_windows_is_laid_out_as_cpython_wants_it(realised: Realised, tmp_path: Path) -> None:
    world, _ = realised
    hand(world, "export", tmp_path / "out", "--platform", str(WINDOWS), "--links", "copy", "--include", "app-hello")
    layer = tmp_path / "out/app-hello"
    assert {"DLLs", "Lib", "Scripts", "python.exe", f"python{DIGITS}.dll"} <= set(os.listdir(layer))
    for program in ("python.exe", "Scripts/python.exe"):
        found = windows_paths(Path(sys.executable), layer, program)
        if not found:
            pytest.skip("this interpreter's rules are not to be found in its binary")
        assert found["prefix"] == ROOT
        assert f"{ROOT}\\Lib".lower() in {path.lower() for path in found["module_search_paths"]}


def test_a_bundle_for_another_platform_is_unpacked_here(realised: Realised, tmp_path: Path) -> None:
    world, documents = realised
    world.run("pack", f"project-{WINDOWS}", "-o", str(tmp_path / "bundle"))
    other = Platforms(world.folder, tmp_path / "other")
    other.run("unpack", str(tmp_path / "bundle"), "--profile", "there")
    assert other.json("verify", "--contents")["problems"] == []
    assert {row["path"] for row in other.json("list")} == {
        *world.paths(documents[WINDOWS]).values(),
        documents[WINDOWS]["stack"],
    }
    exported = other.json("export", "there", "--output-dir", str(tmp_path / "out"))
    assert exported["layers"]["applications"][0]["bound_to_implementation"] is True
    _, said = other.run("run", "there", "hello", code=8)
    assert f"is for {WINDOWS}" in said
