"""Activation: programs and shells in the environment of a layer.

Example::

    import os
    import subprocess
    from vstore.api import activation, stores

    with stores.open_store() as store:
        layer = activation.find_layer(store, "project")
        subprocess.run(["python", "-V"], env=layer.variables(os.environ))
        print(layer.activation("bash"))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vstore.environments.activation import SHELLS, UsableLayer, find_layer
from vstore.environments.shell import ShellCommand, shell_command, user_shell
from vstore.errors import NotFoundError, nearest
from vstore.fs.reading import open_regular

__all__ = [
    "SHELLS",
    "ShellCommand",
    "UsableLayer",
    "find_layer",
    "find_program",
    "is_of_other_environment",
    "shell_command",
    "user_shell",
]

_START_BYTES = 512  # the first lines of a script: they name its interpreter


def find_program(layer: UsableLayer, name: str, variables: Mapping[str, str]) -> str:
    """Return the path of a program for its name or path, in the variables of a layer. Raises NotFoundError."""
    from shutil import which

    found = which(name, path=variables["PATH"])
    if found is None:
        known = [one.name for folder in layer.scripts if folder.is_dir() for one in folder.iterdir()]
        near = nearest(name, known)
        hint = f"did you mean {near!r}?" if near else "give a program of the layer, or one on PATH"
        raise NotFoundError(f"no such program in {layer.name}: {name}", hint=hint)
    return found


def is_of_other_environment(layer: UsableLayer, program: str) -> bool:
    """Return whether a program, by its path, is a script for a Python outside of a layer, such as a pip of the system.

    So are those of pyenv, which choose a Python. A script that starts `env python` is none: it runs in the layer.
    """
    if Path(program).parent in layer.scripts:
        return False
    try:
        with open_regular(program) as file:
            start = file.read(_START_BYTES)
    except OSError:
        return False
    first, _, rest = start.partition(b"\n")
    names_python = b"python" in first or (first.startswith(b"#!/bin/sh") and b"python" in rest.partition(b"\n")[0])
    is_chosen_by_env = b"/env " in first
    return first.startswith(b"#!") and (b"PYENV_ROOT=" in rest or (names_python and not is_chosen_by_env))
