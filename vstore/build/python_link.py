"""The links from a layer to its interpreter, and a `pyvenv.cfg` without a path.

On POSIX the layer needs only the link to the program, since CPython finds its base through it (decision 2).
The links to the library and the headers serve virtual environments of the layer's Python, whose ``home`` is the
``libexec`` of the layer. On Windows CPython looks for its library beside the program and above, by the text of the
path. There the layer has a link for each entry of `Lib` of the interpreter, and is a whole installation
(docs/internals/decisions/0016).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vstore.build.layout import UV_LOCK, LayerLayout
from vstore.build.links import relative_target
from vstore.build.scripts.posix import layer_program, trampoline
from vstore.errors import BuildError
from vstore.fs.atomic import write_file
from vstore.fs.links import make_link

_WINDOWS_FOLDERS = ("DLLs", "tcl")
_PROGRAMS = ("python.exe", "pythonw.exe")
_BESIDE_PROGRAM = ("lib", "include")  # `libexec` is the base of virtual environments that the layer's Python makes
# pip has no setting that refuses `install` here and lets isolated builds, --target and --prefix work.
_PIP_CONFIGURATION = b"""\
# pip reads this as the configuration of the environment. A layer is never changed in place.
[uninstall]
requirement = a-layer-of-vstore-is-never-changed:-change-its-spec-and-run-vstore-realise
"""


def link_interpreter(layer: Path, layout: LayerLayout, interpreter: Path, store_path: str) -> None:
    """Fill the empty folder `layer` with a Python that uses the interpreter object `store_path`.

    `interpreter` is the folder of the object. Raises BuildError if it has no program.
    """
    (layer / layout.site_packages).mkdir(parents=True)
    (layer / "libexec").mkdir()
    write_file(
        layer / "pyvenv.cfg",
        f"include-system-site-packages = false\nversion = {layout.python}\n".encode(),
        durable=False,
    )
    write_file(layer / ("pip.ini" if layout.target.is_windows else "pip.conf"), _PIP_CONFIGURATION, durable=False)
    write_file(layer / UV_LOCK, b"", durable=False)
    for path, target in _links(layout, interpreter):
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        make_link(layer / path, relative_target(path, store_path, target), folder=(interpreter / target).is_dir())
    if not layout.target.is_windows:
        for name in ("python", "python3", layout.interpreter_name):
            (layer / "bin").mkdir(exist_ok=True)
            write_file(layer / "bin" / name, trampoline(layer_program(layout)).encode(), mode=0o755, durable=False)


def _links(layout: LayerLayout, interpreter: Path) -> Iterator[tuple[str, str]]:
    """Yield the links: the path in the layer, and the target in the interpreter object."""
    if not (interpreter / layout.interpreter).is_file():
        raise BuildError(f"the interpreter has no {layout.interpreter}")
    if not layout.target.is_windows:
        yield f"libexec/{layout.interpreter_name}", layout.interpreter
        for name in _BESIDE_PROGRAM:
            if (interpreter / name).is_dir():
                yield f"libexec/{name}", name
        return
    for name in sorted(os.listdir(interpreter)):
        if name.lower().endswith(".dll") or name in _PROGRAMS:
            yield f"{layout.scripts}/{name}", name
        elif name in _WINDOWS_FOLDERS:
            yield name, name
    for name in sorted(os.listdir(interpreter / layout.stdlib)):
        if name != "site-packages":
            yield f"{layout.stdlib}/{name}", f"{layout.stdlib}/{name}"
