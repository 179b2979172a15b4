"""Read from headers which system and processor a program or library is for.

A few fields of ELF (gABI), Mach-O (``mach-o/loader.h``, ``fat.h``) and PE (Microsoft's PE format) files are read. The
result is None for a damaged file, and for any other file.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from vstore.target import Target
from vstore.values import frozen


class Format(StrEnum):
    """The format of a program or library."""

    ELF = "ELF"
    MACH_O = "Mach-O"
    PE = "PE"


@frozen
class Binary:
    """A program or library. A universal Mach-O file has several `machines`.

    `libraries` are those that a Mach-O file loads. For ELF files see `elf`; PE files are not read so far.
    """

    format: Format
    machines: tuple[str, ...]
    libraries: tuple[str, ...] = ()

    def fits(self, target: Target) -> bool:
        """Whether it can be loaded on the target."""
        return self.format == expected_format(target) and machine(target) in self.machines

    def __str__(self) -> str:
        return f"{self.format} for {', '.join(self.machines)}"


_ELF_MACHINES = {62: "x86_64", 183: "arm64", 3: "i386", 40: "arm", 243: "riscv"}
_MACH_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386"}
_PE_MACHINES = {0x8664: "x86_64", 0xAA64: "arm64", 0x14C: "i386"}
_LOADS = (0xC, 0x80000018, 0x8000001F)  # LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB
_MOST = 100_000  # load commands: a damaged file has more
Data = mmap.mmap | bytes


def expected_format(target: Target) -> Format:
    """Return the format of programs for a target."""
    return Format.ELF if target.is_linux else Format.MACH_O if target.is_macosx else Format.PE


def machine(target: Target) -> str:
    """Return the processor of a target, named as in `Binary.machines`."""
    return "x86_64" if target.value.endswith(("x86_64", "amd64")) else "arm64"


def read_binary(file: Path) -> Binary | None:
    """Read a file; None if it is not a program or library."""
    with file.open("rb") as opened:
        start = opened.read(4)
        if not _is_binary(start):
            return None
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_binary(data)


def _is_binary(start: bytes) -> bool:
    return len(start) == 4 and (start == b"\x7fELF" or start in _MACH_MAGICS or start[:2] == b"MZ")


def parse_binary(data: Data) -> Binary | None:
    """Read the content of a file; None if it is not a program or library."""
    start = bytes(data[:4])
    if not _is_binary(start):
        return None
    try:
        if start == b"\x7fELF":
            return _elf(data)
        return _pe(data) if start[:2] == b"MZ" else _mach_o(data, start)
    except (struct.error, ValueError, IndexError):
        return None


def _text(data: Data, at: int) -> str:
    end = data.find(b"\0", at, at + 4096)
    if at < 0 or end < 0:
        raise ValueError("no text")
    return bytes(data[at:end]).decode("utf-8", "replace")


def _elf(data: Data) -> Binary:
    (number,) = struct.unpack_from("<H" if data[5] == 1 else ">H", data, 18)
    return Binary(format=Format.ELF, machines=(_ELF_MACHINES.get(number, f"machine {number}"),))


_THIN = {b"\xcf\xfa\xed\xfe": ("<", 32), b"\xce\xfa\xed\xfe": ("<", 28), b"\xfe\xed\xfa\xcf": (">", 32)}
_FAT = {b"\xca\xfe\xba\xbe": (">iiIII", 8), b"\xca\xfe\xba\xbf": (">iiQQII", 8)}
_MACH_MAGICS = frozenset((*_THIN, *_FAT))


def _mach_o(data: Data, start: bytes) -> Binary | None:
    offsets = list(_slices(data, start)) if start in _FAT else [0]
    machines: list[str] = []
    libraries: list[str] = []
    for offset in offsets:
        magic = bytes(data[offset : offset + 4])
        if magic not in _THIN:
            return None  # a Java class starts like a universal binary
        order, header = _THIN[magic]
        cpu, _, _, count = struct.unpack_from(f"{order}iiII", data, offset + 4)
        machines.append(_MACH_MACHINES.get(cpu, f"machine {cpu}"))
        libraries += _loaded(data, order, offset + header, count)
    if not machines:
        return None
    return Binary(format=Format.MACH_O, machines=tuple(machines), libraries=tuple(dict.fromkeys(libraries)))


def _slices(data: Data, start: bytes) -> Iterator[int]:
    (count,) = struct.unpack_from(">I", data, 4)
    layout, first = _FAT[start]
    if count > 16:
        return
    for index in range(count):
        yield struct.unpack_from(layout, data, first + index * struct.calcsize(layout))[2]


def _loaded(data: Data, order: str, at: int, count: int) -> Iterator[str]:
    for _ in range(min(count, _MOST)):
        command, size, name = struct.unpack_from(f"{order}III", data, at)
        if command in _LOADS:
            yield _text(data, at + name)
        at += max(size, 8)


def _pe(data: Data) -> Binary | None:
    (at,) = struct.unpack_from("<I", data, 0x3C)
    if bytes(data[at : at + 4]) != b"PE\0\0":
        return None
    (number,) = struct.unpack_from("<H", data, at + 4)
    return Binary(format=Format.PE, machines=(_PE_MACHINES.get(number, f"machine {number}"),))
