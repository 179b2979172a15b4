"""FAT where this machine's kernel has none: another kernel, which runs as a process of its own (user-mode Linux).

The guest's files are the host's; its first process is this module, which mounts the image and calls a test's function.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path

import pytest

from scripts.testing.world import World

KERNEL = shutil.which("linux.uml")
_MODULES = Path("/usr/lib/uml/modules")
_NEEDED = ("fat", "vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii", "nls_utf8")
_PASSED = "passed in the guest"
_FINIT_MODULE = 313  # finit_module(2), x86_64
_SETTINGS = ("mem=512M", "rootfstype=hostfs", "rw", "con=null", "con0=fd:0,fd:1")


def check_on_vfat(function: str, world: World, folder: Path) -> None:
    """Call ``module:name`` with the world and a new FAT file system; skip the test where there is no such kernel."""
    if KERNEL is None or shutil.which("mkfs.vfat") is None:
        pytest.skip("user-mode-linux and dosfstools (Debian's packages) are not installed")
    image, place, first = folder / "image", folder / "fat", folder / "first"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(300 << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", image], check=True, capture_output=True)
    command = f"'{sys.executable}' -m {__name__} {function} '{world.folder}' '{place}'"
    first.write_text(
        f"#!/bin/sh\nexport PATH='{os.environ['PATH']}'\ncd '{Path(__file__).parents[2]}'\nexec {command}\n"
    )
    first.chmod(0o755)
    done = subprocess.run(
        [KERNEL, *_SETTINGS, f"ubd0={image}", f"init={first}"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if "Run /" not in done.stdout:
        pytest.skip(f"no other kernel can be started here: {(done.stderr or done.stdout).strip()[-200:]}")
    assert _PASSED in done.stdout, done.stdout
    subprocess.run(["fsck.vfat", "-n", image], check=True, capture_output=True)


def main(function: str, world: str, place: str) -> None:
    """The guest's first process: it ends by switching the guest off."""
    library = ctypes.CDLL(None)
    for file in (file for name in _NEEDED for file in _MODULES.glob(f"*/kernel/fs/*/{name}.ko")):
        with open(file, "rb") as module:
            library.syscall(_FINIT_MODULE, module.fileno(), b"", 0)
    try:
        subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
        subprocess.run(["mount", "-t", "vfat", "/dev/ubda", place], check=True)
        module_name, _, name = function.partition(":")
        getattr(import_module(module_name), name)(World(Path(world), Path(world) / "root"), Path(place))
        subprocess.run(["umount", place], check=True)
        sys.stdout.write(_PASSED)
        sys.stdout.flush()
    except Exception:
        traceback.print_exc(file=sys.stdout)
    Path("/proc/sysrq-trigger").write_text("o")
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
