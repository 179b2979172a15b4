"""Headers tell what a file is for, whatever it is called; what is damaged is nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.testing.mirror import ARM64, PROGRAMS, X86_64, elf, mach_o, pe, universal
from vstore.build.native.binaries import Format, machine, parse_binary, read_binary
from vstore.target import Target


@pytest.mark.parametrize("target", list(Target))
def test_a_program_fits_its_own_target_only(target: Target) -> None:
    binary = parse_binary(PROGRAMS[target])
    assert binary is not None
    assert [other for other in Target if binary.fits(other)] == [target]


def test_a_universal_file_fits_both_macs() -> None:
    binary = parse_binary(universal(X86_64, ARM64))
    assert binary is not None and binary.machines == ("x86_64", "arm64")
    assert [target for target in Target if binary.fits(target)] == [Target.MACOSX_ARM64, Target.MACOSX_X86_64]


def test_this_interpreter_is_for_this_machine() -> None:
    binary = read_binary(Path(sys.executable).resolve())
    assert binary is not None and binary.fits(Target.host())


def test_libraries_of_a_mach_o_file() -> None:
    binary = parse_binary(mach_o(ARM64, "/usr/lib/libSystem.B.dylib", "@rpath/libx.dylib"))
    assert binary is not None and binary.libraries == ("/usr/lib/libSystem.B.dylib", "@rpath/libx.dylib")
    assert str(binary) == "Mach-O for arm64"


@pytest.mark.parametrize(
    "data", [b"", b"MZ", b"MZ".ljust(64, b"\xff"), b"\x7fELF", b"#!/bin/sh\n", b"\xca\xfe\xba\xbe\0\0\0\x34a class"]
)
def test_other_files_are_none(data: bytes, tmp_path: Path) -> None:
    assert parse_binary(data) is None
    (tmp_path / "x.so").write_bytes(data)
    assert read_binary(tmp_path / "x.so") is None


@given(st.sampled_from([elf(62), mach_o(X86_64, "/x"), universal(X86_64, ARM64)[:9000], pe(0x8664)]), st.data())
def test_damage_is_no_crash(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for at in draw.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=8)):
        if damaged:
            damaged[at] = draw.draw(st.integers(0, 255))
    found = parse_binary(bytes(damaged))
    assert found is None or found.format in Format


def test_processors_have_one_name() -> None:
    assert {machine(target) for target in Target} == {"x86_64", "arm64"}
