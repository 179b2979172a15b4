"""Two variants of one distribution in one application: the first in import order wins, whole."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from tests.acceptance.projects import clean_environment, layer, make_project, site, start, write_spec

pytestmark = pytest.mark.slow

FOUNDATION = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["numbers-base"]
platforms = ["{target}"]
"""
APPLICATIONS = """
[[applications]]
name = "cu-or-cpu"
launch_module = "tell.py"
frameworks = ["torch-cu", "torch-cpu"]
requirements = ["torch"]
index_overrides = { cpu-wheels = "cu-wheels" }

[[applications]]
name = "cpu-or-cu"
launch_module = "tell.py"
frameworks = ["torch-cpu", "torch-cu"]
requirements = ["torch"]
index_overrides = { cu-wheels = "cpu-wheels" }

[[applications]]
name = "cpu"
launch_module = "tell.py"
frameworks = ["torch-cpu"]
requirements = ["torch"]
"""
BY_VERSION = (
    FOUNDATION
    + """
[[frameworks]]
name = "torch-cpu"
runtime = "python"
requirements = ["torch==2.0+cpu", "cpu-helper"]

[[frameworks]]
name = "torch-cu"
runtime = "python"
requirements = ["torch==2.0+cu", "cuda-libs"]
"""
    + "\n".join(line for line in APPLICATIONS.splitlines() if "index_overrides" not in line)
)
BY_INDEX = (
    FOUNDATION
    + """
[[frameworks]]
name = "torch-cpu"
runtime = "python"
requirements = ["torch==2.0", "cpu-helper"]
package_indexes = { torch = "cpu-wheels" }

[[frameworks]]
name = "torch-cu"
runtime = "python"
requirements = ["torch==2.0", "cuda-libs"]
package_indexes = { torch = "cu-wheels" }
"""
    + APPLICATIONS
    + """
[[tool.uv.index]]
name = "cpu-wheels"
url = "{folder}/cpu"
format = "flat"
explicit = true

[[tool.uv.index]]
name = "cu-wheels"
url = "{folder}/cu"
format = "flat"
explicit = true

[[tool.uv.index]]
name = "others"
url = "{folder}/wheels"
format = "flat"
default = true
"""
)

TELL = """\
import importlib.metadata, importlib.util, json, torch

found = [name for name in ("torch.cpu_only", "torch.cu_only", "torchgen", "cuda_libs", "cpu_helper")
         if importlib.util.find_spec(name)]
distribution = importlib.metadata.distribution("torch")
there = {str(file) for file in distribution.files if file.locate().exists()}
print(json.dumps({
    "kind": torch.KIND, "backend": torch.backend.KIND, "found": found, "version": distribution.version,
    "summary": distribution.read_text("variant.txt"), "lost": sorted({str(f) for f in distribution.files} - there),
    "scripts": sorted(e.name for e in distribution.entry_points),
    "times": len(list(importlib.metadata.distributions(name="torch"))),
}))
"""


def variant(folder: Path, kind: str, version: str) -> None:
    """A `torch` that has a module, a top-level package, a script and a data file which the other one has not."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "torch/__init__.py": f"from torch import backend\nKIND = {kind!r}\n",
        "torch/backend/__init__.py": f"KIND = {kind!r}\n",
        f"torch/{kind}_only.py": "",
        f"torch-{version}.dist-info/variant.txt": kind,
    }
    if kind == "cpu":
        files |= {"torchgen/__init__.py": ""}
    main = "def main():\n    import torch\n    print('run', KIND, torch.KIND)\n"
    files["torch/run.py"] = f"KIND = {kind!r}\n{main}"
    entry_points = {"torchrun": "torch.run:main", f"torch-{kind}": "torch.run:main"}
    data = {f"data/share/torch/{kind}.txt": kind}
    make_wheel(folder, "torch", version, files, entry_points=entry_points, data=data)


@pytest.fixture(scope="module", params=["version", "index"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, Mapping[str, object]]:
    """A realised world whose variants differ in their versions, or come from different indexes at one version."""
    folder = tmp_path_factory.mktemp("variants")
    by_version = request.param == "version"
    spec = BY_VERSION if by_version else BY_INDEX.replace("{folder}", folder.as_uri())
    world = make_project(folder, spec, {"tell.py": TELL})
    for kind in ("cpu", "cu"):
        variant(world.wheels if by_version else folder / kind, kind, f"2.0+{kind}" if by_version else "2.0")
    make_wheel(world.wheels, "numbers-base", "1.0", {"numbers_base.py": ""})
    make_wheel(world.wheels, "cuda-libs", "1.0", {"cuda_libs/__init__.py": ""})
    make_wheel(world.wheels, "cpu-helper", "1.0", {"cpu_helper/__init__.py": ""})
    return world, world.realise() if by_version else world.json("realise", str(world.spec), UV_NO_INDEX="")


@pytest.mark.parametrize(("application", "kind", "other"), [("cu-or-cpu", "cu", "cpu"), ("cpu-or-cu", "cpu", "cu")])
def test_the_first_variant_wins_whole(
    case: tuple[World, Mapping[str, object]], application: str, kind: str, other: str
) -> None:
    world, result = case
    told = json.loads(start(world, application))
    assert (told["kind"], told["backend"], told["summary"]) == (kind, kind, kind)
    assert told["version"] in ("2.0", f"2.0+{kind}") and told["times"] == 1 and told["lost"] == []
    assert f"torch.{kind}_only" in told["found"] and f"torch.{other}_only" not in told["found"]
    assert ("torchgen" in told["found"]) is (kind == "cpu")
    assert {"cuda_libs", "cpu_helper"} <= set(told["found"])  # what only one of them has stays
    folder = layer(world, result, f"app-{application}")
    assert sorted(path.name for path in (folder / "share/torch").iterdir()) == [f"{kind}.txt"]
    assert sorted(path.name for path in (folder / "bin").glob("torch*")) == [f"torch-{kind}", "torchrun"]
    out = subprocess.check_output([folder / "bin/torchrun"], text=True, env=clean_environment())
    assert out == f"run {kind} {kind}\n" and told["scripts"] == [f"torch-{kind}", "torchrun"]
    assert len(list(site(folder).glob("torch-*.dist-info"))) == 1


def test_no_file_of_the_other_variant_is_reached(case: tuple[World, Mapping[str, object]]) -> None:
    world, result = case
    folder = layer(world, result, "app-cu-or-cpu")
    loser = layer(world, result, "framework-torch-cpu").resolve()
    reached = [path for path in folder.rglob("*") if path.is_symlink() and path.resolve().is_relative_to(loser)]
    names = {path.relative_to(folder).as_posix().partition("site-packages/")[2].partition("/")[0] for path in reached}
    assert names == {"cpu_helper", "cpu_helper-1.0.dist-info"}


def test_one_framework_alone_is_untouched(case: tuple[World, Mapping[str, object]]) -> None:
    assert json.loads(start(case[0], "cpu"))["kind"] == "cpu"


def test_a_disagreement_about_indexes_must_be_accepted(tmp_path: Path) -> None:
    world = make_project(tmp_path, BY_INDEX, {"tell.py": TELL})
    write_spec(world, BY_INDEX.replace('index_overrides = { cpu-wheels = "cu-wheels" }\n', ""))
    out, err = world.run("show", str(world.spec), code=3)
    assert "index_overrides" in out + err and "cpu-wheels" in out + err
