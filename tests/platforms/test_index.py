"""Wheels of the package index for platforms that are not this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.testing.mirror import SERIES, make_mirror
from scripts.testing.platforms import DIGITS, HOST, Platforms
from scripts.testing.world import asking_the_index
from vstore.build.native.binaries import read_binary
from vstore.target import Target

pytestmark = pytest.mark.network
WINDOWS, MAC = Target.WIN_AMD64, Target.MACOSX_ARM64
SPEC = """\
[[runtimes]]
name = "python"
python_implementation = "cpython@{version}"
requirements = []
platforms = [{targets}]

[[frameworks]]
name = "science"
runtime = "python"
requirements = ["numpy<2.4", "colorama; sys_platform == 'win32'"]
macosx_target = "14.0"
"""


class Index(Platforms):
    """A world that asks the index."""

    def environment(self) -> dict[str, str]:
        return asking_the_index(super().environment())


@pytest.mark.slow
def test_numpy_for_windows_and_macs(tmp_path: Path) -> None:
    world = Index(tmp_path, tmp_path / "root")
    make_mirror(tmp_path / "mirror", [WINDOWS, MAC])
    world.spec.parent.mkdir()
    named = ", ".join(f'"{target}"' for target in (HOST, WINDOWS, MAC))
    world.spec.write_text(SPEC.format(version=SERIES, targets=named))
    documents = world.json("realise", str(world.spec), "--platform", str(WINDOWS), "--platform", str(MAC))
    for document, target, site in zip(
        documents, (WINDOWS, MAC), ("Lib/site-packages", f"lib/python{SERIES}/site-packages"), strict=True
    ):
        layer = world.layers(document)["framework-science"]
        suffix = f".cp{DIGITS}-win_amd64.pyd" if target == WINDOWS else f".cpython-{DIGITS}-darwin.so"
        modules = list((layer / site / "numpy").rglob(f"*{suffix}"))
        assert len(modules) > 10
        assert all((binary := read_binary(module)) is not None and binary.fits(target) for module in modules)
        assert (layer / site / "colorama").is_dir() == target.is_windows
        assert (layer / ("Scripts/f2py.exe" if target.is_windows else "bin/f2py")).is_file()
