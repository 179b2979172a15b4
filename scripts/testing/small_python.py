"""A copy of this interpreter with a quarter of its bytes, for the stores of tests: it is adopted in half the time.

It lacks its debugging symbols, and the parts of the standard library that most tests do not use in a layer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from vstore.build.interpreter.adopt import is_left_out
from vstore.build.interpreter.local import LocalPython, query_python
from vstore.build.interpreter.relocate import relocate_binaries

# Names of modules and packages that are left out, and beginnings of names of encodings and of compiled modules.
_MODULES = """
    _pydecimal _pyio aifc antigravity asynchat asyncio asyncore bdb cProfile cgi cgitb chunk crypt curses dbm difflib
    distutils doctest ensurepip fileinput ftplib idlelib imaplib imghdr lib2to3 mailbox mailcap modulefinder msilib
    multiprocessing nntplib optparse pdb pickletools pipes plistlib poplib profile pstats pyclbr pydoc pydoc_data shelve
    smtpd smtplib sndhdr statistics sunau symtable tabnanny telnetlib test this timeit tkinter trace turtle turtledemo
    unittest uu wave webbrowser wsgiref xdrlib xml xmlrpc
"""
_ENCODINGS = """
    big5 cp10 cp11 cp12 cp7 cp8 cp9 euc_ gb hp_ hz iso2022 iso8859_ johab koi8 kz1048 mac_ palmos ptcp154 shift_ tis_620
"""
_COMPILED = """
    _asyncio _codecs_ _crypt _ctypes_test _curses _dbm _elementtree _gdbm _lsprof _multi _posixshmem _statistics _test
    _tkinter _xx _zoneinfo audioop cmath nis ossaudiodev pyexpat readline spwd xx
"""
_VARIABLE = "TEST_SMALL_PYTHON"


def make_small_python(folder: Path) -> Path | None:
    """Copy this interpreter to the empty `folder`; return the folder of its program, None if it cannot be adopted."""
    python = query_python(Path(sys.executable))
    if python is None or sys.platform != "linux":
        return None
    stdlib = folder / python.stdlib.relative_to(python.prefix)
    shutil.copytree(python.stdlib, stdlib, ignore=_left_out, ignore_dangling_symlinks=True)
    headers = folder / "include" / python.include.name
    headers.mkdir(parents=True)
    for name in ("Python.h", "pyconfig.h"):
        if (python.include / name).is_file():
            shutil.copy(python.include / name, headers / name)
    program = folder / "bin" / python.program_name
    program.parent.mkdir()
    shutil.copy(python.executable, program)
    libraries = [] if python.is_system else list(_copied_libraries(python, folder / "lib"))
    binaries = [program, *libraries, *stdlib.glob("lib-dynload/*.so")]
    relocate_binaries(folder, python.prefix, binaries, frozenset(one.name for one in libraries))
    if (strip := shutil.which("strip")) is not None:
        subprocess.run([strip, "--strip-unneeded", *binaries], check=True)
    return program.parent


def _left_out(folder: str, names: list[str]) -> list[str]:
    beginnings = {"encodings": _ENCODINGS, "lib-dynload": _COMPILED}.get(Path(folder).name, "")
    unused = [
        one for one in names if one.partition(".")[0] in _MODULES.split() or one.startswith(tuple(beginnings.split()))
    ]
    return [*unused, *(one for one in names if is_left_out(PurePosixPath(one)))]


def _copied_libraries(python: LocalPython, folder: Path) -> Iterator[Path]:
    for library in sorted(python.libraries.glob("lib*.so*")):
        if library.is_file() and not library.is_symlink() and not library.name.startswith(("libtcl", "libtk")):
            yield Path(shutil.copy(library, folder / library.name))


def use_small_python(folder: Path) -> None:
    """Let this process, and what it starts, find the interpreter with its program in `folder` before all others."""
    os.environ[_VARIABLE] = str(folder)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


@contextmanager
def finding_whole_pythons() -> Iterator[None]:
    """Find the whole interpreters of this machine only, as without `use_small_python`."""
    before = os.environ["PATH"]
    small = os.environ.get(_VARIABLE)
    os.environ["PATH"] = os.pathsep.join(one for one in before.split(os.pathsep) if one != small)
    yield
    os.environ["PATH"] = before
