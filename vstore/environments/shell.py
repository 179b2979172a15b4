"""Starting the shell of a user in a layer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vstore.environments.activation import UsableLayer

_FILES = Path(__file__).with_name("shells")
_ACTIVATION = "VSTORE_ACTIVATION"  # the commands, for the files that a shell reads when it starts


class ShellCommand(NamedTuple):
    """The command that starts a shell: its arguments, the program first, and all its environment variables.

    `marks_prompt` is False for a shell that has no way to run a command after the user's own files.
    """

    arguments: tuple[str, ...]
    variables: dict[str, str]
    marks_prompt: bool = True


def shell_command(layer: UsableLayer, program: str, environment: Mapping[str, str]) -> ShellCommand:
    """Return the command that starts a shell in a layer. It reads the user's files first, so that these cannot undo it.

    `program` is the path of the shell.
    """
    name = Path(program).name
    variables = {**environment, _ACTIVATION: layer.activation(name)}
    if name == "bash":
        return ShellCommand((program, "--rcfile", str(_FILES / "bashrc"), "-i"), variables)
    if name == "zsh":
        if "ZDOTDIR" in environment:
            variables["VSTORE_USER_ZDOTDIR"] = environment["ZDOTDIR"]
        return ShellCommand((program, "-i"), {**variables, "ZDOTDIR": str(_FILES / "zsh")})
    if name == "fish":
        return ShellCommand((program, "-i", "-C", layer.activation(name)), dict(environment))
    if name in ("sh", "dash", "ksh", "mksh"):
        if "ENV" in environment:
            variables["VSTORE_USER_ENV"] = environment["ENV"]
        return ShellCommand((program, "-i"), {**variables, "ENV": str(_FILES / "shrc")})
    return ShellCommand((program,), layer.variables(environment), marks_prompt=False)


def user_shell(environment: Mapping[str, str]) -> str:
    """Return the shell of the user: ``$SHELL``, else that of the account."""
    if chosen := environment.get("SHELL"):
        return chosen
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    except KeyError:
        return "/bin/sh"
