"""Find the CPython interpreters of this machine, and query them."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from vstore.python_version import PythonRequirement, PythonVersion, feature_version
from vstore.values import frozen

_NAME = re.compile(r"python3\.\d+")
_QUERY = """
import json, os, platform, sys, sysconfig
v, get = sys.version_info, sysconfig.get_config_var
name = "python%d.%d" % v[:2]
stage = {"alpha": "a%d", "beta": "b%d", "candidate": "rc%d"}[v[3]] % v[4] if v[3] != "final" else ""
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d.%d" % v[:3] + stage,
    "machine": platform.machine(),
    "unusual": bool(get("Py_DEBUG") or get("Py_GIL_DISABLED") or sys.maxsize < 2**32),
    "executable": os.path.realpath(os.path.join(sys.base_exec_prefix, "bin", name)),
    "prefix": os.path.realpath(sys.base_prefix),
    "stdlib": os.path.realpath(os.path.dirname(os.__file__)),
    "include": os.path.realpath(sysconfig.get_path("include", vars={"installed_base": sys.base_prefix})),
    "libraries": get("LIBDIR") or "",
}))
"""


@frozen
class LocalPython:
    """A CPython of this machine. `executable` and `prefix` are real paths, never those of a virtual environment."""

    version: PythonVersion
    executable: Path
    prefix: Path
    stdlib: Path
    include: Path
    libraries: Path

    @property
    def program_name(self) -> str:
        """The name of the program, ``python3.11``."""
        return f"python{self.version.feature}"

    @property
    def is_system(self) -> bool:
        """Whether other software shares the prefix, so that files which name the prefix may not be of Python."""
        return str(self.prefix) in ("/", "/usr", "/usr/local")


def bare_environment() -> dict[str, str]:
    """Return an environment without variables, except the one without which Windows starts no program."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


def find_local(environment: Mapping[str, str], requirement: PythonRequirement | None = None) -> list[LocalPython]:
    """Return the interpreters of this machine that a requirement allows.

    They are ordered by version, the newest first, then those with a prefix of their own, then as found.
    """
    found: dict[Path, LocalPython] = {}
    for candidate in _candidates(environment):
        fixed = requirement is not None and not requirement.is_range
        if requirement and fixed and candidate.name != f"python{feature_version(requirement.version)}":
            continue
        python = query_python(candidate)
        if python is not None and (requirement is None or requirement.allows(python.version)):
            found.setdefault(python.executable, python)
    return sorted(found.values(), key=lambda one: (one.version, not one.is_system), reverse=True)


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    seen: set[str] = set()
    for folder in _folders(environment):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if _NAME.fullmatch(name):
                real = os.path.realpath(folder / name)
                if real not in seen and os.access(real, os.X_OK):
                    seen.add(real)
                    yield folder / name


def _folders(environment: Mapping[str, str]) -> Iterable[Path]:
    """Yield the folders to search: those of PATH, then those of pyenv, uv, asdf, mise and the manylinux images."""
    for text in environment.get("PATH", "").split(os.pathsep):
        folder = Path(text)
        if text and folder.is_absolute() and folder.name != "shims":  # scripts of pyenv, not interpreters
            yield folder
    home = Path(environment.get("HOME", "/nonexistent"))
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    for root in (
        Path(environment.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(environment.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python"),
        Path(environment.get("ASDF_DATA_DIR") or home / ".asdf") / "installs/python",
        data / "mise/installs/python",
        Path("/opt/python"),
    ):
        with suppress(OSError):  # a folder of another user
            yield from sorted(root.glob("*/bin"))


def query_python(executable: Path) -> LocalPython | None:
    """Run an interpreter to query it; None if it is not a usable CPython 3.8 or newer."""
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _QUERY],
            env={"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=True,
        )
        answer = json.loads(done.stdout)
        version = PythonVersion.parse(answer["version"])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if answer["implementation"] != "cpython" or answer["unusual"] or answer["machine"] != platform.machine():
        return None
    python = LocalPython(
        version=version,
        executable=Path(answer["executable"]),
        prefix=Path(answer["prefix"]),
        stdlib=Path(answer["stdlib"]),
        include=Path(answer["include"]),
        libraries=Path(answer["libraries"]),
    )
    usable = python.executable.is_file() and python.stdlib.is_relative_to(python.prefix)
    return python if usable and version >= (3, 8) else None
