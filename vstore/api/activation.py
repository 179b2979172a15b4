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

from vstore.environments.activation import SHELLS, UsableLayer, find_layer
from vstore.environments.shell import ShellCommand, shell_command, user_shell
from vstore.errors import NotFoundError, nearest

__all__ = ["SHELLS", "ShellCommand", "UsableLayer", "find_layer", "find_program", "shell_command", "user_shell"]


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
