"""A whole stack is looked up before the first archive is moved; what does not come is made in its turn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.testing.fleet import Fleet, make_fleet, origins, realise
from scripts.testing.world import World
from tests.remote.liar import Liar, liar
from vstore.objects import StorePath
from vstore.remote.file_cache.layout import archive_key, object_key

KINDS = ("realisations", "objects", "archives")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    made = make_fleet(tmp_path_factory.mktemp("fleet"))
    made.builder.run("push", f"file://{made.folder}/cache", "project")
    return made


@pytest.fixture
def server(fleet: Fleet) -> Iterator[Liar]:
    with liar(fleet.folder / "cache") as one:
        yield one


def kinds(server: Liar) -> list[str]:
    """What was asked for, in this order."""
    return [kind for place in server.requests if (kind := place.partition("/")[0]) in KINDS]


def path_of(fleet: Fleet, layer: str) -> StorePath:
    return StorePath.parse(fleet.builder.paths(fleet.builder.realise())[layer])


def realise_with_wheels(fleet: Fleet, machine: World, url: str) -> tuple[dict[str, str], str]:
    """The origins by layer and what was said, on a machine that can also build."""
    shutil.copytree(fleet.builder.wheels, machine.wheels, dirs_exist_ok=True)
    out, said = machine.run("--json", "realise", str(machine.spec), "--no-index", "--local-wheels",
                            str(machine.wheels), "--cache", url)  # fmt: skip
    result = json.loads(out)
    assert machine.paths(result) == fleet.builder.paths(fleet.builder.realise())
    return {layer["name"]: layer["origin"] for layer in result["layers"]}, said


@pytest.mark.parametrize("dry", [False, True])
def test_all_layers_are_looked_up_before_the_first_archive_is_moved(
    fleet: Fleet, server: Liar, tmp_path: Path, dry: bool
) -> None:
    machine = fleet.machine(tmp_path / "machine")
    result = realise(machine, "--cache", server.url, *(["--dry-run"] if dry else []))
    assert origins(result) == {"to substitute" if dry else "substituted"}
    asked = kinds(server)
    assert [*dict.fromkeys(asked)] == list(KINDS)
    assert asked == sorted(asked, key=KINDS.index), "no question came after the first answer to a later kind"
    assert (asked.count("realisations"), asked.count("objects")) == (6, 6), (
        "each layer and the stack were asked for once"
    )


def test_an_archive_that_is_damaged_is_built_and_the_rest_still_comes(
    fleet: Fleet, server: Liar, tmp_path: Path
) -> None:
    """Also what sits on it: built again it is the same object."""
    server.lie("wrong", archive_key(path_of(fleet, "framework-mid")))
    machine = fleet.machine(tmp_path / "machine")
    found, said = realise_with_wheels(fleet, machine, server.url)
    assert found.pop("framework-mid") == "built"
    assert set(found.values()) == {"substituted"}
    assert said.count("warning:") == 1


def test_a_record_that_is_missing_costs_only_its_layer(fleet: Fleet, tmp_path: Path) -> None:
    shutil.copytree(fleet.folder / "cache", tmp_path / "cache")
    (tmp_path / "cache" / object_key(path_of(fleet, "framework-side"))).unlink()
    machine = fleet.machine(tmp_path / "machine")
    found, said = realise_with_wheels(fleet, machine, f"file://{tmp_path}/cache")
    assert found.pop("framework-side") == "built"
    assert set(found.values()) == {"substituted"}
    assert said.count("warning:") == 1


def test_a_layer_is_taken_from_the_next_cache_when_the_first_has_it_damaged(
    fleet: Fleet, server: Liar, tmp_path: Path
) -> None:
    server.lie("wrong", archive_key(path_of(fleet, "framework-mid")))
    machine = fleet.machine(tmp_path / "machine")
    result = realise(machine, "--cache", server.url, "--cache", f"file://{fleet.folder}/cache")
    assert origins(result) == {"substituted"}
