"""What a layer's target cannot have or load is found while building, and named."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from scripts.testing.mirror import ARM64, VERSION, X86_64, elf, mach_o, pe, universal
from scripts.testing.platforms import DIGITS, EXTENSIONS, PLATFORM_TAGS, Realised
from scripts.testing.wheels import make_wheel
from tests.build.layers import pin, recipe
from vstore.build.layer_metadata import LayerMetadata
from vstore.build.layout import LayerLayout
from vstore.build.native.checks import check_layer
from vstore.build.ownership import collect_metadata
from vstore.build.packages import install
from vstore.build.scripts.launchers import LauncherFormat
from vstore.build.scripts.posix import ShellLaunchers
from vstore.build.scripts.windows import BatchLaunchers
from vstore.errors import BuildError
from vstore.python_version import PythonVersion
from vstore.target import Target
from vstore.uv import Uv

LINUX, ARM_LINUX, MAC, WINDOWS = Target.LINUX_X86_64, Target.LINUX_AARCH64, Target.MACOSX_ARM64, Target.WIN_AMD64


def build(folder: Path, target: Target, files: dict[str, bytes | str], modules: tuple[str, ...] = ()) -> LayerMetadata:
    """The layer `folder`/layer with one distribution of these files, and modules of its own."""
    layout = LayerLayout(target=target, python=PythonVersion.parse(VERSION))
    launchers: LauncherFormat = BatchLaunchers(layout=layout) if target.is_windows else ShellLaunchers(layout=layout)
    wheel = make_wheel(folder, "one", "1", files, tag=f"cp{DIGITS}-cp{DIGITS}-{PLATFORM_TAGS[target]}")
    uv = Uv(cache_dir=folder / "uv", environment={"PATH": os.environ["PATH"], "UV_NO_INDEX": "1"})
    layer = folder / "layer"
    python = Path(sys.executable)
    install(uv, layer, [pin(wheel)], layout=layout, python=python, launchers=launchers)
    for module in modules:
        (layer / layout.site_packages / module).write_text("")
    paths = [PurePosixPath(layout.site_packages, module) for module in modules]
    return collect_metadata(layer, replace(recipe("layer", [wheel]), target=target), paths)


@pytest.mark.parametrize(
    ("target", "name", "data", "said"),
    [
        (ARM_LINUX, f"x.{EXTENSIONS[ARM_LINUX][0]}", elf(62), "ELF for x86_64, not ELF for arm64"),
        (ARM_LINUX, "x.abi3.so", mach_o(ARM64), "Mach-O for arm64, not ELF for arm64"),
        (MAC, f"x.cpython-{DIGITS}-darwin.so", mach_o(X86_64), "Mach-O for x86_64, not Mach-O for arm64"),
        (WINDOWS, f"x.cp{DIGITS}-win_amd64.pyd", pe(0xAA64), "PE for arm64, not PE for x86_64"),
        (WINDOWS, f"x.cp{DIGITS}-win_amd64.pyd", b"", "not a library, not PE"),
        (LINUX, "x.so", elf(183) + b"PyInit_x\0", "ELF for arm64, not ELF for x86_64"),
    ],
)
def test_an_extension_module_for_another_machine(
    tmp_path: Path, target: Target, name: str, data: bytes, said: str
) -> None:
    metadata = build(tmp_path, target, {f"pack/{name}": data})
    with pytest.raises(BuildError, match=said) as caught:
        check_layer(tmp_path / "layer", metadata)
    assert f"pack/{name} of one 1" in caught.value.message


@pytest.mark.parametrize(
    ("target", "name", "data"),
    [
        (MAC, f"x.cpython-{DIGITS}-darwin.so", universal(X86_64, ARM64)),
        (LINUX, "helper.so", elf(183)),  # no module of that name: it is there for some other use
        (LINUX, "x.cpython-38-x86_64-linux-gnu.so", elf(183)),  # another Python's
        (LINUX, "x.pyd", pe(0xAA64)),
        (WINDOWS, "cli-arm64.exe", pe(0xAA64)),
    ],
)
def test_what_cannot_be_imported_anyway_is_left_alone(tmp_path: Path, target: Target, name: str, data: bytes) -> None:
    check_layer(tmp_path / "layer", build(tmp_path, target, {f"pack/{name}": data}))


@pytest.mark.parametrize("target", [MAC, WINDOWS])
def test_names_that_are_one_there(tmp_path: Path, target: Target) -> None:
    metadata = build(tmp_path, target, {"pack/Readme": "a", "pack/README": "b"})
    with pytest.raises(BuildError, match=r"pack/README and .*/pack/Readme are the same file there"):
        check_layer(tmp_path / "layer", metadata)


def test_a_module_of_the_layer_may_not_collide_either(tmp_path: Path) -> None:
    metadata = build(tmp_path, WINDOWS, {"One.py": "a"}, ("one.py",))
    with pytest.raises(BuildError, match=r"One\.py and .*one\.py"):
        check_layer(tmp_path / "layer", metadata)


def test_linux_tells_them_apart(tmp_path: Path) -> None:
    check_layer(tmp_path / "layer", build(tmp_path, LINUX, {"pack/Readme": "a", "pack/README": "b", "pack/aux.py": ""}))


def test_a_name_that_windows_cannot_have(tmp_path: Path) -> None:
    metadata = build(tmp_path, WINDOWS, {"pack/aux.py": ""})
    with pytest.raises(BuildError, match=r"pack/aux\.py cannot be there: the name of a device"):
        check_layer(tmp_path / "layer", metadata)


def test_a_wheel_may_not_bring_files_of_the_library_on_windows(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "two", "1", {"two.py": ""}, data={"data/Lib/os.py": "evil"})
    layout = LayerLayout(target=WINDOWS, python=PythonVersion.parse(VERSION))
    with pytest.raises(BuildError, match=r"refused Lib/os\.py"):
        install(
            Uv(cache_dir=tmp_path / "uv", environment={"PATH": os.environ["PATH"], "UV_NO_INDEX": "1"}),
            tmp_path / "layer",
            [pin(wheel)],
            layout=layout,
            python=Path(sys.executable),
            launchers=BatchLaunchers(layout=layout),
        )


def test_an_executable_bit_removed_for_windows_stays_elsewhere(realised: Realised) -> None:
    """Both layers' files come from one cache."""
    world, documents = realised
    for target, script, expected in ((WINDOWS, "Scripts/plain", False), (ARM_LINUX, "bin/plain", True)):
        if target in documents:
            layer = world.layers(documents[target])["framework-fast"]
            assert bool((layer / script).stat().st_mode & 0o100) == expected
