"""`vstore realise --on SCHEDULER` as a process: its document, its lines of events, a killed client, and mistakes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.testing.clusters import TestCluster
from scripts.testing.world import World
from tests.cli.test_documents import mistakes
from vstore.cli.documents.clusters import ClusterRealiseDocument, NodeEventDocument

pytestmark = pytest.mark.slow


@pytest.fixture
def world(cluster: TestCluster, realised: World, tmp_path: Path) -> World:
    """A project with a module of its own; the store is that of a client."""
    shutil.copytree(realised.folder, tmp_path / "w", symlinks=True, ignore=shutil.ignore_patterns("root"))
    made = World(tmp_path / "w", cluster.root("first-user"))
    (made.spec.parent / "hello.py").write_text(f"print({str(tmp_path)!r})\n")
    return made


def on(cluster: TestCluster, world: World, *more: str) -> list[str]:
    wheels = ("--local-wheels", str(world.wheels), "--no-index")
    return ["realise", str(world.spec), *wheels, "--on", str(cluster.file), "--cache", str(cluster.cache), *more]


def test_the_document_and_the_events_are_those_of_their_types(cluster: TestCluster, world: World) -> None:
    out, err = world.run("--json", *on(cluster, world, "--channel", "{profile}", "--profile", "document"))
    document = json.loads(out)
    assert not mistakes(document, ClusterRealiseDocument)
    assert [one["name"] for one in document["channels"]] == ["document"]
    assert sum(len(one["built"]) for one in document["summary"]["workers"]) >= 2  # the application and the stack
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert not [line for one in events for line in mistakes(one, NodeEventDocument)]
    states = [one["state"] for one in events if one["name"] == "app-hello"]
    assert states[0] == "waiting" and states[-1] == "done"
    assert events[-1]["done"] == events[-1]["total"]


def test_a_killed_client_leaves_what_ran_to_the_next_run(cluster: TestCluster, world: World) -> None:
    wait, started = cluster.control / "app-hello.wait", cluster.control / "app-hello.started"
    started.unlink(missing_ok=True)
    wait.touch()
    client = world.start(*on(cluster, world, "--profile", "killed"))
    cluster.wait_for(started.exists)
    client.kill()
    client.communicate()
    started.unlink()
    wait.unlink()
    done = world.json(*on(cluster, world, "--profile", "killed"))
    assert done["stacks"][0]["generation"] == 1
    assert not started.exists()  # it was not built again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channel", "stable"], "--channel is for a cluster"),
        (["--on", "local[x]"], "--on local[x]: no such place"),
        (["--on", "nowhere.json"], "scheduler file cannot be read"),
        (["--on", "tcp://192.0.2.1:8786", "--cache", "./cache"], "is not encrypted"),
        (["--on", "tcp://127.0.0.1:9"], "--on SCHEDULER needs the cache"),
    ],
)
def test_a_mistake_is_told_before_anything_is_done(world: World, arguments: list[str], message: str) -> None:
    assert message in world.run("realise", str(world.spec), *arguments, code=2)[1]
