"""What people get wrong: one clear line, a hint, the right exit code, and nothing lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testing.trees import SOURCE
from scripts.testing.world import VERSION, World, make_world

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def failure(world: World, code: int) -> str:
    error = world.realise(code=code)["error"]
    assert "\n" not in error["message"]
    return "\n".join([error["message"], *error["details"], error["hint"] or ""])


def edit(world: World, old: str, new: str) -> None:
    text = world.spec.read_text()
    assert old in text
    world.spec.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('name = "python"', 'name = "python', 3, "line 2"),
        ('runtime = "python"', 'runtime = "snake"', 3, "unknown runtime"),
        ('frameworks = ["mid", "side"]', 'frameworks = ["mid", "nope"]', 3, "unknown framework"),
        ('launch_module = "hello.py"', 'launch_module = "gone.py"', 3, "does not exist"),
        ('requirements = ["ns-app"]', 'requirements = ["ns-app >> 1"]', 3, "invalid requirement syntax"),
        ('requirements = ["ns-app"]', 'requirments = ["ns-app"]', 3, "requirements"),
        ('requirements = ["ns-app"]', 'requirements = ["no-such-thing"]', 4, "no-such-thing"),
        ("cpython@", "cpython@9.", 5, "9."),
    ],
)
def test_a_mistake_in_the_spec(world: World, old: str, new: str, code: int, said: str) -> None:
    edit(world, old, new)
    assert said in failure(world, code)


def test_a_cycle(world: World) -> None:
    edit(world, 'name = "mid"\nruntime = "python"', 'name = "mid"\nframeworks = ["side"]')
    edit(world, 'name = "side"\nruntime = "python"', 'name = "side"\nframeworks = ["mid"]')
    assert "framework" in failure(world, 3)


def test_all_mistakes_are_told_together(world: World) -> None:
    edit(world, 'runtime = "python"', 'runtime = "snake"')
    edit(world, 'launch_module = "hello.py"', 'launch_module = "gone.py"')
    text = failure(world, 3)
    assert "frameworks[0].runtime" in text and "applications[0].launch_module" in text


def test_a_launch_module_that_escapes_through_a_link(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "outside.py"
    secret.write_text("print('secret')\n")
    (world.spec.parent / "hello.py").unlink()
    (world.spec.parent / "hello.py").symlink_to(secret)
    assert "hello.py" in failure(world, 3)


def test_conflicting_pins_of_two_layers(world: World) -> None:
    edit(world, 'requirements = ["ns-app"]', 'requirements = ["midlib==2.0"]')
    text = failure(world, 4)
    assert "midlib" in text and "app-hello" in text


def test_no_spec_at_all(world: World) -> None:
    world.spec.unlink()
    assert "spec.toml" in failure(world, 3)


def test_unknown_profile_and_application(world: World) -> None:
    world.realise()
    assert "no profile, object" in world.json("run", "nope", "hello", code=13)["error"]["message"]
    assert "hello" in world.json("run", "project", "nope", code=13)["error"]["hint"]
    assert "error" in world.json("rollback", "project", code=8)
    assert "error" in world.json("switch", "project", "7", code=8)
    assert "error" in world.json("info", "zzzz", code=13)


def test_the_registry_cannot_be_reached(world: World) -> None:
    unreachable = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0", "UV_NO_INDEX": "false"}
    error = world.json("realise", str(world.spec), code=4, **unreachable)["error"]
    assert "cannot be reached" in error["message"]
    assert "network" in error["hint"]


def test_offline_says_what_would_help(world: World) -> None:
    error = world.json("realise", str(world.spec), "--offline", code=4, UV_NO_INDEX="false", UV_FIND_LINKS="")["error"]
    assert "--offline" in error["hint"]


def test_a_malformed_lock_is_reset(world: World) -> None:
    world.realise()
    lock = world.spec.parent / "requirements/framework-mid/pylock.framework-mid.toml"
    lock.write_text("not = [toml")
    assert "--reset framework-mid" in failure(world, 4)
    options = ("--local-wheels", str(world.wheels), "--no-index")
    world.run("lock", str(world.spec), "--reset", "framework-mid", *options)
    assert not world.realise()["changed"]


def test_a_pypy_runtime_is_refused(world: World) -> None:
    """venvstacks' specs may name one, so it is read; making it is not offered."""
    world.spec.write_text(world.spec.read_text().replace(f"cpython@{VERSION}", "pypy@3.10.14"))
    world.run("show", str(world.spec))
    error = world.realise(code=5)["error"]
    assert "pypy@3.10.14: PyPy is not supported" in error["message"] and "cpython@" in error["hint"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
def test_a_build_whose_messages_and_answer_are_lost_is_done(world: World) -> None:
    extra = ("--local-wheels", str(world.wheels), "--no-index")
    command = [sys.executable, "-m", "vstore", "--root", str(world.root), "-v", "realise", str(world.spec), *extra]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=full, env=world.environment(), cwd=SOURCE)
    assert done.returncode == 15
    assert not world.realise()["changed"]
    assert world.json("verify", "--contents")["problems"] == []
