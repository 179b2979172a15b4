"""CPython's own rules for finding its library, told that they run on Windows, over a tree that is here.

The rules (``Modules/getpath.py``) are frozen into each CPython 3.11 and newer: run as a program, this file takes them
out of an interpreter's binary and executes them over a folder with Windows' path functions. Symlinks are not resolved:
on Windows `realpath` does nothing there. Prints JSON: prefix, base_prefix, module search paths.
"""

from __future__ import annotations

import json
import marshal
import ntpath
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = "C:\\layer"


def windows_paths(python: Path, tree: Path, executable: str) -> dict[str, Any]:
    """What CPython `python` would find on Windows, started as `executable` (relative, with ``/``) of `tree`."""
    command = [str(python), "-I", "-S", __file__, str(tree), executable]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def frozen_rules() -> CodeType | None:
    """The code of getpath in this interpreter's binary; None if it is not to be found."""
    library = os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
    for file in (library, os.path.realpath(sys.executable)):
        data = Path(file).read_bytes() if os.path.isfile(file) else b""
        end = data.find(b"<frozen getpath>")
        at = end
        while (at := data.rfind(b"c" + bytes(12), 0, max(at, 0))) >= 0 and end - at < 1 << 16:
            try:
                code = marshal.loads(data[at : at + (1 << 17)])
            except (ValueError, EOFError, TypeError):
                continue
            if isinstance(code, CodeType) and (code.co_name, code.co_filename) == ("<module>", "<frozen getpath>"):
                return code
    return None


class Disk:
    """The tree as ``C:\\layer``, names in any case."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def place(self, path: str) -> Path | None:
        path = ntpath.normpath(path)
        if not path.lower().startswith(ROOT.lower()):
            return None
        here = self.tree
        for part in path[len(ROOT) :].strip("\\").split("\\"):
            names = [name for name in os.listdir(here) if name.lower() == part.lower()] if here.is_dir() else []
            if not part:
                continue
            if not names:
                return None
            here /= names[0]
        return here

    def isfile(self, path: str) -> bool:
        return (found := self.place(path)) is not None and found.is_file()

    def isdir(self, path: str) -> bool:
        return (found := self.place(path)) is not None and found.is_dir()

    def readlines(self, path: str) -> list[str]:
        found = self.place(path)
        if found is None:
            raise FileNotFoundError(path)
        return found.read_text().splitlines()


def _config(program: str) -> dict[str, Any]:
    names = [
        "home",
        "module_search_paths",
        "stdlib_dir",
        "platstdlib_dir",
        "prefix",
        "exec_prefix",
        "base_prefix",
        "base_exec_prefix",
        "base_executable",
        "executable",
    ]
    return {
        **dict.fromkeys(names),
        "module_search_paths": None,
        "module_search_paths_set": 0,
        "pythonpath_env": None,
        "program_name": program,
        "platlibdir": "DLLs",
        "_is_python_build": 0,
        "use_environment": 1,
        "isolated": 0,
        "site_import": 1,
        "safe_path": 0,
        "argv": [],
        "orig_argv": [program],
    }


def run_rules(code: CodeType, disk: Disk, executable: str) -> dict[str, Any]:
    program = ntpath.join(ROOT, *executable.split("/"))
    library = ntpath.join(ntpath.dirname(program), f"python{sys.version_info[0]}{sys.version_info[1]}.dll")
    config = _config(program)
    space: dict[str, Any] = {
        "config": config,
        "os_name": "nt",
        "PREFIX": "",
        "EXEC_PREFIX": "",
        "PYTHONPATH": "",
        "VPATH": "..\\..",
        "PLATLIBDIR": "DLLs",
        "PYDEBUGEXT": "",
        "VERSION_MAJOR": sys.version_info[0],
        "VERSION_MINOR": sys.version_info[1],
        "PYWINVER": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "EXE_SUFFIX": ".exe",
        "ABI_THREAD": "",
        "WITH_NEXT_FRAMEWORK": 0,
        "winreg": None,
        "library": library,
        "executable_dir": None,
        "py_setpath": None,
        "real_executable": program,
        **dict.fromkeys(("ENV_PATH", "ENV_PYTHONHOME", "ENV_PYTHONEXECUTABLE", "ENV___PYVENV_LAUNCHER__")),
        "basename": ntpath.basename,
        "dirname": lambda path: path.rpartition("\\")[0],  # as in getpath.c: nothing is above ``C:``
        "joinpath": ntpath.join,
        "abspath": ntpath.normpath,
        "isabs": ntpath.isabs,
        "realpath": lambda path: path,
        "hassuffix": lambda path, suffix: path.lower().endswith(suffix.lower()),
        "isfile": disk.isfile,
        "isxfile": disk.isfile,
        "isdir": disk.isdir,
        "readlines": disk.readlines,
        "warn": lambda text: sys.stderr.write(f"{text}\n"),
    }
    exec(code, space)
    return config


def main(tree: str, executable: str) -> None:
    code = frozen_rules()
    config = run_rules(code, Disk(Path(tree)), executable) if code else {}
    wanted = ("prefix", "base_prefix", "base_executable", "module_search_paths", "stdlib_dir", "safe_path")
    sys.stdout.write(json.dumps({name: config[name] for name in wanted if name in config}))


if __name__ == "__main__":
    main(*sys.argv[1:])
