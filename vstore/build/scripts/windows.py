"""Scripts of Windows layers: the launcher of pip, or a batch file.

A launcher is a small program, followed by a ``#!`` line and a zip with ``__main__.py``. The line starts with
``<launcher_dir>``, so it has no absolute path and is the same in every layer. The program comes from the pip that the
interpreter of the target contains for `ensurepip`: it has the right architecture, the hash of the interpreter pins it,
and it is not a dependency. An interpreter without pip gets ``.cmd`` files, which are less convenient.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from vstore.build.layout import CODE, LAUNCHER, LayerLayout
from vstore.fs.atomic import write_file
from vstore.fs.links import make_link
from vstore.objects import StorePath
from vstore.target import Target
from vstore.values import frozen

_PROGRAMS = {Target.WIN_AMD64: "{kind}64.exe", Target.WIN_ARM64: "{kind}64-arm.exe"}
_BESIDE = "<launcher_dir>"
_RUN_MODULE = 'import runpy\n\nrunpy.run_module("{module}", run_name="__main__", alter_sys=True)\n'
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time of a zip
_SUFFIXES = (".exe", ".pyw", ".py")


@frozen
class ProgramLaunchers:
    """Launchers made of the programs of pip: a `LauncherFormat` for Windows."""

    console: bytes
    window: bytes

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of a script."""
        python = "pythonw.exe" if window else "python.exe"
        program = self.window if window else self.console
        return f"Scripts/{stem(name)}.exe", _launcher(program, f"{_BESIDE}\\{python}", code)

    def application(self, module: str) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of an application."""
        code = _RUN_MODULE.format(module=module).encode()
        return f"{LAUNCHER}.exe", _launcher(self.console, f"{_BESIDE}\\..\\Scripts\\python.exe", code)


@frozen
class BatchLaunchers:
    """``.cmd`` files, for an interpreter without pip: a `LauncherFormat` for Windows."""

    layout: LayerLayout

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of a script."""
        python = 'start "" "%~dp0pythonw.exe"' if window else '"%~dp0python.exe"'
        code_path = f"%~dp0..\\{CODE}\\{_escaped(stem(name))}".replace("/", "\\")
        return f"Scripts/{stem(name)}.cmd", f'@{python} "{code_path}" %*\r\n'.encode()

    def application(self, module: str) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of an application."""
        return (
            f"{LAUNCHER}.cmd",
            f'@"%~dp0..\\Scripts\\python.exe" {self.layout.python.safe_path_option} -m {module} %*\r\n'.encode(),
        )


def stem(name: str) -> str:
    """Return the name of a script without a suffix such as ``.py`` or ``.exe``."""
    suffix = PurePosixPath(name).suffix.lower()
    return name[: -len(suffix)] if suffix in _SUFFIXES and name[: -len(suffix)] else name


def find_launchers(interpreter: Path, layout: LayerLayout) -> ProgramLaunchers | BatchLaunchers:
    """Return the launchers for an interpreter, given the folder of its object."""
    template = _PROGRAMS[layout.target]
    for wheel in sorted((interpreter / layout.stdlib / "ensurepip" / "_bundled").glob("pip-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [f"pip/_vendor/distlib/{template.format(kind=kind)}" for kind in "tw"]
            if not set(names) <= set(archive.namelist()):
                continue
            console, window = (archive.read(name) for name in names)
        if all(_BESIDE.encode("utf-16-le") in program for program in (console, window)):
            return ProgramLaunchers(console=console, window=window)
    return BatchLaunchers(layout=layout)


def _launcher(program: bytes, python: str, code: bytes) -> bytes:
    entry = zipfile.ZipInfo("__main__.py", _ZIP_TIME)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(entry, code)
    return program + f"#!{python}\r\n".encode() + packed.getvalue()


def _escaped(name: str) -> str:
    return name.replace("%", "%%")


def link_application(folder: Path, layer: str, store_path: StorePath, tree: Path, target: Target) -> None:
    """Create the link in the `folder` of a stack that starts the application of `layer`, whose object is at `tree`.

    On Windows it is a batch file: a launcher that is reached by a link would look for Python beside the link.
    """
    name = layer.removeprefix("app-")
    if not target.is_windows:
        make_link(folder / name, f"../../{store_path}/{LAUNCHER}", folder=False)
        return
    start = next(path for path in (f"{LAUNCHER}.exe", f"{LAUNCHER}.cmd") if (tree / path).is_file())
    path = f"..\\layers\\{layer}\\{start}".replace("/", "\\")
    write_file(folder / f"{name}.cmd", f'@"%~dp0{_escaped(path)}" %*\r\n'.encode(), mode=0o755, durable=False)
