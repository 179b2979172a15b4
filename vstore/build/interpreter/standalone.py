"""Extract an interpreter from the archive of a managed build: the same tree on every machine, without starting it.

The tree has the program, its library without site-packages and tests, the shared libraries and the headers. Texts that
name the prefix of the build become relative. Binaries are not changed, so a signed Mach-O file stays valid. The version
and the processor are checked, and that no library is searched at an absolute path.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.build.interpreter.adopt import is_left_out
from vstore.build.interpreter.relocate import relocate_texts
from vstore.build.interpreter.store_patches import patch_for_store
from vstore.build.interpreter.tarball import extract_files
from vstore.build.layout import LayerLayout
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
_TEXT_BYTES = 8 << 20  # the largest of CPython has 1.3 MiB
_MALFORMED = (
    *(ValueError, SyntaxError, TypeError, LookupError, AttributeError, RecursionError, MemoryError),
    *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError),
)  # raised by readers of malformed texts, and for files in the place of folders
_VERSION = re.compile(r'^#define PY_VERSION\s+"([^"+]+)\+?"', re.MULTILINE)


def extract_interpreter(archive: Path, staging: Path, layout: LayerLayout) -> list[PurePosixPath]:
    """Fill the empty folder `staging`, and return the Python files of the library, to be compiled.

    Raises BuildError for an archive that is malformed, unsafe, or of another version or platform.
    """
    extract_files(archive, staging, lambda path: is_included(path, layout), layout.is_executable)
    _check_texts(staging)
    try:
        _check_version(staging, layout)
        _check_binaries(staging, layout)
        return _patch(staging, layout)
    except _MALFORMED as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BuildError("the managed build is not one of CPython", details=[reason]) from error


def _patch(staging: Path, layout: LayerLayout) -> list[PurePosixPath]:
    stdlib = staging / layout.stdlib
    (stdlib / "site-packages").mkdir(exist_ok=True)
    if not layout.target.is_windows:
        for alias in ("python3", "python"):
            make_link(staging / "bin" / alias, layout.interpreter_name, folder=False)
        relocate_texts(staging, stdlib, built_prefix(stdlib), system=False)
    patch_for_store(staging, stdlib)
    return [PurePosixPath(path.relative_to(staging)) for path in sorted(stdlib.rglob("*.py"))]


def _check_texts(staging: Path) -> None:
    """Raise BuildError for enormous texts: they are read as a whole, and compiled."""
    for path in staging.rglob("*"):
        text = path.suffix in _TEXTS or path.parent.name.startswith("config-")
        if text and path.lstat().st_size > _TEXT_BYTES:
            raise BuildError(f"{path.relative_to(staging)} of the managed build has more than {_TEXT_BYTES >> 20} MiB")


def is_included(path: str, layout: LayerLayout) -> bool:
    """Whether a file of the archive, by its path without the top folder, is part of the object."""
    if path == layout.interpreter:
        return True
    if path.startswith(f"{layout.stdlib}/") or (not layout.target.is_windows and path.startswith("lib/pkgconfig")):
        return not is_left_out(PurePosixPath(path.removeprefix(f"{layout.stdlib}/")))
    return any(pattern.fullmatch(path) for pattern in (_WINDOWS if layout.target.is_windows else _POSIX))


def _check_version(staging: Path, layout: LayerLayout) -> None:
    header = staging / "include" / ("" if layout.target.is_windows else layout.interpreter_name) / "patchlevel.h"
    found = _VERSION.search(header.read_text("utf-8", "replace")) if header.is_file() else None
    version = found[1] if found else "an unknown version"
    if version != str(layout.python):
        raise BuildError(f"the managed build is of CPython {version}, not {layout.python}")


def _check_binaries(staging: Path, layout: LayerLayout) -> None:
    """Check that the program is for the target, and that no library is searched where the build was made."""
    program = staging / layout.interpreter
    if not program.is_file():
        raise BuildError(f"the managed build has no {layout.interpreter}")
    found = read_binary(program)
    if found is None or not found.fits(layout.target):
        needed = f"{expected_format(layout.target)} for {machine(layout.target)}"
        raise BuildError(f"{layout.interpreter} of the managed build is {found or 'not a program'}, not {needed}")
    bundled = {path.name for path in (staging / "lib").glob("lib*")}
    for file in (program, *sorted((staging / "lib").glob("lib*")), *_extensions(staging, layout)):
        fault = None if file.is_symlink() else _absolute_library(file, bundled)
        if fault is not None:
            raise BuildError(f"{file.relative_to(staging)} of the managed build needs {fault} at a fixed path")


def _extensions(staging: Path, layout: LayerLayout) -> Iterator[Path]:
    yield from sorted((staging / layout.stdlib / "lib-dynload").glob("*.so"))


def _absolute_library(file: Path, bundled: set[str]) -> str | None:
    """Return a library of the build that the loader would search at an absolute path, if there is one."""
    binary = read_binary(file)
    if binary is not None and binary.format == Format.MACH_O:
        return next((name for name in binary.libraries if not name.startswith(_SYSTEM_LIBRARIES)), None)
    elf = read_elf(file)
    if elf is None or any(path.startswith("$ORIGIN") for path in elf.run_path):
        return None
    return next((name for name in elf.needed if name in bundled), None)


def built_prefix(stdlib: Path) -> str:
    """Return the prefix in the texts of the build; ``/install`` in python-build-standalone."""
    for file in sorted(stdlib.glob("_sysconfigdata*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                variables = ast.literal_eval(node.value)
                if isinstance(variables.get("prefix"), str):
                    return str(variables["prefix"])
    return "/install"
