"""Projects made in a test: a spec and modules as text, wheels made in code, the real command in a real process."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from scripts.testing.world import INTERPRETER_SPEC, VERSION, World
from vstore.target import Target


@cache
def seed(path: str) -> Path:
    """A root that holds the interpreter that `path` leads to, made once in a process: copying takes less than adopting.

    `path` is the environment's PATH.
    """
    place = Path(tempfile.mkdtemp(prefix="vstore-seed-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    world = World(place, place / "root")
    world.wheels.mkdir()
    write_spec(world, INTERPRETER_SPEC)
    world.realise("--profile", "seed")
    return world.root


def make_project(folder: Path, spec: str, modules: Mapping[str, str] | None = None) -> World:
    """A world with this spec, in which ``{version}`` and ``{target}`` are this machine's, and these modules.

    Its root has the interpreter already.
    """
    world = World(folder, folder / "root")
    shutil.copytree(seed(os.environ["PATH"]), world.root, symlinks=True)
    world.wheels.mkdir(parents=True, exist_ok=True)
    write_spec(world, spec)
    for name, text in (modules or {}).items():
        file = world.spec.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return world


def write_spec(world: World, spec: str) -> None:
    world.spec.parent.mkdir(parents=True, exist_ok=True)
    world.spec.write_text(spec.replace("{version}", VERSION).replace("{target}", Target.host()))


def layer(world: World, result: Mapping[str, object], name: str) -> Path:
    """The folder of a layer that `realise` answered with."""
    return world.root / "store" / world.paths(result)[name]


def site(folder: Path) -> Path:
    return folder / f"lib/python{VERSION}/site-packages"


def start(world: World, application: str, *arguments: str, profile: str = "project") -> str:
    """Start an application of the current generation; what it printed, when it said nothing on stderr."""
    program = world.root / "profiles" / profile / "bin" / application
    done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd="/", env=clean_environment())
    assert (done.returncode, done.stderr) == (0, ""), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """An environment that helps no program to find anything."""
    return {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", **more}
