"""A world with wheels for every target and a mirror with interpreters of the foreign ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.testing.mirror import SERIES, elf, mach_o, make_mirror, pe
from scripts.testing.wheels import make_wheel
from scripts.testing.world import World
from vstore.target import Target

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


Realised = tuple[Platforms, dict[str, Any]]
