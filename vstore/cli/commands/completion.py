"""`vstore completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings

if TYPE_CHECKING:
    from vstore.cli.documents.settings import CompletionDocument


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(settings: Settings, shell: str) -> None:
    """In bash and zsh, `eval "$(vstore completion bash)"` in the start file of the shell is enough; in fish,
    `vstore completion fish | source`.
    """
    from vstore.cli.completion import script

    document: CompletionDocument = {"shell": shell, "script": script(shell)}
    settings.emit(document, lambda: document["script"].rstrip())
