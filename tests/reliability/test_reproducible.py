"""The same spec gives the same digests whenever, wherever and by whomever it is realised."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.reliability.crashes.promises import check_intact
from scripts.reliability.crashes.sweep import SOURCE
from scripts.testing.world import World

pytestmark = pytest.mark.slow

NOBODY = 65534
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None) if sys.platform == "linux" else None


def realise(world: World, root: Path, *, start: tuple[str, ...] = (), jobs: int = 2, **changes: str) -> dict[str, str]:
    command = [*start, sys.executable, "-m", "vstore", "--root", str(root), "--json", "--no-progress", "realise"]
    command += [str(world.spec), "-j", str(jobs), "--local-wheels", str(world.wheels), "--no-index"]
    environment = {**world.environment(), "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1", **changes}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert {"built", "adopted"} & {layer["origin"] for layer in result["layers"]}
    return {**world.paths(result), "stack": result["stack"]}


def test_another_time_locale_mask_seed_and_number_of_jobs(realised: World, world: World, tmp_path: Path) -> None:
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed")
    old = os.umask(0o077)
    try:
        later = realise(
            world,
            tmp_path / "later é " / "root",
            jobs=1,
            LD_PRELOAD=str(FAKETIME),
            FAKETIME="+2500d",
            LC_ALL="C",
            TZ="Asia/Kathmandu",
            PYTHONHASHSEED="77",
            HOME=str(tmp_path),
        )
    finally:
        os.umask(old)
    before = realised.realise()
    assert later == {**realised.paths(before), "stack": before["stack"]}


@pytest.fixture
def shuffled(tmp_path: Path) -> Iterator[Path]:
    """A folder whose entries come in another order each time it is read."""
    if shutil.which("disorderfs") is None:
        pytest.skip("disorderfs is not installed")
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "shuffled").mkdir()
    options = ("--shuffle-dirents=yes", "--multi-user=no", "--pad-blocks=7")
    made = subprocess.run(
        ["disorderfs", *options, tmp_path / "real", tmp_path / "shuffled"], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"cannot mount disorderfs here: {made.stderr.strip()}")
    yield tmp_path / "shuffled"
    subprocess.run(["fusermount3", "-uz", tmp_path / "shuffled"], check=True)


def test_another_order_of_folders(realised: World, world: World, shuffled: Path) -> None:
    shutil.copytree(world.folder / "project", shuffled / "project")
    shutil.copytree(world.wheels, shuffled / "wheels")
    there = World(shuffled, shuffled / "root")
    orders = {tuple(os.listdir(shuffled / "wheels")) for _ in range(8)}
    assert len(orders) > 1, "the order does change"
    before = realised.realise()
    assert realise(there, there.root) == {**realised.paths(before), "stack": before["stack"]}
    check_intact(there.root)


@pytest.mark.root
def test_another_user(realised: World) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    start = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if any(not place.stat().st_mode & 0o001 for place in Path(sys.executable).resolve().parents):
        pytest.skip("another user cannot reach the Python that this checkout uses")
    if subprocess.run([*start, sys.executable, "-c", "import vstore"], cwd=SOURCE, capture_output=True).returncode:
        pytest.skip("another user cannot read this checkout or its Python")
    before = realised.realise()
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to others
        there = World(Path(name), Path(name) / "root")
        shutil.copytree(realised.folder / "project", there.folder / "project")
        shutil.copytree(realised.wheels, there.wheels)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", name], check=True)
        found = realise(there, there.root, start=start, HOME=name)
        assert (there.root / "store").stat().st_uid == NOBODY
    assert found == {**realised.paths(before), "stack": before["stack"]}


def test_check_finds_a_build_that_gives_other_bytes(world: World) -> None:
    """Something got into uv's cache: what is built from it now is not what was built before; it says where."""
    layer = world.root / "store" / world.paths(world.realise())["framework-mid"]
    world.realise("--check")
    copies = list(world.root.glob("cache/uv/archive-v0/*/midlib/late.py"))
    assert copies
    for cached in copies:  # two installations at once may have left two
        cached.unlink()  # not written through: the store may share the file
        cached.write_text("LATE = 'changed'\n")
    error = world.realise("--check", code=12)["error"]
    assert "framework-mid" in error["message"] and "late" in error["message"]
    assert next(layer.rglob("midlib/late.py")).read_text() == "LATE = '1.0'\n", "the object itself is not touched"
    assert not world.realise()["changed"]
    check_intact(world.root)


def test_check_compares_with_the_record_not_with_the_disk(world: World) -> None:
    layer = world.root / "store" / world.paths(world.realise())["framework-mid"]
    file = next(layer.rglob("midlib/late.py"))
    file.parent.chmod(0o755)
    file.unlink()
    file.write_text("LATE = 'changed'\n")
    world.realise("--check")
    problems = world.json("verify", "--contents", code=6)["problems"]
    assert any("late.py" in problem["problem"] for problem in problems), "nor does it repair"
