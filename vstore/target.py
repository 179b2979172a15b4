"""Targets: the platforms of layers."""

from __future__ import annotations

import platform
import sys
from enum import StrEnum
from typing import Self

from vstore.errors import ProfileError, UsageError


class Target(StrEnum):
    """A platform that layers are locked and built for."""

    LINUX_X86_64 = "linux_x86_64"
    LINUX_AARCH64 = "linux_aarch64"
    MACOSX_ARM64 = "macosx_arm64"
    MACOSX_X86_64 = "macosx_x86_64"
    WIN_AMD64 = "win_amd64"
    WIN_ARM64 = "win_arm64"

    @classmethod
    def host(cls) -> Self:
        """Return the target of this machine. Raises UsageError on a machine that is not supported."""
        system = {"linux": "linux", "darwin": "macosx", "win32": "win"}.get(sys.platform, sys.platform)
        machine = platform.machine().lower()
        spellings = {"win": ("amd64", "arm64"), "macosx": ("x86_64", "arm64")}.get(system, ("x86_64", "aarch64"))
        machine = dict.fromkeys(("x86_64", "amd64"), spellings[0]).get(machine, machine)
        machine = dict.fromkeys(("aarch64", "arm64"), spellings[1]).get(machine, machine)
        name = f"{system}_{machine}"
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(cls)
            raise UsageError(f"this machine is not supported: {name}", details=[f"known: {known}"]) from None

    def check_host(self, named: str) -> None:
        """Raise ProfileError unless this is the target of this machine. `named` is the stack that is for it."""
        if self != Target.host():
            raise ProfileError(
                f"{named} is for {self}, and this machine is {Target.host()}",
                hint="`vstore push` and `pull`, `pack` and `unpack`, or `export` move it to another machine",
            )

    @property
    def is_linux(self) -> bool:
        """Whether the system is Linux."""
        return self.startswith("linux_")

    @property
    def is_macosx(self) -> bool:
        """Whether the system is macOS."""
        return self.startswith("macosx_")

    @property
    def is_windows(self) -> bool:
        """Whether the system is Windows."""
        return self.startswith("win_")
