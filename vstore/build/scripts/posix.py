"""Scripts of POSIX layers. They run in their own layer, wherever it lies and by any path to them.

A script in bin/ is a few lines of /bin/sh that find the real path of the layer and execute its interpreter. The Python
code is an ordinary file in libexec/bin/, so that a docstring followed by ``from __future__`` stays one (astral-sh/uv
issue 6489). The script is Python as well: to Python the lines of the shell are a string, and the lines after it run the
same code. So ``python bin/tool`` and ``coverage run bin/tool`` work.
"""

from __future__ import annotations

import shlex

from vstore.build.layout import CODE, LAUNCHER, LayerLayout
from vstore.values import frozen

# Of the variables none may be an exported one of the user: the program would get the value that it has here.
_FIND_LAYER = """\
case $0 in */*) _vstore_self=$0 ;; *) _vstore_self=./$0 ;; esac
while [ -L "$_vstore_self" ]; do
    _vstore_target=$(readlink -- "$_vstore_self") || exit 127
    case $_vstore_target in /*) ;; *) _vstore_target=${_vstore_self%/*}/$_vstore_target ;; esac
    _vstore_self=$_vstore_target
done
_vstore_layer=$(CDPATH= cd -P -- "${_vstore_self%/*}/.." && pwd -P) || exit 127
"""
_CHECK_PROGRAM = """\
[ -x {program} ] || {{
    echo "$0: "{program}" is missing: a program of a layer starts by its path or by a link, not as a copy" >&2
    exit 127
}}
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


@frozen
class ShellLaunchers:
    """``/bin/sh`` scripts: the `LauncherFormat` for POSIX.

    `program` is the path of the interpreter in the environment of the scripts, by default that of a layer.
    """

    layout: LayerLayout
    program: str | None = None

    def script(self, name: str, code: bytes, *, window: bool = False) -> tuple[str, bytes]:
        """Return the path and the content of a script. POSIX has no difference for `window`."""
        shell = trampoline(self._program, f"$layer/{CODE}/{name}")
        return f"bin/{name}", shell_and_python(shell, _RUN_CODE.format(code=CODE.split("/")))

    def application(self, module: str) -> tuple[str, bytes]:
        """Return the path and the content of the launcher of an application."""
        shell = trampoline(self._program, self.layout.python.safe_path_option, "-m", module)
        return LAUNCHER, shell_and_python(shell, _RUN_MODULE.format(module=module))

    @property
    def _program(self) -> str:
        return self.program or layer_program(self.layout)


def layer_program(layout: LayerLayout) -> str:
    """Return the path of the interpreter in a POSIX layer."""
    return f"libexec/{layout.interpreter_name}"


def shell_and_python(shell: str, python: str) -> bytes:
    """Return a file that a shell runs as `shell`, which must end in ``exec``, and that Python runs as `python`.

    To a shell the second line is the command ``:``; to Python it begins a string that ends after the shell's lines.
    """
    head, _, lines = shell.partition("\n")
    assert "'''" not in lines and "\\" not in lines
    return f"{head}\n'''':\n{lines}'''\n{python}".encode()


def trampoline(program: str, *arguments: str) -> str:
    """Return a script that executes a program of its layer, given the path in the layer, with these arguments.

    ``$layer/…`` is a path in the layer. The arguments of the process and `sys.executable` have the real path.
    """
    quoted = [f'"$_vstore_layer/{program}"']
    for argument in arguments:
        inside = argument.removeprefix("$layer/")
        quoted.append(f'"$_vstore_layer"/{shlex.quote(inside)}' if inside != argument else shlex.quote(argument))
    command = " ".join(["exec", *quoted, '"$@"'])
    return f"#!/bin/sh\n{_FIND_LAYER}{_CHECK_PROGRAM.format(program=quoted[0])}{command}\n"
