"""One machine realises every platform, from wheels and from a mirror of interpreters that the test makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.world import World
from tests.platforms.mirror import SERIES, VERSION, elf, mach_o, make_mirror, pe
from tests.wheels import make_wheel
from vstore.spec.model import Target

HOST = Target.host()
FOREIGN = tuple(target for target in (Target.WIN_AMD64, Target.MACOSX_ARM64, Target.LINUX_AARCH64) if target != HOST)
DIGITS = SERIES.replace(".", "")
PLATFORM_TAGS = {
    Target.LINUX_X86_64: "manylinux_2_17_x86_64",
    Target.LINUX_AARCH64: "manylinux_2_17_aarch64",
    Target.MACOSX_ARM64: "macosx_11_0_arm64",
    Target.MACOSX_X86_64: "macosx_10_9_x86_64",
    Target.WIN_AMD64: "win_amd64",
    Target.WIN_ARM64: "win_arm64",
}
EXTENSIONS = {
    Target.LINUX_X86_64: (f"cpython-{DIGITS}-x86_64-linux-gnu.so", elf(62)),
    Target.LINUX_AARCH64: (f"cpython-{DIGITS}-aarch64-linux-gnu.so", elf(183)),
    Target.MACOSX_ARM64: (f"cpython-{DIGITS}-darwin.so", mach_o(0x0100000C)),
    Target.MACOSX_X86_64: (f"cpython-{DIGITS}-darwin.so", mach_o(0x01000007)),
    Target.WIN_AMD64: (f"cp{DIGITS}-win_amd64.pyd", pe(0x8664)),
    Target.WIN_ARM64: (f"cp{DIGITS}-win_arm64.pyd", pe(0xAA64)),
}
SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = ["low"]
platforms = [{targets}]

[[frameworks]]
name = "fast"
runtime = "python"
requirements = ["fast", "only-here; sys_platform == 'win32'"]

[[applications]]
name = "hello"
launch_module = "hello.py"
frameworks = ["fast"]
requirements = ["ns-app"]
"""


@dataclass
class Platforms(World):
    """A world with wheels for every target and a mirror with interpreters of the foreign ones."""

    def environment(self) -> dict[str, str]:
        listing = str(self.folder / "mirror" / "downloads.json")
        return {**super().environment(), "UV_PYTHON_DOWNLOADS": "automatic", "UV_PYTHON_DOWNLOADS_JSON_URL": listing}

    def layers(self, result: Mapping[str, Any]) -> dict[str, Path]:
        return {name: self.root / "store" / path for name, path in self.paths(result).items()}


def make_platforms(folder: Path, targets: tuple[Target, ...] = FOREIGN, base: str | None = None) -> Platforms:
    world = Platforms(folder, folder / "root")
    world.wheels.mkdir(parents=True)
    make_mirror(folder / "mirror", targets, base)
    make_wheel(world.wheels, "low", "1.0", {"low/__init__.py": "VERSION = '1.0'\n"}, entry_points={"low": "low:main"})
    make_wheel(
        world.wheels, "ns-app", "1.0", {"ns/app.py": "NAME = 'app'\n"}, data={"scripts/tool.py": "#!python\n1\n"}
    )
    make_wheel(world.wheels, "only-here", "1.0", {"only_here.py": "X = 1\n"})
    for target in (HOST, *targets):
        suffix, data = EXTENSIONS[target]
        files: dict[str, bytes | str] = {"fast/__init__.py": f"TARGET = '{target}'\n", f"fast/core.{suffix}": data}
        make_wheel(
            world.wheels,
            "fast",
            "1.0",
            files,
            requires=["low"],
            tag=f"cp{DIGITS}-cp{DIGITS}-{PLATFORM_TAGS[target]}",
            data={"data/share/fast/x.txt": "x", "headers/fast.h": "h", "scripts/plain": "#!/bin/sh\n"},
        )
    world.spec.parent.mkdir(parents=True)
    named = ", ".join(f'"{target}"' for target in (HOST, *targets))
    world.spec.write_text(SPEC.format(version=SERIES, targets=named))
    (world.spec.parent / "hello.py").write_text("import fast\nprint(fast.TARGET)\n")
    return world


@pytest.fixture(scope="module")
def realised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platforms, dict[str, Any]]:
    """All foreign platforms in one call."""
    world = make_platforms(tmp_path_factory.mktemp("platforms"))
    options = [word for target in FOREIGN for word in ("--platform", str(target))]
    documents = world.realise(*options)
    return world, {document["target"]: document for document in documents}


Realised = tuple[Platforms, dict[str, Any]]


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
