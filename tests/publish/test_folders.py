"""Plain folders: with links, without, and on file systems that have none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.flows.test_realise import snapshot
from tests.mounts import file_system
from tests.publish.guest import check_on_vfat
from tests.publish.waiting import appears
from vstore.errors import VstoreError
from vstore.publish.filesystem import Features, check_names, probe

pytestmark = pytest.mark.slow

SAYS = "low 1.0 midlib 1.0 side app\n"


def start(program: Path) -> str:
    """Run it with nothing of this process's environment."""
    return subprocess.check_output([program], text=True, cwd="/", env={"PATH": os.defpath})


def export(world: World, output: Path, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = world.json("export", str(world.spec), "--output-dir", str(output), *arguments)
    return found


def test_exported_side_by_side(realised: World, tmp_path: Path) -> None:
    output = tmp_path / "out \N{SNOWMAN}"
    document = export(realised, output)
    assert document["links"] == "symlink" and document["unchanged"] == []
    assert start(output / "app-hello/libexec/launch") == SAYS
    assert start(output / "project-stack/bin/hello") == SAYS
    links = [path for path in output.rglob("*") if path.is_symlink()]
    assert links and not any(os.path.isabs(os.readlink(link)) for link in links)
    assert all(os.path.realpath(link).startswith(f"{output}/") for link in links)


def test_no_file_of_an_export_is_the_stores_own_unless_asked_for(realised: World, tmp_path: Path) -> None:
    store = {path.stat().st_ino for path in (realised.root / "store").rglob("*") if path.is_file()}

    def shared(output: Path) -> int:
        return sum(path.is_file() and path.stat().st_ino in store for path in output.rglob("*"))

    for links in ("symlink", "copy"):
        output = tmp_path / links
        export(realised, output, "--links", links, "--include", "app-hello")
        assert shared(output) == 0
        assert all(path.lstat().st_mode & 0o200 for path in output.rglob("*") if not path.is_symlink())
    export(realised, tmp_path / "hard", "--hardlink")
    assert shared(tmp_path / "hard") > 500
    assert start(tmp_path / "hard/app-hello/libexec/launch") == SAYS


def test_exported_again_nothing_is_written(realised: World, tmp_path: Path) -> None:
    for links in ("symlink", "copy"):
        output = tmp_path / links
        first = export(realised, output, "--links", links)
        before = snapshot(output)
        again = export(realised, output, "--links", links)
        assert again["written"] == [] and again["unchanged"] == first["written"]
        assert snapshot(output) == before
        assert export(realised, output, "--links", links, "--force", "--include", "app-hello")["unchanged"] == []


def test_a_versioned_layer_is_exported_once_per_version(world: World, tmp_path: Path) -> None:
    text = world.spec.read_text().replace('name = "hello"\n', 'name = "hello"\nversioned = true\n')
    world.spec.write_text(text)
    world.realise()
    output = tmp_path / "out"
    for links in ("symlink", "copy"):
        output = tmp_path / links
        assert export(world, output, "--links", links)["written"] != []
        assert export(world, output, "--links", links)["written"] == []
        assert start(output / "app-hello@2/libexec/launch") == SAYS


def test_an_old_export_does_not_change(world: World, tmp_path: Path) -> None:
    for links in ("symlink", "copy"):
        export(world, tmp_path / links, "--links", links)
    export(world, tmp_path / "hard", "--hardlink")
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    world.realise()
    for name in ("symlink", "copy", "hard"):
        assert start(tmp_path / name / "app-hello/libexec/launch") == SAYS
    assert export(world, tmp_path / "copy", "--links", "copy")["written"] == ["app-hello"]
    written = export(world, tmp_path / "symlink", "--links", "symlink")["written"]
    assert isinstance(written, list) and sorted(name[33:] for name in written) == ["app-hello", "project-stack"]
    for name in ("symlink", "copy"):
        assert start(tmp_path / name / "app-hello/libexec/launch") == "edited\n"


def test_without_links_a_layer_is_a_whole_python(realised: World, tmp_path: Path) -> None:
    export(realised, tmp_path / "out", "--links", "copy", "--include", "app-*")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["__venvstacks__", "app-hello"]
    (tmp_path / "out/app-hello").rename(tmp_path / "moved é")
    layer = tmp_path / "moved é"
    assert not any(path.is_symlink() for path in layer.rglob("*"))
    assert start(layer / "libexec/launch") == SAYS
    assert start(layer / "bin/midtool") == f"midtool 1.0 {layer}\n"
    code = "import sys, sysconfig; print([sys.prefix, sys.base_prefix, sysconfig.get_path('purelib')])"
    out = subprocess.check_output([layer / "bin/python3", "-Ic", code], text=True)
    assert out.count(str(layer)) == 3 and str(realised.root) not in out


def test_bytecode_is_of_the_layers_python(realised: World, tmp_path: Path) -> None:
    export(realised, tmp_path / "out", "--links", "copy", "--include", "app-*")
    layer = tmp_path / "out/app-hello"
    code = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
    magic = subprocess.check_output([layer / "bin/python", "-c", code], text=True).strip()
    compiled = list(layer.rglob("*.pyc"))
    assert len(compiled) > 100
    assert {path.read_bytes()[:4].hex() for path in compiled} == {magic}
    before = snapshot(layer)
    assert start(layer / "libexec/launch") == SAYS
    assert snapshot(layer) == before  # nothing was compiled again


def test_a_profile_is_exported_without_its_spec(realised: World, tmp_path: Path) -> None:
    document = realised.json("export", "project", "--output-dir", str(tmp_path / "out"), "--include", "framework-mid")
    assert [row["layer_name"] for row in document["layers"]["frameworks"]] == ["framework-mid"]
    assert document["layers"]["applications"] == []
    assert start(tmp_path / "out/framework-mid/bin/midtool").startswith("midtool 1.0 ")
    realised.json("export", "project@1", "--output-dir", str(tmp_path / "out"))
    assert start(tmp_path / "out/app-hello/libexec/launch") == SAYS
    error = realised.json("export", "project@9", "--output-dir", str(tmp_path / "out"), code=8)["error"]
    assert "generation 9" in error["message"]


def test_metadata_of_an_export(realised: World, tmp_path: Path) -> None:
    output = tmp_path / "out"
    export(realised, output, "--links", "copy")
    combined = json.loads((output / "__venvstacks__/venvstacks.json").read_text())
    (app,) = combined["layers"]["applications"]
    assert app == json.loads((output / "__venvstacks__/env_metadata/app-hello.json").read_text())
    assert app["install_target"] == "app-hello" and app["runtime_layer"] == "python"
    assert app["required_layers"] == ["framework-mid", "framework-side"]
    assert app["app_launch_module"] == "hello" and app["app_launch_module_hash"].startswith("sha256:")
    assert app["lock_version"] == 1 and app["requirements_hash"].startswith("sha256:")
    assert app["bound_to_implementation"] is False
    (runtime,) = combined["layers"]["runtimes"]
    assert runtime["bound_to_implementation"] is True and runtime["runtime_layer"] == "python"


def test_a_dry_run_of_an_export_writes_nothing(realised: World, tmp_path: Path) -> None:
    document = export(realised, tmp_path / "out", "--dry-run")
    assert not (tmp_path / "out").exists() and document["dry_run"] is True
    done = export(realised, tmp_path / "out")
    assert {**document, "dry_run": False} == done


def test_exporting_makes_no_generation(world: World, tmp_path: Path) -> None:
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    export(world, tmp_path / "out")
    assert start(tmp_path / "out/app-hello/libexec/launch") == "edited\n"
    assert [row["generation"] for row in world.json("history", "project")] == [1]
    assert start(world.root / "profiles/project/bin/hello") == SAYS


def test_an_output_folder_inside_the_store_is_refused(realised: World) -> None:
    error = realised.json("export", "project", "--output-dir", str(realised.root / "store/x"), code=2)["error"]
    assert "inside the store" in error["message"]


def test_what_a_killed_export_left_is_swept(world: World, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = world.start("export", "project", "--output-dir", str(output))
    while not appears(output, ".vstore-export-*/tree/*") and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert not (output / "app-hello").exists()
    export(world, output)
    assert not list(output.glob(".*"))
    assert start(output / "app-hello/libexec/launch") == SAYS


def check_without_links(world: World, place: Path) -> None:
    """What is promised of an export to a file system that has no links and no two cases of one name."""
    output = place / "out"
    document = export(world, output, "--include", "app-hello")
    assert document["links"] == "copy"
    assert start(output / "app-hello/libexec/launch") == SAYS
    assert start(output / "app-hello/bin/midtool") == f"midtool 1.0 {output}/app-hello\n"
    assert export(world, output, "--include", "app-hello")["written"] == []
    assert export(world, output, "--include", "app-hello", "--force")["written"] == ["app-hello"]
    assert start(output / "app-hello/libexec/launch") == SAYS
    error = world.json("export", "project", "--output-dir", str(output), "--links", "symlink", code=2)["error"]
    assert "without symlinks" in error["message"]
    features = probe(output)
    assert features == Features(symlinks=False, hard_links=False, case_sensitive=False)
    with pytest.raises(VstoreError) as caught:
        check_names(output, [b"lib/a:b.py", b"lib/Readme", b"lib/README", b"lib/fine.py"], features, subject="app")
    assert any("lib/README and lib/Readme are the same name there" in line for line in caught.value.details)
    assert any("lib/a:b.py" in line for line in caught.value.details) and len(caught.value.details) == 2
    assert not list(output.glob(".*"))


@pytest.mark.root
@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_exported_to_a_file_system_without_links(realised: World, tmp_path: Path, kind: str) -> None:
    with file_system(kind, tmp_path) as place:
        check_without_links(realised, place)


def test_exported_to_fat_as_another_kernel_writes_it(realised: World, tmp_path: Path) -> None:
    check_on_vfat(f"{__name__}:check_without_links", realised, tmp_path)


@pytest.mark.root
def test_copies_share_blocks_where_the_file_system_can(realised: World, tmp_path: Path) -> None:
    with file_system("btrfs", tmp_path, megabytes=600) as place:
        there = World(realised.folder, place / "root")
        there.realise()
        export(there, place / "warm")
        os.sync()
        before = os.statvfs(place).f_bfree
        export(there, place / "out")
        os.sync()
        used = (before - os.statvfs(place).f_bfree) * os.statvfs(place).f_frsize
        assert used < 25 << 20  # of some 70 MiB; small files lie in the metadata
        assert start(place / "out/app-hello/libexec/launch") == SAYS


def test_odd_names_are_fine_where_the_file_system_takes_them(tmp_path: Path) -> None:
    names = [b"Transparent Busy.ani", b"a:b", b"ends in a dot.", "\N{SNOWMAN}".encode(), b"x" * 200]
    check_names(tmp_path, [b"lib/" + name for name in names], probe(tmp_path), subject="app")
    assert list(tmp_path.iterdir()) == []
