"""Killed, crowded, full, read-only: the store stays intact and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.mounts import tmpfs

pytestmark = pytest.mark.slow


def healthy(world: World) -> None:
    """What is promised after anything: verify finds nothing, the profile runs, gc leaves no litter."""
    assert world.json("verify", "--contents")["problems"] == []
    link = world.root / "profiles" / "project"
    if link.is_symlink():
        assert subprocess.run([link / "bin/hello"], capture_output=True).returncode == 0
    world.run("gc")
    assert [p.name for p in (world.root / "tmp").iterdir() if p.name != "trash"] == []
    indexed = {row["path"] for row in world.json("list")}
    assert {p.name for p in (world.root / "store").iterdir()} == indexed


def test_killed_while_realising(world: World) -> None:
    chance = random.Random(1)
    for attempt in range(6):
        (world.spec.parent / "hello.py").write_text(f"import midlib\nprint({attempt})\n")
        world.write_spec("==2.0" if attempt % 2 else "==1.0")
        arguments = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
        process = world.start(*arguments)
        time.sleep(chance.uniform(0.2, 1.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert world.json("verify", "--contents")["problems"] == []
    world.realise()
    healthy(world)


def test_killed_while_collecting(world: World) -> None:
    chance = random.Random(2)
    for attempt in range(4):
        (world.spec.parent / "hello.py").write_text(f"import midlib\nprint({attempt})\n")
        world.realise()
        process = world.start("gc", "--keep", "1")
        time.sleep(chance.uniform(0.05, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert world.json("verify", "--contents")["problems"] == []
    healthy(world)


def test_two_realise_at_once(world: World, tmp_path: Path) -> None:
    root = tmp_path / "fresh"
    crowd = World(world.folder, root)
    arguments = ("--json", "realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
    processes = [crowd.start(*arguments) for _ in range(3)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    built = sum(out.count('"built"') for out, _ in results)
    assert built == 4, "each layer is built once overall"
    healthy(crowd)


def test_collecting_while_realising(world: World) -> None:
    for attempt in range(3):
        (world.spec.parent / "hello.py").write_text(f"import midlib\nprint({attempt})\n")
        arguments = ("realise", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")
        process = world.start(*arguments)
        while process.poll() is None:
            world.run("gc", "--keep", "1")
        assert process.returncode == 0, process.communicate()
        out = subprocess.check_output([world.root / "profiles/project/bin/hello"], text=True)
        assert out == f"{attempt}\n"
    healthy(world)


def test_a_running_program_keeps_its_generation(world: World) -> None:
    lines = ["import sys, midlib", "print('up', flush=True)", "sys.stdin.readline()"]
    lines += ["import midlib.late", "print(midlib.late.LATE)"]
    (world.spec.parent / "hello.py").write_text("\n".join(lines))
    world.realise()
    program = subprocess.Popen(
        [world.root / "profiles/project/bin/hello"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin is not None and program.stdout is not None
    assert program.stdout.readline() == "up\n"
    world.write_spec("==2.0")
    world.realise()
    world.run("gc", "--keep", "1")
    out, _ = program.communicate("go\n", timeout=30)
    assert out == "1.0\n" and program.returncode == 0
    healthy(world)


@pytest.fixture
def small_disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "small", 24 << 20) as place:
        yield place


def test_a_full_disk_is_one_clear_error(world: World, small_disk: Path) -> None:
    full = World(world.folder, small_disk / "root")
    error = full.realise(code=6)["error"]
    assert "no space left" in error["message"] or "no space left" in " ".join(error["details"]).lower()
    assert error["hint"]
    assert full.json("verify", "--contents")["problems"] == []
    full.run("gc")


def test_a_read_only_root_answers_questions(world: World) -> None:
    copied = world.root
    subprocess.run(["mount", "--bind", copied, copied], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", copied], check=True)
        assert world.json("list")
        out, _ = world.run("run", "project", "hello")
        assert out.startswith("low 1.0")
        world.write_spec("==2.0")
        error = world.realise(code=6)["error"]
        assert "read-only" in error["message"]
    finally:
        subprocess.run(["umount", "-l", copied], check=True)


def test_a_newer_schema_is_refused(world: World) -> None:
    with sqlite3.connect(world.root / "index.sqlite") as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    error = world.json("list", code=6)["error"]
    assert "newer" in error["message"]


def test_a_lost_index_is_rebuilt(world: World) -> None:
    before = world.json("list")
    (world.root / "index.sqlite").unlink()
    for leftover in world.root.glob("index.sqlite-*"):
        leftover.unlink()
    world.run("reindex")
    after = world.json("list")
    assert [row["path"] for row in after] == [row["path"] for row in before]
    assert not world.realise()["changed"]
    healthy(world)


def test_a_changed_byte_is_found(world: World) -> None:
    path = world.paths(world.realise())["framework-mid"]
    file = next((world.root / "store" / path).rglob("midlib/late.py"))
    os.chmod(file, 0o644)
    file.write_text("LATE = 'x.x'\n")
    problems = world.json("verify", "--contents", code=6)["problems"]
    assert path in {problem["path"] for problem in problems}
    assert any("late.py" in problem["problem"] for problem in problems)
