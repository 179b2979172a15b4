"""An interpreter's object out of the archive of a managed build, the same on every machine, without starting it.

Taken are the program, its library without site-packages and tests, the shared libraries and headers; texts that
name the place it was built for become relative. Nothing that is compiled is changed: a signed Mach-O file stays as
it was signed. What can be checked by reading is: the version, the processor, and that no library is looked for at an
absolute place.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.build.interpreter.adopt import is_left_out
from vstore.build.interpreter.readonly import fit_for_store
from vstore.build.interpreter.relocate import relocate_texts
from vstore.build.interpreter.tarball import extract
from vstore.build.layout import Layout
from vstore.build.native.binaries import Format, expected_format, machine, read_binary
from vstore.build.native.elf import read_elf
from vstore.errors import BuildError
from vstore.fs.links import make_link

_POSIX = (
    re.compile(r"lib/(lib[^/]+\.(so|dylib)[^/]*|pkgconfig/python[^/]*\.pc)"),
    re.compile(r"(lib/(tcl|tk|itcl|thread)[0-9][^/]*|include|share/terminfo)/.+"),
)
_WINDOWS = (
    re.compile(r"[^/]+\.dll|pythonw?\.exe|LICENSE\.txt", re.IGNORECASE),
    re.compile(r"(DLLs|include|libs|tcl)/.+"),
)
_SYSTEM_LIBRARIES = ("/usr/lib/", "/System/Library/", "@executable_path/", "@loader_path/", "@rpath/")
_TEXTS = frozenset((".py", ".h", ".pc", ".json"))
_TEXT_BYTES = 8 << 20  # CPython's largest has 1.3 MiB
_MALFORMED = (
    *(ValueError, SyntaxError, TypeError, LookupError, AttributeError, RecursionError, MemoryError),
    *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError),
)  # which texts and folders in the place of others make of what reads them
_VERSION = re.compile(r'^#define PY_VERSION\s+"([^"+]+)\+?"', re.MULTILINE)


def take(archive: Path, staging: Path, layout: Layout) -> list[PurePosixPath]:
    """Fill the empty folder `staging`; returns the Python files of its library, to be compiled.

    Raises BuildError for an archive that is malformed, unsafe, or of another version or platform.
    """
    extract(archive, staging, lambda path: wanted(path, layout), layout.executable)
    _check_texts(staging)
    try:
        _check_version(staging, layout)
        _check_binaries(staging, layout)
        return _fit(staging, layout)
    except _MALFORMED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BuildError("the managed build is not one of CPython", details=[reason]) from error


def _fit(staging: Path, layout: Layout) -> list[PurePosixPath]:
    stdlib = staging / layout.stdlib
    (stdlib / "site-packages").mkdir(exist_ok=True)
    if not layout.windows:
        for alias in ("python3", "python"):
            make_link(staging / "bin" / alias, layout.interpreter_name, folder=False)
        relocate_texts(staging, stdlib, built_prefix(stdlib), system=False)
    fit_for_store(staging, stdlib)
    return [PurePosixPath(path.relative_to(staging)) for path in sorted(stdlib.rglob("*.py"))]


def _check_texts(staging: Path) -> None:
    """Refuse texts that are larger than any: they are read as a whole, and compiled."""
    for path in staging.rglob("*"):
        text = path.suffix in _TEXTS or path.parent.name.startswith("config-")
        if text and path.lstat().st_size > _TEXT_BYTES:
            raise BuildError(f"{path.relative_to(staging)} of the managed build has more than {_TEXT_BYTES} bytes")


def wanted(path: str, layout: Layout) -> bool:
    """Whether a file of the archive, named without the archive's top folder, belongs into the object."""
    if path == layout.interpreter:
        return True
    if path.startswith(f"{layout.stdlib}/") or (not layout.windows and path.startswith("lib/pkgconfig")):
        return not any(is_left_out(part) for part in path.removeprefix(layout.stdlib).split("/"))
    return any(pattern.fullmatch(path) for pattern in (_WINDOWS if layout.windows else _POSIX))


def _check_version(staging: Path, layout: Layout) -> None:
    header = staging / "include" / ("" if layout.windows else layout.interpreter_name) / "patchlevel.h"
    found = _VERSION.search(header.read_text("utf-8", "replace")) if header.is_file() else None
    version = found[1] if found else "none that it says"
    if version != layout.python:
        raise BuildError(f"the managed build is of CPython {version}, not {layout.python}")


def _check_binaries(staging: Path, layout: Layout) -> None:
    """The program must be there and for the target, and nothing may be looked for where it was built."""
    program = staging / layout.interpreter
    if not program.is_file():
        raise BuildError(f"the managed build has no {layout.interpreter}")
    found = read_binary(program)
    if found is None or not found.fits(layout.target):
        needed = f"{expected_format(layout.target)} for {machine(layout.target)}"
        raise BuildError(f"{layout.interpreter} of the managed build is {found or 'no program'}, not {needed}")
    carried = {path.name for path in (staging / "lib").glob("lib*")}
    for file in (program, *sorted((staging / "lib").glob("lib*")), *_extensions(staging, layout)):
        fault = None if file.is_symlink() else _absolute(file, carried)
        if fault is not None:
            raise BuildError(f"{file.relative_to(staging)} of the managed build looks for {fault}: it cannot be moved")


def _extensions(staging: Path, layout: Layout) -> Iterator[Path]:
    yield from sorted((staging / layout.stdlib / "lib-dynload").glob("*.so"))


def _absolute(file: Path, carried: set[str]) -> str | None:
    """What the file has looked for at an absolute place though the build carries it."""
    binary = read_binary(file)
    if binary is not None and binary.format == Format.MACH_O:
        return next((name for name in binary.libraries if not name.startswith(_SYSTEM_LIBRARIES)), None)
    elf = read_elf(file)
    if elf is None or any(path.startswith("$ORIGIN") for path in elf.run_path):
        return None
    return next((name for name in elf.needed if name in carried), None)


def built_prefix(stdlib: Path) -> str:
    """The prefix that the build's texts speak of: python-build-standalone's is ``/install``."""
    for file in sorted(stdlib.glob("_sysconfigdata*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                variables = ast.literal_eval(node.value)
                if isinstance(variables.get("prefix"), str):
                    return str(variables["prefix"])
    return "/install"
