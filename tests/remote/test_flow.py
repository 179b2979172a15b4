"""A builder pushes; machines without registry access realise by substitution alone, upgrade and roll back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.fleet import Fleet, make_fleet, origins, realise, run
from scripts.testing.registries import docker_registry
from scripts.testing.servers import nginx
from tests.remote.buckets import SERVERS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return make_fleet(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(params=["folder", "nginx", "registry", *SERVERS])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Where to push, where to take from, and what the environment must say."""
    match request.param:
        case "folder":
            yield f"file://{tmp_path}/cache", f"file://{tmp_path}/cache", {}
        case "nginx":
            with nginx(tmp_path / "nginx", tmp_path) as url:
                yield f"file://{tmp_path}/cache", f"{url}/cache", {}
        case "registry":
            with docker_registry(tmp_path / "registry") as registry:
                yield registry.url("team/fleet"), registry.url("team/fleet"), {}
        case server:
            with SERVERS[server](tmp_path / server) as bucket:
                yield f"{bucket.url}/fleet", f"{bucket.url}/fleet", dict(bucket.environment)


def test_an_empty_machine_realises_by_substitution_alone(
    fleet: Fleet, cache: tuple[str, str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_to, take_from, environment = cache
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pushed = fleet.builder.json("push", push_to, "project")
    assert pushed["present"] == []
    assert len(pushed["pushed"]) == 6
    machine = fleet.machine(tmp_path / "machine", caches=f'[caches]\nmain = "{take_from}"')
    dry = realise(machine, "--dry-run")
    assert origins(dry) == {"to substitute"}
    assert origins(realise(machine, "--dry-run", "--offline")) == {"to build"}
    assert list((machine.root / "store").iterdir()) == []
    result = realise(machine)
    assert origins(result) == {"substituted"}
    assert 0 < result["fetched_bytes"] <= dry["fetched_bytes"] <= 1.05 * result["fetched_bytes"]
    assert machine.paths(dry) == machine.paths(result)
    assert machine.paths(result) == fleet.builder.paths(fleet.builder.realise())
    assert run(machine).startswith("low 1.0 midlib 1.0")
    assert machine.json("verify", "--contents")["problems"] == []
    again = fleet.builder.json("push", push_to, "project")
    assert (again["pushed"], again["pushed_bytes"], len(again["present"])) == ([], 0, 6)


def test_an_image_alone_is_substituted_from(fleet: Fleet, tmp_path: Path) -> None:
    """From spec to cache, image and second machine: the blobs of the image are those of the cache."""
    with docker_registry(tmp_path / "registry") as registry:
        pushed = fleet.builder.json("push", registry.url("team/cache"), "project")
        image = fleet.builder.json("image", "project", "--push", f"{registry.host}/team/app:1")
        beside = fleet.builder.json("image", "project", "--push", f"{registry.host}/team/cache:image")
        assert image["sent_bytes"] > 100_000 > beside["sent_bytes"], "the archives of the cache are the layers"
        of_cache, of_image = (
            {one["path"]: one["archive_bytes"] for one in fleet.builder.json("cache", "ls", url)["objects"]}
            for url in (registry.url("team/cache"), registry.url("team/app:1"))
        )
        assert of_cache == of_image and set(of_image) == set(pushed["pushed"])
        machine = fleet.machine(tmp_path / "machine", caches=f'[caches]\nmain = "{registry.url("team/app:1")}"')
        assert origins(realise(machine)) == {"substituted"}
        assert run(machine).startswith("low 1.0 midlib 1.0")


def test_offline_asks_nobody(fleet: Fleet, tmp_path: Path) -> None:
    cache = f"file://{tmp_path}/cache"
    fleet.builder.run("push", cache, "project")
    machine = fleet.machine(tmp_path / "machine")
    _, said = machine.run("realise", str(machine.spec), "--locked", "--no-index", "--offline", "--cache", cache, code=5)
    assert "substituted" not in said
    assert machine.json("list") == [] or all(one["kind"] == "interpreter" for one in machine.json("list"))


def test_what_no_cache_has_is_built(fleet: Fleet, tmp_path: Path) -> None:
    """An unreachable cache costs one warning, and the realise goes on as without it."""
    machine = fleet.machine(tmp_path / "machine")
    shutil.copytree(fleet.builder.wheels, machine.wheels, dirs_exist_ok=True)
    out, said = machine.run("realise", str(machine.spec), "--local-wheels", str(fleet.builder.wheels), "--no-index",
                            "--cache", "http://127.0.0.1:9/nothing", "--json")  # fmt: skip
    assert "substituted" not in origins(json.loads(out))
    assert said.count("warning:") == 1
    assert "127.0.0.1:9" in said


def test_a_fleet_upgrades_and_rolls_back_without_the_spec(fleet: Fleet, tmp_path: Path) -> None:
    builder, cache = fleet.builder, f"file://{tmp_path}/cache"
    first = builder.json("push", cache, "project", "--channel", "stable")
    assert (first["channel"]["number"], first["channel"]["changed"]) == (1, True)
    again = builder.run("push", cache, "project", "--channel", "stable")[0]
    assert again.splitlines()[-1] == "channel stable: unchanged at number 1"
    machine = fleet.machine(tmp_path / "machine")
    pulled = machine.json("pull", cache, "stable")
    assert (pulled["profile"], pulled["generation"], pulled["changed"]) == ("project", 1, True)
    assert run(machine).startswith("low 1.0 midlib 1.0")
    old_stack = pulled["paths"][0]
    try:
        builder.write_spec("==2.0")
        builder.realise()
        second = builder.json("push", cache, "project", "--channel", "stable")
        assert second["channel"]["number"] == 2
        assert len(second["pushed"]) < 6, "the runtime and the other framework are there already"
        upgraded = machine.json("pull", cache, "stable")
        assert upgraded["generation"] == 2
        assert run(machine).startswith("low 1.0 midlib 2.0")
        third = builder.json("push", cache, old_stack, "--channel", "stable")
        assert (third["channel"]["number"], third["pushed"]) == (3, [])
        assert machine.json("pull", cache, "stable")["paths"] == [old_stack]
        assert run(machine).startswith("low 1.0 midlib 1.0")
        machine.run("rollback", "project")
        assert run(machine).startswith("low 1.0 midlib 2.0")
    finally:
        builder.write_spec("==1.0")
        builder.realise()
