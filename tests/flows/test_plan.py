"""Plans: printed, carried out node by node by make, refused when they are none; and the source objects of modules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.testing.world import World
from vstore.objects import Kind
from vstore.store import Store

pytestmark = pytest.mark.slow

TO_MAKE = Path(__file__).parents[2] / "examples" / "make" / "plan_to_make.py"
TO_MATRIX = Path(__file__).parents[2] / "examples" / "ci-matrix" / "plan_to_matrix.py"


def empty(world: World) -> World:
    """The same project with a root that holds nothing."""
    return World(world.folder, world.folder / "other")


def plan(world: World, *arguments: str) -> Any:
    return world.json("plan", str(world.spec), *arguments)


def states(document: Any) -> dict[str, bool]:
    """Whether each node's object is known, by name."""
    return {node["recipe"]["name"]: node["object"] is not None for node in document["nodes"]}


def write_node(world: World, node: Any) -> str:
    file = world.folder / "node.json"
    file.write_text(json.dumps(node))
    return str(file)


def make(world: World, document: Any) -> subprocess.CompletedProcess[str]:
    """Carry out a plan by make."""
    folder = world.folder / "make"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, TO_MAKE, folder], input=json.dumps(document), text=True, check=True)
    command = f"{sys.executable} -m vstore --root {world.root}"
    environment = {**world.environment(), "VSTORE": command, "PYTHONPATH": str(TO_MAKE.parents[2])}
    return subprocess.run(["make", "-j2", "-C", folder], env=environment, check=False, capture_output=True, text=True)


def test_make_carries_out_a_plan_and_realise_finds_all_of_it(world: World) -> None:
    first = world.realise()
    other = empty(world)
    document = plan(other)
    assert not any(states(document).values()) and len(document["nodes"]) == 6
    make(other, document).check_returncode()
    again = other.realise("--locked")
    assert {layer["origin"] for layer in again["layers"]} == {"present"}
    assert other.paths(again) == world.paths(first) and again["stack"] == first["stack"]
    assert other.run("verify", "--contents")[0].endswith("0 problems\n")


def test_a_plan_has_nothing_below_what_is_there(world: World) -> None:
    assert states(plan(world)) == {"project-stack": True}
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    document = plan(world)
    assert {name for name, known in states(document).items() if not known} == {"app-hello", "project-stack"}
    app = next(node for node in document["nodes"] if node["recipe"]["name"] == "app-hello")
    assert app["dependencies"] == [] and len(app["objects"]) == 4  # all that it needs is there
    built = world.json("build", write_node(world, app))
    assert built["origin"] == "built" and world.json("build", write_node(world, app))["origin"] == "present"
    assert app["expected_seconds"] > 0 and app["expected_bytes"] > 0  # of the one before


def test_equal_nodes_of_several_specs_are_joined(world: World) -> None:
    shutil.copytree(world.spec.parent, world.folder / "second")
    document = world.json("plan", str(world.spec), str(world.folder / "second" / "spec.toml"))
    assert len(document["stacks"]) == 2 and len({one["node"] for one in document["stacks"]}) == 2
    other = World(world.folder, world.folder / "none")
    nodes = other.json("plan", str(world.spec), str(world.folder / "second" / "spec.toml"))["nodes"]
    assert len(nodes) == 7  # two stacks over the same layers


def test_a_cached_plan_is_one_node(world: World) -> None:
    key = world.json("key", "generate", "builder")["public"]
    world.run("push", str(world.folder / "cache"), "project")
    other = empty(world)

    other.root.mkdir()
    (other.root / "config.toml").write_text(f"trusted_keys = [{key!r}]\n")
    document = plan(other, "--cache", str(world.folder / "cache"))
    (node,) = document["nodes"]
    assert node["cached"] and node["dependencies"] == []
    built = other.json("build", write_node(world, node), "--cache", str(world.folder / "cache"))
    assert (built["path"], built["origin"]) == (node["object"], "substituted")
    assert other.realise("--locked", "--cache", str(world.folder / "cache"))["fetched_bytes"] == 0  # records alone


def test_what_is_below_must_be_given_and_be_there(world: World) -> None:
    document = plan(empty(world))
    runtime = document["nodes"][1]
    err = world.run("build", write_node(world, runtime), code=2)[1]
    assert "the objects of 1 dependencies are unknown" in err and f"--object {runtime['dependencies'][0]}=PATH" in err
    gone = "0" * 32 + "-cpython-3"
    pair = f"{runtime['dependencies'][0]}={gone}"
    assert (
        f"not in the store: {gone}"
        in empty(world).run("build", write_node(world, runtime), "--object", pair, code=6)[1]
    )
    assert "write KEY=PATH" in world.run("build", write_node(world, runtime), "--object", "x", code=2)[1]


def test_a_module_that_was_collected_is_told(world: World) -> None:
    other = empty(world)
    document = plan(other)
    other.run("gc")
    done = make(other, document)
    assert done.returncode != 0 and "app-hello needs objects that are not in the store" in done.stderr
    assert "`vstore plan SPEC` imports modules" in done.stderr
    make(other, plan(other)).check_returncode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda node: node.clear(), "not a node of a plan"),
        (lambda node: node["recipe"].update(builder=1), "the recipe is for builder 1"),
        pytest.param(lambda node: node["recipe"].update(name="other"), "its key is", marks=pytest.mark.fast),
        (lambda node: node["recipe"].update(kind="nothing"), "not a recipe"),
        (lambda node: node["recipe"].update(wheels=[["a", "1", 5]]), "not a recipe"),
        (lambda node: node.update(origins=None), "not a recipe"),
        (lambda node: node.update(objects={"x": "y"}), "not a node of a plan"),
        (lambda node: node["recipe"].update(lowers=["../../etc"]), "not a recipe"),
    ],
)
def test_what_is_no_node_is_one_line(world: World, change: Any, said: str) -> None:
    node = plan(empty(world))["nodes"][1]
    change(node)
    err = world.run("build", write_node(world, node), code=2)[1]
    assert said in err and "Traceback" not in err


def test_a_plan_locks_nothing(world: World) -> None:
    world.write_spec("==2.0")
    before = sorted(world.spec.parent.iterdir())
    assert "lock is missing or stale" in world.run("plan", str(world.spec), code=4)[1]
    assert sorted(world.spec.parent.iterdir()) == before


def sources(world: World) -> list[str]:
    return [one["path"] for one in world.json("list") if one["kind"] == "source"]


@pytest.mark.fast
def test_a_source_shares_its_bytes_and_lives_as_long_as_its_layer(world: World) -> None:
    (source,) = sources(world)
    layer = next(one["path"] for one in world.json("list") if one["name"] == "app-hello")
    info = world.json("info", layer)
    assert info["inputs"] == [source] and source not in info["references"]
    assert world.json("gc")["deleted"] == []
    assert "app-hello" in world.run("delete", source, code=6)[1]
    world.run("reindex")
    assert world.json("info", layer)["inputs"] == [source] and world.json("gc")["deleted"] == []
    (world.spec.parent / "hello.py").write_text("print('edited')\n")
    world.realise("--locked")
    assert len(sources(world)) == 2
    layers = [one["path"] for one in world.json("list") if one["name"] == "app-hello"]
    files = [world.root / "store" / one / "source" / "hello.py" for one in sources(world)]
    copies = [next((world.root / "store" / one).rglob("site-packages/hello.py")) for one in layers]
    assert any(os.path.samefile(copy, file) for copy in copies for file in files)  # the store that was copied has none
    deleted = world.json("gc", "--keep", "1")["deleted"]
    assert source in deleted and layer in deleted and len(sources(world)) == 1


def test_a_damaged_source_is_imported_again(world: World) -> None:
    (source,) = sources(world)
    file = world.root / "store" / source / "source" / "hello.py"
    file.unlink()
    file.write_text("spoilt\n")
    assert world.json("verify", "--contents", code=6)["problems"]
    assert world.json("verify", "--repair")["problems"] == []


def test_closures_leave_sources_out(world: World, tmp_path: Path) -> None:
    (source,) = sources(world)
    with Store.open(world.root) as store:
        stack = next(info.path for info in store.objects.all() if info.kind == Kind.STACK)
        assert source not in map(str, store.objects.closure([stack]))
    world.run("pack", "project", "-o", str(tmp_path / "bundle"))
    other = World(world.folder, tmp_path / "unpacked")
    other.run("unpack", str(tmp_path / "bundle"))
    assert sources(other) == []


def test_a_damaged_layer_is_made_again_from_its_recipe_alone(world: World) -> None:
    """Nothing of the spec is needed: it is gone."""
    world.spec.write_text(world.spec.read_text().replace('requirements = ["ns-app"]', "requirements = []"))
    world.realise()
    world.run("gc", "--keep", "1")
    layer = next(one["path"] for one in world.json("list") if one["name"] == "app-hello")
    (copy,) = (world.root / "store" / layer).rglob("site-packages/hello.py")
    copy.unlink()
    copy.write_text("spoilt\n")
    shutil.rmtree(world.spec.parent)
    assert world.json("verify", "--contents", code=6)["problems"]
    assert world.json("verify", "--repair")["problems"] == []
    assert os.path.samefile(copy, world.root / "store" / sources(world)[0] / "source" / "hello.py")


def test_jobs_of_a_matrix_carry_out_a_plan_each_with_a_store_of_its_own(world: World) -> None:
    """One job for each node, in the order of the levels, with the script of the pipeline for GitLab.

    Only the cache and the folder `built` are passed on.
    """
    public = world.json("key", "generate", "ci")["public"]
    key, cache, jobs = world.root / "keys" / "ci.secret", str(world.folder / "cache"), world.folder / "jobs"
    world.run("push", cache, "project")
    world.write_spec("==2.0")
    world.run("lock", str(world.spec), "--local-wheels", str(world.wheels), "--no-index")

    def fresh(name: str) -> World:
        other = World(world.folder, jobs / name)
        other.root.mkdir(parents=True)
        (other.root / "config.toml").write_text(f"trusted_keys = [{public!r}]\n")
        return other

    def script(store: World, *arguments: str) -> str:
        command = f"{sys.executable} -m vstore --root {store.root}"
        changes = {"VSTORE": command, "CACHE": cache, "SIGNING_KEY": str(key), "TRUSTED_KEY": public}
        environment = {**world.environment(), **changes, "PYTHONPATH": str(TO_MATRIX.parents[2])}
        call = [sys.executable, str(TO_MATRIX), *arguments]
        return subprocess.run(call, cwd=jobs, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    planner = fresh("planner")
    (jobs / "plan.json").write_text(json.dumps(document := plan(planner, "--cache", cache)))
    known = {name for name, is_known in states(document).items() if is_known}
    sources = script(planner, "sources", "plan.json").split()
    planner.run("push", cache, *sources, "--key", str(key))
    levels = json.loads(script(planner, "levels", "plan.json"))
    assert [[row["name"] for row in level["include"]] for level in levels] == [
        ["framework-mid"],
        ["app-hello"],
        ["project-stack"],
    ]
    pipeline = json.loads(script(planner, "pipeline", "plan.json"))
    assert pipeline.pop("default") and {one.partition(" ")[0] for one in pipeline} == set(states(document)) - known
    done = set[str]()
    for row in (row for level in levels for row in level["include"]):
        (title,) = (one for one in pipeline if one.startswith(f"{row['name']} {row['target']} "))
        assert {need["job"] for need in pipeline[title]["needs"]} - {"plan"} <= done
        done.add(title)
        *_, command = pipeline[title]["script"]
        script(fresh(row["name"]), *command.removeprefix("python ci/plan_to_matrix.py ").split())
        assert pipeline[title]["artifacts"]["paths"] == [f"built/{row['key']}"]
        assert (jobs / "built" / row["key"]).exists()
    there = fresh("there").realise("--locked", "--cache", cache)
    assert {layer["origin"] for layer in there["layers"]} == {"substituted"}
    assert there["stack"] == world.realise("--locked")["stack"]
