"""Adopting: copying an interpreter into a tree of its own that needs nothing of where it came from.

The same origin gives the same tree. What is left out: site-packages, tests, bytecode (compiled anew),
static libraries, and scripts other than the interpreter.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from vstore.build.bytecode import compile_tree
from vstore.build.interpreter.local import LocalPython, bare_environment
from vstore.build.interpreter.readonly import fit_for_store
from vstore.build.interpreter.relocate import ELF, needed_libraries, relocate_binaries, relocate_texts
from vstore.errors import BuildError
from vstore.reporter import Reporter
from vstore.target import Target

_LEFT_OUT = frozenset(("__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "python.o"))
_BESIDE = ("tcl[0-9]*", "tk[0-9]*", "itcl*", "thread[0-9]*", "libtcl*.so*", "libtk*.so*")  # what tkinter reads
_SYSTEM_LIBRARIES = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")
_MODULES = ("ssl", "sqlite3", "zlib", "lzma", "bz2", "ctypes", "hashlib", "curses", "readline", "_decimal", "tkinter")
_PROBE = """
import importlib, json, os, sys, sysconfig
loaded = []
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    loaded.append(name)
maps = "/proc/self/maps"
mapped = {{line.split(None, 5)[5].strip() for line in open(maps) if line.count(" /")}} if os.path.exists(maps) else ()
variables = [v for v in sysconfig.get_config_vars().values() if isinstance(v, str)]
print(json.dumps({{"loaded": loaded, "mapped": sorted(mapped), "path": sys.path, "prefix": sys.base_prefix,
    "executable": sys.executable, "variables": variables}}))
"""


def adopt(python: LocalPython, staging: Path, *, jobs: int, reporter: Reporter) -> None:
    """Fill `staging` with a relocatable copy of `python`, compile its library and start it there as a check.

    Raises BuildError when the copy cannot start, lacks modules, or still uses files of its origin.
    """
    if not Target.host().is_linux:
        raise BuildError(
            f"cannot adopt {python.executable}: adopting is only possible on Linux",
            hint="let uv download the interpreter, or set UV_PYTHON_INSTALL_MIRROR",
        )
    subject = f"cpython-{python.version}"
    reporter.progress(subject, "copying")
    stdlib = staging / python.stdlib.relative_to(python.prefix)
    files = [_copy_executable(python, staging)]
    files += _copy_tree(python.stdlib, stdlib)
    (stdlib / "site-packages").mkdir(exist_ok=True)
    files += _copy_libraries(python, staging)
    _copy_headers(python, staging)
    copied = frozenset(path.name for path in (staging / "lib").glob("lib*.so*"))
    relocate_binaries(staging, python.prefix, files, copied)
    for prefix in sorted({str(python.prefix), _built_prefix(python)}, key=len, reverse=True):
        relocate_texts(staging, stdlib, prefix, system=prefix in ("/", "/usr", "/usr/local"))
    fit_for_store(staging, stdlib)
    sources = [PurePosixPath(path.relative_to(staging)) for path in sorted(stdlib.rglob("*.py"))]
    interpreter = staging / "bin" / python.name
    compile_tree(interpreter, staging, sources, jobs, reporter, subject=subject)
    reporter.progress(subject, "checking")
    check(python, interpreter)
    _warn_of_foreign_libraries(python, stdlib, reporter)


def _built_prefix(python: LocalPython) -> str:
    """The prefix that its texts speak of, if the interpreter was moved after it was built."""
    return str(python.libraries.parent) if python.libraries.name == "lib" else str(python.prefix)


def is_left_out(name: str) -> bool:
    """Whether a file or folder of that name in the library does not come along."""
    return name in _LEFT_OUT or name.endswith((".a", ".pyc"))


def _copy_executable(python: LocalPython, staging: Path) -> Path:
    folder = staging / "bin"
    folder.mkdir(parents=True)
    _copy_file(python.executable, folder / python.name)
    for alias in ("python3", "python"):
        (folder / alias).symlink_to(python.name)
    return folder / python.name


def _copy_tree(source: Path, target: Path) -> Iterator[Path]:
    """Copy a folder without what is left out, links replaced by what they lead to; the files made."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        if is_left_out(entry.name):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link in a circle
            continue
        if is_folder and not (entry.is_symlink() and source.is_relative_to(os.path.realpath(entry.path))):
            yield from _copy_tree(Path(entry.path), target / entry.name)
        elif is_file:
            _copy_file(Path(entry.path), target / entry.name)
            yield target / entry.name


def _copy_file(source: Path, target: Path) -> None:
    """Bytes and the executable bit; never a hard link, or the origin could change the store."""
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.stat(source).st_mode & 0o100 else 0o644)


def _copy_libraries(python: LocalPython, staging: Path) -> Iterator[Path]:
    """The interpreter's own shared libraries: libpython, and all in its prefix where it stands alone."""
    folder = staging / "lib"
    folder.mkdir(exist_ok=True)
    wanted = {}
    for file in (python.executable, *sorted((python.stdlib / "lib-dynload").glob("*.so"))):
        for name, path in needed_libraries(file).items():
            of_prefix = not python.of_the_system and path.is_relative_to(python.prefix)
            if name.startswith("libpython") or of_prefix:
                wanted[name] = path
    if wanted:
        wanted.update({path.name: path for path in python.libraries.glob("libpython3.so")})
    for name, path in sorted(wanted.items()):
        _copy_file(Path(os.path.realpath(path)), folder / name)
        yield folder / name
        short = name.partition(".so")[0] + ".so"
        if name.startswith("libpython") and name != short and not (folder / short).is_symlink():
            (folder / short).symlink_to(name)
    if python.of_the_system:
        return
    for pattern in _BESIDE:
        for path in sorted((python.prefix / "lib").glob(pattern)):
            if path.is_dir():
                yield from _copy_tree(path, folder / path.name)
            elif not (folder / path.name).exists():
                _copy_file(path, folder / path.name)
                yield folder / path.name


def _copy_headers(python: LocalPython, staging: Path) -> None:
    if python.include.is_dir():
        for _ in _copy_tree(python.include, staging / "include" / python.include.name):
            pass
    descriptions = sorted((python.prefix / "lib" / "pkgconfig").glob("python*.pc"))
    if descriptions:
        (staging / "lib" / "pkgconfig").mkdir(parents=True, exist_ok=True)
    for file in descriptions:
        _copy_file(file, staging / "lib" / "pkgconfig" / file.name)
    terminals = python.prefix / "share" / "terminfo"
    if not python.of_the_system and terminals.is_dir():
        for _ in _copy_tree(terminals, staging / "share" / "terminfo"):
            pass


def _probe(interpreter: Path) -> dict[str, object]:
    done = subprocess.run(
        [interpreter, "-I", "-B", "-c", _PROBE.format(modules=_MODULES)],
        env=bare_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, object] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.splitlines()[-3:]
        raise BuildError(f"{interpreter} does not start: exit code {done.returncode}", details=last) from None
    return answer


def check(python: LocalPython, interpreter: Path) -> None:
    """Start the copy with an empty environment: it must do what its origin does, without touching it."""
    before, after = _probe(python.executable), _probe(interpreter)
    lost = set(_names(before["loaded"])) - set(_names(after["loaded"]))
    if lost:
        raise BuildError(f"the copy of {python.executable} cannot import {', '.join(sorted(lost))}")
    own = (str(python.stdlib), str(python.libraries / "libpython")) if python.of_the_system else (f"{python.prefix}/",)
    seen = [*_names(after["mapped"]), *_names(after["path"]), str(after["prefix"]), str(after["executable"])]
    used = [path for path in seen if path.startswith(own)]
    if not python.of_the_system:
        used += [value for value in _names(after["variables"]) if str(python.prefix) in value]
    if used and not interpreter.is_relative_to(python.prefix):
        raise BuildError(f"the copy of {python.executable} still uses its origin", details=sorted(set(used))[:5])


def start(interpreter: Path, root: Path) -> None:
    """Start the interpreter of the tree `root` with an empty environment: its base must be there."""
    found = _probe(interpreter)
    if found["prefix"] != os.path.realpath(root):
        raise BuildError(f"{interpreter} finds its library elsewhere: {found['prefix']}")


def _names(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _warn_of_foreign_libraries(python: LocalPython, stdlib: Path, reporter: Reporter) -> None:
    for file in sorted((stdlib / "lib-dynload").glob("*.so")):
        if not file.read_bytes().startswith(ELF):
            continue
        for name, path in needed_libraries(file).items():
            own = path.is_relative_to(stdlib.parent.parent)
            if path.is_absolute() and not own and not str(path).startswith(_SYSTEM_LIBRARIES):
                reporter.warn(f"cpython {python.version}: {file.name} needs {path}, which is not copied ({name})")
