"""Scripts of Windows layers: the launcher that CPython's own pip uses, or a batch file.

A launcher is a small program followed by a ``#!`` line and a zip with ``__main__.py``. The line may start with
``<launcher_dir>``, so it holds no absolute path and is the same file in every layer and place. The program comes
out of the pip that the target's interpreter carries for `ensurepip`: of the right architecture, pinned by
the interpreter's own hash, and no dependency. Without it a ``.cmd`` file does the same, less well.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from vstore.build.layout import CODE, LAUNCHER, Layout
from vstore.fs.atomic import write_file
from vstore.fs.links import make_link
from vstore.objects import StorePath
from vstore.target import Target
from vstore.values import frozen

_PROGRAMS = {Target.WIN_AMD64: "{kind}64.exe", Target.WIN_ARM64: "{kind}64-arm.exe"}
_BESIDE = "<launcher_dir>"
_RUN_MODULE = 'import runpy\n\nrunpy.run_module("{module}", run_name="__main__", alter_sys=True)\n'
_WHEN = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can tell
_SUFFIXES = (".exe", ".pyw", ".py")


@frozen
class Launchers:
    """The two programs; a `LauncherFormat` for Windows."""

    console: bytes
    window: bytes

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        python = "pythonw.exe" if window else "python.exe"
        program = self.window if window else self.console
        return f"Scripts/{stem(name)}.exe", _launcher(program, f"{_BESIDE}\\{python}", code)

    def application(self, module: str) -> tuple[str, bytes]:
        code = _RUN_MODULE.format(module=module).encode()
        return f"{LAUNCHER}.exe", _launcher(self.console, f"{_BESIDE}\\..\\Scripts\\python.exe", code)


@frozen
class BatchFiles:
    """``.cmd`` files, where the interpreter carries no launcher; a `LauncherFormat` for Windows."""

    layout: Layout

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        python = 'start "" "%~dp0pythonw.exe"' if window else '"%~dp0python.exe"'
        code_path = f"%~dp0..\\{CODE}\\{_escaped(stem(name))}".replace("/", "\\")
        return f"Scripts/{stem(name)}.cmd", f'@{python} "{code_path}" %*\r\n'.encode()

    def application(self, module: str) -> tuple[str, bytes]:
        return f"{LAUNCHER}.cmd", f'@"%~dp0..\\Scripts\\python.exe" {self.layout.safe_path} -m {module} %*\r\n'.encode()


def stem(name: str) -> str:
    """A script's name without what Windows or the wheel put behind it."""
    suffix = PurePosixPath(name).suffix.lower()
    return name[: -len(suffix)] if suffix in _SUFFIXES and name[: -len(suffix)] else name


def find_launchers(interpreter: Path, layout: Layout) -> Launchers | BatchFiles:
    """The launchers in the target's interpreter (`interpreter` is its object's folder)."""
    template = _PROGRAMS[layout.target]
    for wheel in sorted((interpreter / layout.stdlib / "ensurepip" / "_bundled").glob("pip-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [f"pip/_vendor/distlib/{template.format(kind=kind)}" for kind in "tw"]
            if not set(names) <= set(archive.namelist()):
                continue
            console, window = (archive.read(name) for name in names)
        if all(_BESIDE.encode("utf-16-le") in program for program in (console, window)):
            return Launchers(console=console, window=window)
    return BatchFiles(layout=layout)


def _launcher(program: bytes, python: str, code: bytes) -> bytes:
    entry = zipfile.ZipInfo("__main__.py", _WHEN)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(entry, code)
    return program + f"#!{python}\r\n".encode() + packed.getvalue()


def _escaped(name: str) -> str:
    return name.replace("%", "%%")


def link_application(folder: Path, layer: str, store_path: StorePath, tree: Path, target: Target) -> None:
    """In a stack's `folder` of applications, what starts the one of `layer` whose object is at `tree`: a link.

    For Windows a batch file, as a launcher reached by a link would look for Python beside the link.
    """
    name = layer.removeprefix("app-")
    if not target.is_windows:
        make_link(folder / name, f"../../{store_path}/{LAUNCHER}", folder=False)
        return
    start = next(path for path in (f"{LAUNCHER}.exe", f"{LAUNCHER}.cmd") if (tree / path).is_file())
    path = f"..\\layers\\{layer}\\{start}".replace("/", "\\")
    write_file(folder / f"{name}.cmd", f'@"%~dp0{_escaped(path)}" %*\r\n'.encode(), mode=0o755, durable=False)
