"""pytorch/pytorch#101314: torch does not find its CUDA libraries when they are not in the same site-packages.

Packages of the same shape, compiled here: `nvidia` is a namespace package that several layers have parts of, the
libraries find each other by `$ORIGIN/../../nvidia/…`, and what loads them is a library in `torch/lib`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.testing.world import World
from tests.acceptance.compiled import library, wheel, why_no_compiler
from tests.acceptance.projects import clean_environment, layer, make_project, site, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_no_compiler() is not None, reason=str(why_no_compiler()))]

SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = ["{target}"]

[[frameworks]]
name = "cuda-base"
runtime = "python"
requirements = ["nvidia-cublas", "nvidia-nvjitlink"]

[[frameworks]]
name = "cuda-sparse"
frameworks = ["cuda-base"]
requirements = ["nvidia-cusparse"]

[[frameworks]]
name = "torch"
frameworks = ["cuda-sparse"]
requirements = ["torch"]

[[applications]]
name = "train"
launch_module = "train.py"
frameworks = ["torch"]
requirements = ["nvidia-extra"]
"""
TORCH = """\
import ctypes, os
handle = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "lib", "libtorch_global_deps.so"), ctypes.RTLD_GLOBAL)
ANSWER = handle.torch_answer()
"""
TRAIN = """\
import torch, nvidia.extra
with open("/proc/self/maps") as maps:
    loaded = sorted({line.rpartition("/")[2].strip() for line in maps if ".so.12" in line})
print(torch.ANSWER, *loaded)
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Mapping[str, object]]:
    world = make_project(tmp_path_factory.mktemp("torch"), SPEC, {"train.py": TRAIN})
    out = world.folder / "compiled"
    here, jitlink = "$ORIGIN", "$ORIGIN/../../nvjitlink/lib"
    nvidia = ":".join(f"$ORIGIN/../../nvidia/{name}/lib" for name in ("cublas", "cusparse"))
    light = library(out, "libcublasLt.so.12", "light", "1")
    cublas = library(out, "libcublas.so.12", "cublas", "light() + 1", needs=[light], run_path=here)
    link = library(out, "libnvJitLink.so.12", "jit", "10")
    cusparse = library(out, "libcusparse.so.12", "cusparse", "jit() + 10", needs=[link], run_path=jitlink)
    deps = library(
        out,
        "libtorch_global_deps.so",
        "torch_answer",
        "cublas() + cusparse()",
        needs=[cublas, cusparse],
        run_path=nvidia,
    )
    libraries = {"cublas": [light, cublas], "nvjitlink": [link], "cusparse": [cusparse]}
    for name, files in libraries.items():
        wheel(world.wheels, f"nvidia-{name}", {f"nvidia/{name}/lib/{file.name}": file for file in files})
    wheel(world.wheels, "nvidia-extra", {"nvidia/extra.py": ""})
    wheel(world.wheels, "torch", {"torch/__init__.py": TORCH, f"torch/lib/{deps.name}": deps})
    return world, world.realise()


LOADED = "22 libcublas.so.12 libcublasLt.so.12 libcusparse.so.12 libnvJitLink.so.12\n"


def test_torch_finds_its_libraries_in_four_layers(case: tuple[World, Mapping[str, object]]) -> None:
    assert start(case[0], "train") == LOADED


@pytest.mark.parametrize("name", ["framework-torch", "app-train"])
def test_in_every_layer_above_too(case: tuple[World, Mapping[str, object]], name: str) -> None:
    python = layer(*case, name) / "bin/python"
    code = "import torch; print(torch.ANSWER)"
    assert subprocess.check_output([python, "-c", code], text=True, env=clean_environment()) == "22\n"


def test_no_file_had_to_be_changed_or_copied(case: tuple[World, Mapping[str, object]]) -> None:
    world, result = case
    for built in (world.folder / "compiled").glob("*.so*"):
        if built.suffix == ".c":
            continue
        copies = [path for path in (world.root / "store").rglob(built.name) if not path.is_symlink()]
        real = {path.resolve() for path in copies}
        assert len(real) == 1 and real.pop().read_bytes() == built.read_bytes()
    folders = site(layer(world, result, "app-train")) / "nvidia"
    assert sorted(path.name for path in folders.iterdir() if path.is_symlink()) == ["cublas", "cusparse", "nvjitlink"]
    assert not Path(folders).is_symlink()
