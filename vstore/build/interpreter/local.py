"""CPythons that are on this machine: where they are and what they say of themselves."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

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
    """A CPython found here; `executable` and `prefix` are the real ones, never a virtual environment's."""

    version: str
    executable: Path
    prefix: Path
    stdlib: Path
    include: Path
    libraries: Path

    @property
    def name(self) -> str:
        return f"python{series(self.version)}"

    @property
    def of_the_system(self) -> bool:
        """Whether the prefix is one that holds other software too, so that its path means nothing."""
        return str(self.prefix) in ("/", "/usr", "/usr/local")


def bare_environment() -> dict[str, str]:
    """No variables, but for the one without which Windows starts no program."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


def series(version: str) -> str:
    """``3.11`` of ``3.11.7``."""
    return ".".join(version.split(".")[:2])


def version_key(version: str) -> tuple[int, ...]:
    """Orders versions; a prerelease is before its release."""
    found = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+)(a|b|rc)?(\d+)?)?", version)
    if found is None:
        return ()
    major, minor, patch, stage, number = found.groups()
    return int(major), int(minor), int(patch or 0), ["a", "b", "rc"].index(stage) if stage else 3, int(number or 0)


def matches(version: str, wanted: str) -> bool:
    """Whether `version` is `wanted` itself or a release of the series `wanted`."""
    return version == wanted or (wanted.count(".") == 1 and series(version) == wanted and version_key(version)[3] == 3)


def find_local(environment: Mapping[str, str], wanted: str | None = None) -> list[LocalPython]:
    """The CPythons of this machine that match: newest first, then those that stand alone, then as found."""
    found: dict[Path, LocalPython] = {}
    for candidate in _candidates(environment):
        if wanted is not None and candidate.name != f"python{series(wanted)}":
            continue
        python = inspect(candidate)
        if python is not None and (wanted is None or matches(python.version, wanted)):
            found.setdefault(python.executable, python)
    return sorted(found.values(), key=lambda one: (version_key(one.version), not one.of_the_system), reverse=True)


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
    """Where to look: the search path, then what pyenv, uv, asdf, mise and the manylinux images install."""
    for text in environment.get("PATH", "").split(os.pathsep):
        folder = Path(text)
        if text and folder.is_absolute() and folder.name != "shims":  # pyenv's scripts, not interpreters
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
        with suppress(OSError):  # another user's
            yield from sorted(root.glob("*/bin"))


def inspect(executable: Path) -> LocalPython | None:
    """What an interpreter says of itself; None if it is no usable CPython 3.8 or newer."""
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _QUERY],
            env={"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=True,
        )
        facts = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if facts["implementation"] != "cpython" or facts["unusual"] or facts["machine"] != platform.machine():
        return None
    python = LocalPython(
        version=facts["version"],
        executable=Path(facts["executable"]),
        prefix=Path(facts["prefix"]),
        stdlib=Path(facts["stdlib"]),
        include=Path(facts["include"]),
        libraries=Path(facts["libraries"]),
    )
    usable = python.executable.is_file() and python.stdlib.is_relative_to(python.prefix)
    return python if usable and version_key(python.version) >= (3, 8) else None
