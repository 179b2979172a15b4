"""Adopt an interpreter of this machine: copy it to a tree that does not need its origin.

The same origin gives the same tree. Left out are site-packages, tests, bytecode (it is compiled again), static
libraries, and all scripts except the interpreter. Of the package `test` the parts that other packages import are kept,
as in Debian's libpython3-stdlib.
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
from vstore.build.interpreter.relocate import relocate_binaries, relocate_texts
from vstore.build.interpreter.store_patches import patch_for_store
from vstore.build.native.elf import ELF_MAGIC, needed_libraries
from vstore.cancel import CancelToken
from vstore.errors import BuildError
from vstore.reporter import ByteProgress, Reporter
from vstore.target import Target

_LEFT_OUT = frozenset(("__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "python.o"))
_KEPT_OF_TEST = frozenset(
    (
        *("__init__.py", "__main__.py", "ann_module.py", "ann_module2.py", "ann_module3.py"),
        *("libregrtest", "regrtest.py", "support", "typinganndata"),
    )
)
_BESIDE = ("tcl[0-9]*", "tk[0-9]*", "itcl*", "thread[0-9]*", "libtcl*.so*", "libtk*.so*")  # read by tkinter
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


def adopt(
    python: LocalPython, staging: Path, *, jobs: int, reporter: Reporter, cancel: CancelToken | None = None
) -> None:
    """Fill `staging` with a relocatable copy of `python`, compile its library, and start the copy as a check.

    Raises BuildError if the copy does not start, lacks modules, or uses files of its origin. Raises Cancelled.
    """
    if not Target.host().is_linux:
        raise BuildError(
            f"cannot adopt {python.executable}: interpreters can be adopted on Linux only",
            hint="let uv download the interpreter, or set UV_PYTHON_INSTALL_MIRROR",
        )
    subject = f"cpython-{python.version}"
    stdlib = staging / python.stdlib.relative_to(python.prefix)
    files = [_copy_executable(python, staging)]
    copying = ByteProgress(reporter, subject, "copying")
    for file in _copy_tree(python.stdlib, stdlib):
        files.append(file)
        copying.add(file.stat().st_size)
    (stdlib / "site-packages").mkdir(exist_ok=True)
    files += _copy_libraries(python, staging)
    _copy_headers(python, staging)
    copied = frozenset(path.name for path in (staging / "lib").glob("lib*.so*"))
    relocate_binaries(staging, python.prefix, files, copied)
    for prefix in sorted({str(python.prefix), _built_prefix(python)}, key=len, reverse=True):
        relocate_texts(staging, stdlib, prefix, system=prefix in ("/", "/usr", "/usr/local"))
    patch_for_store(staging, stdlib)
    sources = [PurePosixPath(path.relative_to(staging)) for path in sorted(stdlib.rglob("*.py"))]
    interpreter = staging / "bin" / python.program_name
    compile_tree(
        interpreter,
        staging,
        sources,
        jobs,
        on_progress=lambda done, total: reporter.progress(subject, "compiling", done, total),
        cancel=cancel,
    )
    reporter.progress(subject, "checking")
    check_copy(python, interpreter)
    _warn_of_foreign_libraries(python, stdlib, reporter)


def _built_prefix(python: LocalPython) -> str:
    """Return the prefix in the texts of an interpreter, which differs from its own if it was moved after the build."""
    return str(python.libraries.parent) if python.libraries.name == "lib" else str(python.prefix)


def is_left_out(path: PurePosixPath) -> bool:
    """Whether a file or a folder, by its path in the library, is not copied."""
    parts = path.parts
    if parts[:1] == ("test",) and _KEPT_OF_TEST.issuperset(parts[1:2]):
        parts = parts[1:]
    return not _LEFT_OUT.isdisjoint(parts) or path.suffix in (".a", ".pyc")


def _copy_executable(python: LocalPython, staging: Path) -> Path:
    folder = staging / "bin"
    folder.mkdir(parents=True)
    _copy_file(python.executable, folder / python.program_name)
    for alias in ("python3", "python"):
        (folder / alias).symlink_to(python.program_name)
    return folder / python.program_name


def _copy_tree(source: Path, target: Path, inside: PurePosixPath | str = "") -> Iterator[Path]:
    """Copy a folder, except what is left out, with links replaced by their targets, and yield the new files.

    `inside` is the path of the folder in the one that is copied as a whole.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda one: one.name):
        path = PurePosixPath(inside, entry.name)
        if is_left_out(path):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link in a circle
            continue
        if is_folder and not (entry.is_symlink() and source.is_relative_to(os.path.realpath(entry.path))):
            yield from _copy_tree(Path(entry.path), target / entry.name, path)
        elif is_file:
            _copy_file(Path(entry.path), target / entry.name)
            yield target / entry.name


def _copy_file(source: Path, target: Path) -> None:
    """Copy the bytes and the executable bit. With a hard link a change of the origin would change the store."""
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.stat(source).st_mode & 0o100 else 0o644)


def _copy_libraries(python: LocalPython, staging: Path) -> Iterator[Path]:
    """Copy the shared libraries of the interpreter: libpython, and those of the prefix if it is its own."""
    folder = staging / "lib"
    folder.mkdir(exist_ok=True)
    libraries = {}
    for file in (python.executable, *sorted((python.stdlib / "lib-dynload").glob("*.so"))):
        for name, path in needed_libraries(file).items():
            of_prefix = not python.is_system and path.is_relative_to(python.prefix)
            if name.startswith("libpython") or of_prefix:
                libraries[name] = path
    if libraries:
        libraries.update({path.name: path for path in python.libraries.glob("libpython3.so")})
    for name, path in sorted(libraries.items()):
        _copy_file(Path(os.path.realpath(path)), folder / name)
        yield folder / name
        short = name.partition(".so")[0] + ".so"
        if name.startswith("libpython") and name != short and not (folder / short).is_symlink():
            (folder / short).symlink_to(name)
    if python.is_system:
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
    if not python.is_system and terminals.is_dir():
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


def check_copy(python: LocalPython, interpreter: Path) -> None:
    """Raise BuildError unless the copy starts with an empty environment, as its origin does, and without using it."""
    before, after = _probe(python.executable), _probe(interpreter)
    lost = set(_names(before["loaded"])) - set(_names(after["loaded"]))
    if lost:
        raise BuildError(f"the copy of {python.executable} cannot import {', '.join(sorted(lost))}")
    own = (str(python.stdlib), str(python.libraries / "libpython")) if python.is_system else (f"{python.prefix}/",)
    seen = [*_names(after["mapped"]), *_names(after["path"]), str(after["prefix"]), str(after["executable"])]
    used = [path for path in seen if path.startswith(own)]
    if not python.is_system:
        used += [value for value in _names(after["variables"]) if str(python.prefix) in value]
    if used and not interpreter.is_relative_to(python.prefix):
        raise BuildError(f"the copy of {python.executable} uses files of its origin", details=sorted(set(used))[:5])


def smoke_test(interpreter: Path, root: Path) -> None:
    """Start the interpreter of the tree `root`, without variables. Raises BuildError if its base is elsewhere."""
    found = _probe(interpreter)
    if found["prefix"] != os.path.realpath(root):
        raise BuildError(f"{interpreter} has its library elsewhere: {found['prefix']}")


def _names(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _warn_of_foreign_libraries(python: LocalPython, stdlib: Path, reporter: Reporter) -> None:
    for file in sorted((stdlib / "lib-dynload").glob("*.so")):
        if not file.read_bytes().startswith(ELF_MAGIC):
            continue
        for name, path in needed_libraries(file).items():
            own = path.is_relative_to(stdlib.parent.parent)
            if path.is_absolute() and not own and not str(path).startswith(_SYSTEM_LIBRARIES):
                reporter.warn(f"cpython {python.version}: {file.name} needs {path}, which is not copied ({name})")
