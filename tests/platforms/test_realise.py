"""One machine realises every platform, from wheels and from a mirror of interpreters that the test makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.testing.mirror import SERIES, VERSION
from scripts.testing.platforms import DIGITS, EXTENSIONS, FOREIGN, HOST, Platforms, Realised
from vstore.target import Target


def test_every_platform_gets_its_own_profile(realised: Realised) -> None:
    world, documents = realised
    assert {document["profile"] for document in documents.values()} == {f"project-{target}" for target in FOREIGN}
    for target, document in documents.items():
        stack = json.loads((world.root / "store" / document["stack"] / "stack.json").read_bytes())
        assert stack["target"] == target
        assert next(layer["name"] for layer in stack["layers"]) == f"cpython-{VERSION}"


@pytest.mark.parametrize("target", FOREIGN)
def test_the_wheel_of_the_platform_is_installed(realised: Realised, target: Target) -> None:
    world, documents = realised
    suffix, data = EXTENSIONS[target]
    site = "Lib/site-packages" if target.is_windows else f"lib/python{SERIES}/site-packages"
    layer = world.layers(documents[target])["framework-fast"]
    assert (layer / site / f"fast/core.{suffix}").read_bytes() == data
    assert (layer / site / "only_here.py").exists() == target.is_windows
    assert list((layer / site / "fast/__pycache__").glob(f"__init__.cpython-{DIGITS}.pyc"))


def test_a_foreign_stack_does_not_run_here(realised: Realised) -> None:
    world, documents = realised
    target = FOREIGN[0]
    _, said = world.run("run", documents[target]["profile"], "hello", code=8)
    assert f"is for {target}, and this machine is {HOST}" in said


def test_nothing_to_do_the_second_time(realised: Realised) -> None:
    world, documents = realised
    for target in FOREIGN:
        again = world.realise("--platform", str(target))
        assert not again["changed"] and again["stack"] == documents[target]["stack"]


@pytest.mark.slow
def test_the_same_digests_in_another_store(realised: Realised, tmp_path: Path) -> None:
    world, documents = realised
    other = Platforms(world.folder, tmp_path / "elsewhere")
    target = str(FOREIGN[0])
    again = other.realise("--platform", target, "--locked", "-j", "1", LC_ALL="C", TZ="Asia/Tokyo")
    assert other.paths(again) == world.paths(documents[target])


def test_built_again_aside_it_is_the_same(realised: Realised) -> None:
    world, _ = realised
    found = world.realise("--platform", str(FOREIGN[0]), "--check")
    assert {layer["origin"] for layer in found["layers"]} <= {"checked", "present"}


def test_an_unknown_platform_names_those_there_are(realised: Realised) -> None:
    world, _ = realised
    _, said = world.run("realise", str(world.spec), "--platform", "beos_ppc", code=2)
    assert "win_arm64" in said
