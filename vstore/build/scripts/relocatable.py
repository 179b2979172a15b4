"""Scripts that run in their own layer wherever it lies and however it is reached.

A script in bin/ is a few lines of /bin/sh that find the real path of the layer and replace themselves by its
interpreter; the Python code is in libexec/bin/, an ordinary file, so that a docstring followed by ``from __future__``
stays one (astral-sh/uv issue 6489). The script is Python as well: to Python the shell's lines are a string, and the
lines after it run the same code, so ``python bin/tool`` and ``coverage run bin/tool`` work. For Windows see
`launchers`.
"""

from __future__ import annotations

import configparser
import keyword
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from vstore.build.clashes import Clash
from vstore.build.layer_metadata import LayerMetadata
from vstore.build.layout import CODE, LAUNCHER, Layout
from vstore.build.links import Dependency, relative_target, visible
from vstore.build.scripts.windows import find_launchers
from vstore.errors import BuildError
from vstore.fs.atomic import write_file
from vstore.values import frozen

_FIND_LAYER = """\
case $0 in */*) self=$0 ;; *) self=./$0 ;; esac
while [ -L "$self" ]; do
    target=$(readlink -- "$self") || exit 127
    case $target in /*) self=$target ;; *) self=${self%/*}/$target ;; esac
done
layer=$(CDPATH= cd -P -- "${self%/*}/.." && pwd -P) || exit 127
"""
_RUN_CODE = """\
def _code():
    import os, sys
    global __doc__, __file__
    script = os.path.realpath(__file__)
    folder, name = os.path.split(script)
    code = os.path.join(os.path.dirname(folder), *{code!r}, name)
    if sys.argv and os.path.realpath(sys.argv[0]) == script:
        sys.argv[0] = code
    if sys.path and os.path.realpath(sys.path[0]) == folder:
        sys.path[0] = os.path.dirname(os.path.realpath(code))  # as Python does for a script that is a link
    with open(code, "rb") as file:
        __doc__, __file__ = None, code
        return compile(file.read(), code, "exec", dont_inherit=True)
exec(globals().pop("_code")())
"""
_RUN_MODULE = """\
import os, runpy, sys
if sys.path and os.path.realpath(sys.path[0]) == os.path.dirname(os.path.realpath(__file__)):
    del sys.path[0]
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
_ENTRY_POINT = """\
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""
_PYTHON_LINE = re.compile(rb"#![ \t]*(?:\S*/env[ \t]+(?:-S[ \t]+)?)?(?:\S*/)?python(?:w|[0-9.]*)(?:[ \t][^\n]*)?\r?\n")
_LONG_PYTHON_LINES = re.compile(rb"#!/bin/sh\r?\n'''exec' [^\n]*python[^\n]*\n' '''\r?\n")
_TARGET = re.compile(r"(?P<module>[\w.]+)[ \t]*:[ \t]*(?P<attribute>[\w.]+)[ \t]*(?:\[[^\]]*\])?")


class LauncherFormat(Protocol):
    """What starts Python code in its layer: paths in the layer and what is there."""

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        """For the script of that name, whose code is in `CODE` too; `window` means without a console."""

    def application(self, module: str) -> tuple[str, bytes]:
        """For the module that an application is started by."""


@frozen
class Trampolines:
    """``/bin/sh`` scripts; a `LauncherFormat` for POSIX."""

    layout: Layout

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        shell = trampoline(self.layout.interpreter_name, f"$layer/{CODE}/{name}")
        return f"bin/{name}", both(shell, _RUN_CODE.format(code=CODE.split("/")))

    def application(self, module: str) -> tuple[str, bytes]:
        shell = trampoline(self.layout.interpreter_name, self.layout.safe_path, "-m", module)
        return LAUNCHER, both(shell, _RUN_MODULE.format(module=module))


def both(shell: str, python: str) -> bytes:
    """A file that a shell runs as `shell`, which must end in ``exec``, and Python as `python`.

    To a shell the second line is the command ``:``; to Python it begins a string that ends after the shell's lines.
    """
    head, _, lines = shell.partition("\n")
    assert "'''" not in lines and "\\" not in lines
    return f"{head}\n'''':\n{lines}'''\n{python}".encode()


def find_starters(layout: Layout, interpreter: Path) -> LauncherFormat:
    """How scripts are started in layers on this interpreter (the folder of its object)."""
    return find_launchers(interpreter, layout) if layout.windows else Trampolines(layout=layout)


def trampoline(interpreter_name: str, *arguments: str) -> str:
    """A script that starts the layer's interpreter with these arguments (below the layer if they are ``$layer/…``).

    The process shows the layer's real path in its arguments, and so does `sys.executable`.
    """
    quoted = [f'"$layer/libexec/{interpreter_name}"']
    for argument in arguments:
        inside = argument.removeprefix("$layer/")
        quoted.append(f'"$layer"/{shlex.quote(inside)}' if inside != argument else shlex.quote(argument))
    return "#!/bin/sh\n" + _FIND_LAYER + " ".join(["exec", *quoted, '"$@"']) + "\n"


def check_name(name: str) -> str:
    """The name, if a script may have it; BuildError otherwise."""
    unsafe = name in ("", ".", "..") or "/" in name or "\\" in name
    if unsafe or any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise BuildError(f"refused script name {name!r}")
    return name


class EntryPoint(NamedTuple):
    """A script that a wheel asks for; `window` means without a console, where that is a difference."""

    code: bytes
    window: bool


def entry_points(text: str) -> dict[str, EntryPoint]:
    """Script name → script, for the console and GUI scripts of an entry_points.txt; BuildError if malformed."""
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise BuildError(f"malformed entry_points.txt: {' '.join(str(error).split())}") from error
    found = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, target in parser.items(section) if parser.has_section(section) else ():
            found[check_name(name)] = EntryPoint(_entry_point(name, target), section == "gui_scripts")
    return found


def _entry_point(name: str, target: str) -> bytes:
    match = _TARGET.fullmatch(target.strip())
    parts = [*match["module"].split("."), *match["attribute"].split(".")] if match else []
    if match is None or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise BuildError(f"script {name!r} has no usable entry point: {target!r}")
    attribute = match["attribute"]
    first = attribute.partition(".")[0]
    return _ENTRY_POINT.format(module=match["module"], first=first, attribute=attribute).encode()


def python_script(data: bytes) -> bytes | None:
    """The code of a script for Python, its first line made ``#!python`` as in a wheel; None for other files."""
    for pattern in (_PYTHON_LINE, _LONG_PYTHON_LINES):
        if match := pattern.match(data):
            return b"#!python\n" + data[match.end() :]
    return None


def write_starters(
    layer_dir: Path, facts: LayerMetadata, dependencies: Sequence[Dependency], starters: LauncherFormat
) -> LayerMetadata:
    """Write the launcher of an application, and the scripts of the layers below.

    A script of a distribution below runs in this layer's environment; one that is not of Python is linked. Of different
    scripts with one name the nearest is there. Returns the facts with these clashes.
    """
    layout = facts.layout
    if facts.launch_module is not None:
        path, data = starters.application(facts.launch_module)
        _write(layer_dir / path, data)
    inside = f"{layout.scripts}/"
    taken = {path: _Owner(one.name, facts.name, layer_dir) for one in facts.distributions for path in one.owns}
    clashes = []
    for number, distribution in visible(facts, [facts for _, _, facts in dependencies]):
        store_path, folder, its_facts = dependencies[number - 1]
        owns = set(distribution.owns)
        for path in sorted(owns):
            if not path.startswith(inside):
                continue
            owner = _Owner(distribution.name, its_facts.name, folder)
            kept = taken.setdefault(path, owner)
            if kept is not owner:
                if kept.code(path, layout) != owner.code(path, layout):
                    clashes.append(owner.clash(path, kept))
                continue
            code = layout.code_of(path)
            if code in owns:  # a starter is the same file in every layer
                _link(layer_dir, code, store_path)
                _write(layer_dir / path, (folder / path).read_bytes())
            else:
                _link(layer_dir, path.rstrip("/"), store_path)
    return replace(facts, clashes=tuple(sorted((*facts.clashes, *clashes))))


class _Owner(NamedTuple):
    """A distribution of a layer, whose folder is known."""

    distribution: str
    layer: str
    folder: Path

    def code(self, path: str, layout: Layout) -> bytes | None:
        """What the script at `path` runs; None for a folder."""
        for place in (self.folder / layout.code_of(path), self.folder / path):
            if place.is_file():
                return place.read_bytes()
        return None

    def clash(self, path: str, kept: _Owner) -> Clash:
        """The clash in which this owner's script is hidden."""
        return Clash(
            path=path,
            kept=kept.distribution,
            kept_layer=kept.layer,
            hidden=self.distribution,
            hidden_layer=self.layer,
        )


def _link(layer_dir: Path, path: str, store_path: str) -> None:
    (layer_dir / path).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(relative_target(path, store_path, path), layer_dir / path)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, data, mode=0o755, durable=False)
