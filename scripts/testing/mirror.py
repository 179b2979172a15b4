"""Managed builds as a mirror would have them, made here: this Python's library, and programs that only have headers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from vstore.target import Target

VERSION = ".".join(map(str, sys.version_info[:3]))
SERIES = VERSION.rpartition(".")[0]
STDLIB = Path(os.__file__).resolve().parent
INCLUDE = Path(sysconfig.get_path("include", vars={"installed_base": sys.base_prefix}))
KEYS = {
    Target.LINUX_X86_64: "linux-x86_64-gnu",
    Target.LINUX_AARCH64: "linux-aarch64-gnu",
    Target.MACOSX_ARM64: "macos-aarch64-none",
    Target.MACOSX_X86_64: "macos-x86_64-none",
    Target.WIN_AMD64: "windows-x86_64-none",
    Target.WIN_ARM64: "windows-aarch64-none",
}
_PACKAGES = ("collections", "encodings", "ensurepip", "importlib", "json", "re")  # enough to see by
_WINDOWS_ALSO = ("python3.dll", f"python{SERIES.replace('.', '')}.dll", "vcruntime140.dll", "vcruntime140_1.dll")


def elf(machine: int, needed: str = "", run_path: str = "") -> bytes:
    """A 64-bit ELF file with a dynamic section and nothing else."""
    strings = b"\0" + needed.encode() + b"\0" + run_path.encode() + b"\0"
    entries = [(5, 0x200)] + ([(1, 1)] if needed else []) + ([(29, 2 + len(needed))] if run_path else []) + [(0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, 0x200 + len(strings), 0x200 + len(strings), 8)
    described = struct.pack("<IIQQQQQQ", 2, 4, 0x100, 0x100, 0, len(dynamic), len(dynamic), 8)
    return (head + load + described).ljust(0x100, b"\0") + dynamic.ljust(0x100, b"\0") + strings


def mach_o(cpu: int, *libraries: str) -> bytes:
    """A thin 64-bit Mach-O file that loads libraries."""
    commands = b""
    for library in libraries:
        name = library.encode() + b"\0" * (8 - len(library) % 8)
        commands += struct.pack("<IIIIII", 0xC, 24 + len(name), 24, 0, 0, 0) + name
    return b"\xcf\xfa\xed\xfe" + struct.pack("<iiIIIII", cpu, 0, 2, len(libraries), len(commands), 0, 0) + commands


def universal(*cpus: int) -> bytes:
    """A Mach-O file of several thin ones."""
    head = struct.pack(">II", 0xCAFEBABE, len(cpus))
    thin = [mach_o(cpu) for cpu in cpus]
    offsets = [4096 * (number + 1) for number in range(len(cpus))]
    for cpu, offset, data in zip(cpus, offsets, thin, strict=True):
        head += struct.pack(">iiIII", cpu, 0, offset, len(data), 12)
    for offset, data in zip(offsets, thin, strict=True):
        head = head.ljust(offset, b"\0") + data
    return head


def pe(machine: int) -> bytes:
    return b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + struct.pack("<H", machine) + bytes(64)


X86_64, ARM64 = 0x01000007, 0x0100000C
PROGRAMS = {
    Target.LINUX_X86_64: elf(62),
    Target.LINUX_AARCH64: elf(183),
    Target.MACOSX_ARM64: mach_o(
        ARM64, "/usr/lib/libSystem.B.dylib", f"@executable_path/../lib/libpython{SERIES}.dylib"
    ),
    Target.MACOSX_X86_64: mach_o(X86_64, "/usr/lib/libSystem.B.dylib"),
    Target.WIN_AMD64: pe(0x8664),
    Target.WIN_ARM64: pe(0xAA64),
}
SYSCONFIG = """\
# system configuration generated and used by the sysconfig module
build_time_vars = {"prefix": "/install", "CC": "cc -I/install/include", "n": 1}
"""


def make_build(
    folder: Path,
    target: Target,
    *,
    program: bytes | None = None,
    more: dict[str, bytes] | None = None,
    links: dict[str, str] | None = None,
    left_out: Iterable[str] = (),
) -> Path:
    """An archive shaped like python-build-standalone's `install_only`, with this Python's pure library."""
    files = _files(target, program or PROGRAMS[target]) | (more or {})
    archive = folder / f"cpython-{VERSION}-{KEYS[target]}-install_only.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path, content in files.items():
            if path in left_out:
                continue
            member = tarfile.TarInfo(f"python/{path}")
            data = content.read_bytes() if isinstance(content, Path) else content
            member.size, member.mode = len(data), 0o755 if path.startswith("bin/") or path.endswith(".exe") else 0o644
            tar.addfile(member, io.BytesIO(data))
        for path, lead in (links or {}).items():
            member = tarfile.TarInfo(f"python/{path}")
            member.type, member.linkname = tarfile.SYMTYPE, lead
            tar.addfile(member)
    return archive


def _pip_with_launchers(program: bytes) -> bytes:
    """A wheel that holds pip's launchers for Windows alone; Debian's own pip comes without them."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("t64", "w64", "t64-arm", "w64-arm"):
            archive.writestr(f"pip/_vendor/distlib/{name}.exe", program + "<launcher_dir>".encode("utf-16-le"))
    return wheel.getvalue()


def _files(target: Target, program: bytes) -> dict[str, bytes | Path]:
    stdlib = "Lib" if target.is_windows else f"lib/python{SERIES}"
    include = "include" if target.is_windows else f"include/python{SERIES}"
    found: dict[str, bytes | Path] = {}
    for folder, folders, names in os.walk(STDLIB):
        folders[:] = sorted(set(folders) & set(_PACKAGES))
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("_sysconfigdata"):
                path = Path(folder, name)
                found[f"{stdlib}/{path.relative_to(STDLIB).as_posix()}"] = path
    found[f"{stdlib}/test/test_it.py"] = b"left out"
    found[f"{stdlib}/site-packages/pip/__init__.py"] = b"left out"
    found[f"{include}/patchlevel.h"] = INCLUDE / "patchlevel.h"
    if target.is_windows:
        found |= {"python.exe": program, "pythonw.exe": program, "DLLs/_ssl.pyd": program, "tcl/tcl8.6/init.tcl": b"#"}
        found[f"{stdlib}/ensurepip/_bundled/pip-1-py3-none-any.whl"] = _pip_with_launchers(program)
        return found | dict.fromkeys(_WINDOWS_ALSO, program)
    found[f"bin/python{SERIES}"] = program
    found[f"{stdlib}/_sysconfigdata__x_.py"] = SYSCONFIG.encode()
    if target.is_macosx:
        found[f"lib/libpython{SERIES}.dylib"] = mach_o(0x0100000C, "/usr/lib/libSystem.B.dylib")
    return found


def make_mirror(folder: Path, targets: Iterable[Target], base: str | None = None) -> Path:
    """Builds in a folder, and the list of downloads that names them below the URL `base` (default: the folder's)."""
    folder.mkdir(parents=True, exist_ok=True)
    for target in targets:
        make_build(folder, target)
    return list_mirror(folder, targets, base or folder.as_uri())


def list_mirror(folder: Path, targets: Iterable[Target], base: str, version: str = VERSION) -> Path:
    listed = {}
    for target in targets:
        system, machine, libc = KEYS[target].split("-")
        archive = folder / f"cpython-{version}-{KEYS[target]}-install_only.tar.gz"
        major, minor, patch = map(int, version.split("."))
        listed[f"cpython-{version}-{KEYS[target]}"] = {
            "name": "cpython",
            "arch": {"family": machine, "variant": None},
            "os": system,
            "libc": libc,
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{base}/{archive.name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "variant": None,
            "build": None,
        }
    listing = folder / "downloads.json"
    listing.write_text(json.dumps(listed))
    return listing
