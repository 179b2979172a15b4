"""Packages with C in them, compiled by the test: shared libraries, and extension modules that need them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from scripts.testing.wheels import make_wheel

_EXTENSION = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
extern int {function}(void);
static PyObject *answer(PyObject *self, PyObject *args) {{ return PyLong_FromLong({function}()); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, NULL}}, {{NULL, NULL, 0, NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""


def why_no_compiler() -> str | None:
    """Why nothing can be compiled here; None when it can."""
    if not sys.platform.startswith("linux"):
        return "ELF files are made on Linux only"
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "the headers of this Python are not installed"
    return None


def library(
    folder: Path, file: str, function: str, answer: str, *, needs: Sequence[Path] = (), run_path: str = ""
) -> Path:
    """Compile ``<folder>/<file>``, whose soname is its file name, with ``int function(void)`` that returns `answer`."""
    source = f"{_declarations(answer)}int {function}(void) {{ return {answer}; }}\n"
    return _compile(folder / file, source, needs, run_path, ["-Wl,-soname," + file])


def extension(
    folder: Path, name: str, function: str, *, needs: Sequence[Path], run_path: str = "", old: bool = False
) -> Path:
    """Compile an extension module with an ``answer()`` that calls `function` of the libraries it is linked with."""
    flags = [f"-I{sysconfig.get_path('include')}", *(["-Wl,--disable-new-dtags"] if old else [])]
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    return _compile(folder / (name + suffix), _EXTENSION.format(name=name, function=function), needs, run_path, flags)


def _declarations(answer: str) -> str:
    called = answer.partition("(")[0]
    return f"int {called}(void);\n" if "(" in answer else ""


def _compile(output: Path, source: str, needs: Sequence[Path], run_path: str, flags: Sequence[str]) -> Path:
    output.parent.mkdir(parents=True, exist_ok=True)
    text = output.with_name(output.name + ".c")
    text.write_text(source)
    path = [f"-Wl,-rpath,{run_path}"] if run_path else []
    unresolved = ["-Wl,--allow-shlib-undefined"]
    command: list[str | Path] = ["gcc", "-shared", "-fPIC", "-o", output, text, *flags, *path, *unresolved, *needs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


def wheel(folder: Path, name: str, files: dict[str, bytes | str | Path], version: str = "1.0") -> Path:
    """A wheel for this machine whose files may be given by their paths on disk."""
    content = {path: data.read_bytes() if isinstance(data, Path) else data for path, data in files.items()}
    tag = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    return make_wheel(folder, name, version, content, tag=tag)
