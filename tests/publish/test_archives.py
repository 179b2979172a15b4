"""Archives and their metadata, made by the real command and unpacked by others' tools."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.world import World
from tests.publish.test_folders import SAYS, start
from tests.publish.waiting import appears


def publish(world: World, output: Path, *arguments: str, code: int = 0) -> Any:
    return world.json("publish", str(world.spec), "--output-dir", str(output), *arguments, code=code)


@pytest.fixture(scope="session")
def published(realised: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published archives of the world. Tests only read them."""
    output = tmp_path_factory.mktemp("archives")
    assert len(publish(realised, output)["written"]) == 6
    return output


def records(output: Path) -> dict[str, Any]:
    document = json.loads((output / "__venvstacks__/venvstacks.json").read_text())
    tables = (*document["layers"].values(), document["vstore"]["interpreters"], document["vstore"]["stacks"])
    return {row["archive_name"].partition(".tar.")[0]: row for rows in tables for row in rows}


def untar(output: Path, to: Path) -> None:
    """With the machine's own tar, side by side, and nothing else."""
    to.mkdir()
    for archive in output.glob("*.tar.*"):
        subprocess.run(["tar", "--extract", "--auto-compress", "--file", archive, "--directory", to], check=True)


def test_unpacked_side_by_side_by_tar_it_runs(published: Path, tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("tar needs zstd, which is not installed")
    untar(published, tmp_path / "there")
    (stack,) = (tmp_path / "there").glob("*-project-stack")
    assert start(stack / "bin/hello") == SAYS
    found = records(published)
    assert {row["install_target"] for row in found.values()} == {path.name for path in (tmp_path / "there").iterdir()}
    for row in found.values():
        data = (published / row["archive_name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["archive_hashes"]["sha256"] and len(data) == row["archive_size"]


@pytest.mark.root
def test_it_runs_where_nothing_else_is(published: Path, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("zstd") is None:
        pytest.skip("a mount namespace needs unshare; tar needs zstd")
    root = tmp_path / "root"
    root.mkdir()
    untar(published, root / "apps")
    (stack,) = (root / "apps").glob("*-project-stack")
    for folder in ("usr", "bin", "lib", "lib64"):  # a shell and the C library
        (root / folder).mkdir()
    script = (
        'for d in usr bin lib lib64; do mount --bind -o ro "/$d" "$0/$d" || exit 9; done; exec chroot "$0" "$1" "$2"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, str(root), f"/apps/{stack.name}/bin/hello", "x"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, cwd="/")
    if done.returncode == 9 or "unshare" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert (done.stdout, done.stderr) == (SAYS.replace("\n", " x\n"), "")


def test_published_again_nothing_is_packed(realised: World, published: Path) -> None:
    before = {path: path.lstat() for path in published.rglob("*")}
    again = publish(realised, published)
    assert again["written"] == [] and len(again["unchanged"]) == 6
    assert {path: path.lstat() for path in published.rglob("*") if path.is_file()} == {
        path: status for path, status in before.items() if path.is_file()
    }


def test_an_edited_launch_module_is_published_with_what_is_above_it(world: World, published: Path) -> None:
    output = world.folder / "out"
    shutil.copytree(published, output)
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    done = publish(world, output)
    assert done["written"] == ["app-hello.tar.zst", "project-stack.tar.zst"]
    old, new = records(published)["app-hello"], records(output)["app-hello"]
    assert old["app_launch_module_hash"] != new["app_launch_module_hash"] and new["archive_build"] == 2
    assert [row["generation"] for row in world.json("history", "project")] == [1]
    if shutil.which("zstd") is not None:
        untar(output, world.folder / "there")
        (app,) = (world.folder / "there").glob("*-app-hello")
        assert start(app / "libexec/launch") == "edited\n"


def test_layers_above_name_the_versions_that_are_published(world: World, tmp_path: Path) -> None:
    text = world.spec.read_text().replace('name = "mid"\n', 'name = "mid"\nversioned = true\n')
    for midlib, number in (("==1.0", 2), ("==2.0", 3)):
        world.spec.write_text(text.replace("midlib==1.0", f"midlib{midlib}"))
        world.realise()
        done = publish(world, tmp_path)
        assert f"framework-mid@{number}.tar.zst" in done["written"]
        found = records(tmp_path)
        framework = found[f"framework-mid@{number}"]
        assert framework["lock_version"] == number and framework["archive_build"] == 1
        assert framework["install_target"] in found["app-hello"]["required_layers"]
        assert framework["layer_name"] == "framework-mid" and framework["vstore"]["name"] == f"framework-mid@{number}"
    assert (tmp_path / "framework-mid@2.tar.zst").is_file()


def test_a_partial_run_keeps_the_other_records_and_says_what_is_outdated(world: World, published: Path) -> None:
    output = world.folder / "out"
    shutil.copytree(published, output)
    world.write_spec("==2.0")
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    done = publish(world, output, "--include", "framework-mid", *wheels)
    assert done["written"] == ["framework-mid.tar.zst"]
    assert records(output).keys() == records(published).keys()
    assert records(output)["app-hello"] == records(published)["app-hello"]
    assert done["outdated"] == ["app-hello", "project-stack"]
    assert publish(world, output, *wheels)["outdated"] == []


def test_the_bytes_do_not_depend_on_the_root_the_jobs_or_the_day(
    realised: World, published: Path, world: World, tmp_path: Path
) -> None:
    for path in (world.root / "cache").rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (10**9, 10**9))
    publish(world, tmp_path / "out", "-j", "1")
    hashes = {name: row["archive_hashes"] for name, row in records(published).items()}
    assert {name: row["archive_hashes"] for name, row in records(tmp_path / "out").items()} == hashes


@pytest.mark.slow
def test_tagged_names_and_other_formats(realised: World, tmp_path: Path) -> None:
    done = publish(realised, tmp_path, "--include", "python", "--tag-outputs", "--format", "gz", "--level", "1")
    target = done["layers"]["runtimes"][0]["target_platform"]
    assert f"python-{target}-1.tar.gz" in done["written"]
    assert (tmp_path / f"__venvstacks__/venvstacks-{target}.json").is_file()
    assert (tmp_path / f"__venvstacks__/env_metadata/python-{target}.json").is_file()
    if shutil.which("gzip") is not None:
        untar(tmp_path, tmp_path / "there")
        (runtime,) = (tmp_path / "there").glob("*-python")
        assert subprocess.check_output([runtime / "bin/python", "-c", "import low; print(low.VERSION)"]) == b"1.0\n"
    done = publish(realised, tmp_path / "xz", "--include", "python", "--format", "xz", "--level", "1")
    assert "python.tar.xz" in done["written"]
    if shutil.which("xz") is not None:
        subprocess.run(["tar", "-tJf", tmp_path / "xz/python.tar.xz"], check=True, capture_output=True)
    error = publish(realised, tmp_path, "--format", "xz", "--level", "19", code=2)["error"]
    assert "levels 1 to 9" in error["message"]
    assert "exclude" in publish(realised, tmp_path, "--best", "--level", "3", code=2)["error"]["message"]


def test_without_bytecode_it_is_smaller_and_runs(realised: World, published: Path, tmp_path: Path) -> None:
    output, there = tmp_path / "out", tmp_path / "there"
    done = publish(realised, output, "--no-bytecode")
    assert publish(realised, output, "--no-bytecode")["unchanged"] == done["written"]
    whole = records(published)
    for name, row in records(output).items():
        assert row["vstore"]["store_path"] == whole[name]["vstore"]["store_path"]
        assert row["archive_size"] < whole[name]["archive_size"] or name == "project-stack"
    if shutil.which("zstd") is not None:
        untar(output, there)
        assert not list(there.rglob("*.pyc"))
        assert start(next(there.glob("*-project-stack")) / "bin/hello") == SAYS
    assert publish(realised, output)["written"] == done["written"]


def test_a_damaged_or_missing_archive_is_packed_again(realised: World, published: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(published, output)
    (output / "python.tar.zst").write_bytes(b"half")
    (output / "app-hello.tar.zst").unlink()
    (output / "__venvstacks__/env_metadata/framework-mid.json").write_text("{")
    done = publish(realised, output)
    assert done["written"] == ["python.tar.zst", "framework-mid.tar.zst", "app-hello.tar.zst"]
    assert records(output) == records(published)


def test_a_dry_run_says_what_would_be_packed_and_writes_nothing(
    realised: World, published: Path, tmp_path: Path
) -> None:
    planned = publish(realised, tmp_path / "out", "--dry-run")
    assert planned["dry_run"] and len(planned["written"]) == 6 and not (tmp_path / "out").exists()
    (app,) = planned["layers"]["applications"]
    assert app["install_target"] == records(published)["app-hello"]["install_target"]
    assert "archive_hashes" not in app
    assert publish(realised, published, "--dry-run")["written"] == []


@pytest.mark.slow
def test_killed_half_way_no_archive_is_half(world: World, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = world.start("publish", str(world.spec), "--output-dir", str(output), "--level", "19")
    while not appears(output, ".vstore-publish-*/.cpython*") and process.poll() is None:
        pass
    assert publish(world, output, code=7)["error"]["exit_code"] == 7
    process.kill()
    process.communicate()
    assert list(output.glob(".vstore-*")) and not list(output.glob("cpython-*"))
    done = publish(world, output)
    assert any(name.startswith("cpython-") for name in done["written"])
    assert not list(output.glob(".*"))
    assert all((output / row["archive_name"]).stat().st_size == row["archive_size"] for row in records(output).values())
