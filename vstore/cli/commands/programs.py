"""Programs of the user in a layer: `exec`, `shell`, `activate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.commands.run import start_program
from vstore.cli.settings import Settings
from vstore.errors import UsageError

if TYPE_CHECKING:
    from vstore.api.activation import UsableLayer
    from vstore.cli.documents.environments import ActivateDocument


@command("exec", starts_program=True)
@click.argument("what")
@click.argument("words", metavar="PROGRAM [ARGUMENT]…", nargs=-1, type=click.UNPROCESSED, required=True)
def exec_command(settings: Settings, what: str, words: tuple[str, ...]) -> None:
    """WHAT is a layer, or a stack: it stands for its only application. PROGRAM is one of the layer or on PATH, and all
    that follows it is passed to it; one `--` before PROGRAM is not. Its exit code is that of the command.
    """
    from vstore.api.activation import find_program, is_of_other_environment

    program, *arguments = words[1:] if words[0] == "--" and len(words) > 1 else words
    layer = _layer(settings, what)
    variables = layer.variables(os.environ)
    found = find_program(layer, program, variables)
    if os.path.basename(program) == program and is_of_other_environment(layer, found):
        settings.reporter.warn(
            f"{program} is not in {layer.name}: {found} belongs to another environment",
            hint="add it to the requirements of the layer, or name it by its path",
        )
        settings.close()
    start_program(found, (program, *arguments), variables)


@command("shell")
@click.argument("what")
@click.option("--shell", "program", metavar="PROGRAM", help="The shell (default: your own).")
def shell_command(settings: Settings, what: str, program: str | None) -> None:
    """WHAT is a layer, or a stack: it stands for its only application, and its applications are on PATH. Leave the
    shell to go back.
    """
    from vstore.api.activation import find_program, shell_command, user_shell

    if os.name == "nt":
        raise UsageError(
            "`vstore shell` is for POSIX systems", hint="`vstore activate WHAT --path` names a file to run"
        )
    layer = _layer(settings, what)
    place = find_program(layer, program or user_shell(os.environ), os.environ)
    command = shell_command(layer, place, os.environ)
    if not command.marks_prompt:
        settings.reporter.note(f"the prompt of {Path(place).name} is not marked")
    settings.close()
    start_program(place, command.arguments, command.variables)


@command("activate")
@click.argument("what")
@click.option("--shell", metavar="NAME", help="The language of the commands (default: that of your shell).")
@click.option("--path", "only_path", is_flag=True, help="Print the path of the file to source instead.")
def activate_command(settings: Settings, what: str, shell: str | None, only_path: bool) -> None:
    """Use it as `eval "$(vstore activate WHAT)"`, in fish as `vstore activate WHAT | source`. `deactivate` goes back.

    WHAT is a layer, or a stack: it stands for its only application, and its applications are on PATH.
    """
    from vstore.api.activation import SHELLS, user_shell

    name = shell or Path(user_shell(os.environ) if os.name != "nt" else "powershell").name
    if name not in SHELLS:
        raise UsageError(f"no commands for the shell {name!r}", hint=f"choose with --shell: {', '.join(SHELLS)}")
    layer = _layer(settings, what)
    document: ActivateDocument = {
        "layer": layer.name,
        "place": str(layer.place),
        "shell": name,
        "file": str(layer.activation_file(name)),
        "commands": layer.activation(name),
    }
    settings.emit(document, lambda: document["file"] if only_path else document["commands"].rstrip("\n"))


def _layer(settings: Settings, what: str) -> UsableLayer:
    """Return the layer, and record that it is used."""
    from vstore.api.activation import find_layer

    with settings.open_store(read_only=True) as store:
        layer = find_layer(store, what)
        store.last_used.record(layer.used_path, layer.user)
    return layer
