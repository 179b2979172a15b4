"""Layers for Macs and for Linux on other processors have the layout of this machine's, and the same texts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scripts.testing.mirror import PROGRAMS, SERIES, VERSION
from scripts.testing.platforms import FOREIGN, HOST, Realised
from vstore.build.layout import LayerLayout
from vstore.build.scripts.posix import ShellLaunchers, trampoline
from vstore.python_version import PythonVersion
from vstore.target import Target

POSIX = [target for target in FOREIGN if not target.is_windows]


@pytest.fixture(params=POSIX, ids=str)
def layers(realised: Realised, request: pytest.FixtureRequest) -> dict[str, Path]:
    world, documents = realised
    return world.layers(documents[request.param])


def test_the_layer_starts_its_interpreter_through_one_link(layers: dict[str, Path]) -> None:
    layer, interpreter = layers["app-hello"], layers[f"cpython-{VERSION}"]
    link = layer / "libexec" / f"python{SERIES}"
    assert os.readlink(link) == f"../../{interpreter.name}/bin/python{SERIES}"
    assert link.read_bytes() in PROGRAMS.values()
    assert (layer / "bin/python").read_text() == trampoline(f"libexec/python{SERIES}")
    assert (layer / "pyvenv.cfg").read_text() == f"include-system-site-packages = false\nversion = {VERSION}\n"


def test_scripts_are_those_of_every_posix_layer(layers: dict[str, Path]) -> None:
    layer = layers["app-hello"]
    trampolines = ShellLaunchers(layout=LayerLayout(target=Target.host(), python=PythonVersion.parse(VERSION)))
    for name in ("low", "tool.py"):
        assert (layer / "bin" / name).read_bytes() == trampolines.script(name, b"")[1]
    assert os.readlink(layer / "libexec/bin/low") == f"../../../{layers['python'].name}/libexec/bin/low"


def test_embedders_find_the_program(layers: dict[str, Path]) -> None:
    layer = layers["app-hello"]
    told = json.loads((layer / "share/venv/metadata/venvstacks_layer.json").read_bytes())
    assert told["python"] == "bin/python" and told["site_dir"] == f"lib/python{SERIES}/site-packages"
    assert (layer / told["base_python"]).is_file()


def test_this_machines_layers_say_what_they_are_for(realised: Realised) -> None:
    world, _ = realised
    document = world.realise("--include", "python")
    layer = world.layers(document)["python"]
    assert json.loads((layer / "share/vstore/layer.json").read_bytes())["target"] == HOST
    assert document["target"] == HOST == Target.host()
