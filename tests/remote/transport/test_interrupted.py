"""Ctrl-C while a cache is slow: the command ends at once, the store is whole, and the next one goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.testing.fleet import Fleet, make_fleet
from scripts.testing.machine import folder_cache, machine
from scripts.testing.trees import add
from scripts.testing.world import World
from tests.remote.liar import Liar, liar
from vstore.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    fleet.builder.run("push", f"file://{fleet.folder}/cache", "project", "--channel", "stable")
    return fleet


def interrupt(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """Press Ctrl-C a moment after that is so; the command must say so and end."""
    while not when():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 130, (out, said)
    assert said.endswith("interrupted; complete objects are kept, and the next run continues\n") and "error" not in said


def command(world: World, name: str, server: Liar) -> list[str]:
    return {
        "pull": ["pull", server.url, "stable"],
        "realise": ["realise", str(world.spec), "--locked", "--no-index", "--cache", server.url],
    }[name]


@pytest.mark.parametrize("name", ["pull", "realise"])
@pytest.mark.parametrize(("mode", "about"), [("stall", "archives"), ("drip", "archives"), ("stall", "objects")])
def test_a_download_is_ended(fleet: Fleet, tmp_path: Path, name: str, mode: str, about: str) -> None:
    with liar(fleet.folder / "cache") as server:
        server.lie(mode, about)
        world = fleet.machine(tmp_path / "machine")
        process = world.start(*command(world, name, server))
        interrupt(process, lambda: any(place.startswith(about) for place in server.requests))
        assert world.json("verify", "--contents")["problems"] == []
        server.lie("honest")
        world.run(*command(world, name, server))
    world.run("gc")
    assert os.listdir(world.root / "tmp") == ["trash"]


@pytest.mark.parametrize("what", ["push", "cache ls"])
def test_waiting_for_an_answer_is_ended(fleet: Fleet, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "none")
        cache = "s3://bucket/fleet"
        process = fleet.builder.start(*(["push", cache, "project"] if what == "push" else ["cache", "ls", cache]))
        with server.accept()[0]:
            interrupt(process, lambda: True)


def test_packing_is_ended(tmp_path: Path) -> None:
    world = World(tmp_path, tmp_path / "root")
    with machine(world.root) as builder:
        path = add(builder.store, "big", {"file": os.urandom(1 << 20).hex().encode() * 40})
    process = world.start("push", f"file://{tmp_path}/cache", str(path), "--level", "19")
    interrupt(process, lambda: any((world.root / "tmp").glob("pack-*/.archive.*")))
    assert os.listdir(world.root / "tmp") == ["trash"]
    assert not list((tmp_path / "cache").glob("archives/**/*"))


def test_what_came_is_not_fetched_again(tmp_path: Path) -> None:
    world = World(tmp_path, tmp_path / "root")
    with machine(tmp_path / "builder") as builder:
        path = add(builder.store, "big", {f"file{number}": os.urandom(5 << 20) for number in range(8)})
        builder.push(folder_cache(tmp_path / "cache"), path)
    with liar(tmp_path / "cache") as server:
        server.lie("half", "archives")  # gives the first half and nothing more
        process = world.start("pull", server.url, str(path))
        written = (world.root / "tmp").glob
        interrupt(process, lambda: any(place.stat().st_mtime < 10**9 for place in written("fetch-*/tree/file*")))
        server.lie("honest")
        pulled = world.json("pull", server.url, str(path))
    assert pulled["fetched_bytes"] < 0.9 * (40 << 20) < pulled["fetched_bytes"] + pulled["saved_bytes"]
    assert os.listdir(world.root / "tmp") == ["trash"]
    with Store.open(world.root) as store:
        assert store.is_valid(path)
