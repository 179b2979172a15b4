"""ELF files: the libraries that they need and their run paths, read here and changed with patchelf.

See gABI chapter 5 (dynamic section) and ld.so(8). All Linux targets have 64-bit little-endian files.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vstore.errors import BuildError, ToolError
from vstore.values import frozen

ELF_MAGIC = b"\x7fELF"
_IDENT = ELF_MAGIC + b"\x02\x01"  # 64 bits, little-endian
_LOAD, _DYNAMIC = 1, 2
_NULL, _NEEDED, _STRTAB, _RPATH, _RUNPATH = 0, 1, 5, 15, 29
_LARGEST_TABLE_BYTES = 1 << 20
_LONGEST_STRING_BYTES = 1 << 16
_MOST_STRINGS = 1000  # libraries and run paths: a damaged file has more


@frozen
class Elf:
    """The dynamic section of a file. `inherited`: the run path is a DT_RPATH, which also applies to its libraries."""

    needed: tuple[str, ...]
    run_path: tuple[str, ...]
    inherited: bool


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def read_elf(file: Path) -> Elf | None:
    """Read the dynamic section of a file; None if it is not such a file, or has none."""
    try:
        with open(file, "rb") as source:
            return _read(source)
    except (struct.error, ValueError, OverflowError):
        return None


def _read(source: BinaryIO) -> Elf | None:
    header = source.read(64)
    if not header.startswith(_IDENT):
        return None
    table, _, _, _, size, count = struct.unpack_from("<QQIHHH", header, 32)
    segments = [_segment(raw) for raw in _table(source, table, size, count * size)]
    dynamic = next((segment for segment in segments if segment.kind == _DYNAMIC), None)
    if dynamic is None:
        return None
    found: dict[int, list[int]] = {}
    for raw in _table(source, dynamic.offset, 16, dynamic.size):
        tag, value = struct.unpack("<QQ", raw)
        if tag == _NULL:
            break
        found.setdefault(tag, []).append(value)
    if _STRTAB not in found:
        return None
    strings = _offset(segments, found[_STRTAB][0])
    run_path_at = found.get(_RUNPATH, found.get(_RPATH, []))
    if len(found.get(_NEEDED, ())) + len(run_path_at) > _MOST_STRINGS:
        return None
    run_path = [_string(source, strings + at) for at in run_path_at]
    return Elf(
        needed=tuple(_string(source, strings + at) for at in found.get(_NEEDED, [])),
        run_path=tuple(part for text in run_path for part in text.split(":") if part),
        inherited=_RPATH in found and _RUNPATH not in found,
    )


def _table(source: BinaryIO, offset: int, entry_bytes: int, size_bytes: int) -> Iterator[bytes]:
    source.seek(offset)
    data = source.read(min(size_bytes, _LARGEST_TABLE_BYTES))
    return (data[at : at + entry_bytes] for at in range(0, len(data) - entry_bytes + 1, entry_bytes))


def _segment(raw: bytes) -> _Segment:
    kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", raw)
    return _Segment(kind, offset, address, size)


def _offset(segments: list[_Segment], address: int) -> int:
    """Return the offset in the file of the byte that is loaded at the address."""
    for segment in segments:
        if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("the string table is in no segment")


def _string(source: BinaryIO, offset: int) -> str:
    source.seek(offset)
    text, end, _ = source.read(_LONGEST_STRING_BYTES).partition(b"\0")
    if not end:
        raise ValueError("a string has no end")
    return text.decode("utf-8", "surrogateescape")


def patchelf(*arguments: str) -> str:
    """Run patchelf and return its output. Raises ToolError if it is missing or fails."""
    beside = Path(sysconfig.get_path("scripts"), "patchelf")  # the `patchelf` distribution that vstore depends on
    program = str(beside) if beside.is_file() else shutil.which("patchelf")
    if program is None:
        raise ToolError("patchelf is not installed", hint="install vstore with its dependencies, or patchelf itself")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(f"patchelf failed: {Path(arguments[-1]).name}", details=done.stderr.splitlines()[-3:])
    return done.stdout


def needed_libraries(file: Path) -> dict[str, Path]:
    """Return the shared libraries that ldd(1) finds for `file`, by name. Raises BuildError if one is missing."""
    done = subprocess.run(["ldd", file], capture_output=True, text=True, env={"LC_ALL": "C"}, check=False)
    found = {}
    for line in done.stdout.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow:
            continue
        if rest.startswith("not found"):
            raise BuildError(f"{file.name} needs {name}, which is not on this machine")
        found[name] = Path(rest.rpartition(" (")[0])
    return found
