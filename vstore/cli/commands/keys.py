"""`vstore key`: the keys that sign pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vstore.cli.command import command, command_group
from vstore.cli.settings import Settings

if TYPE_CHECKING:
    from vstore.cli.documents.caches import KeyDocument


@command_group("key")
def key_command() -> None:
    """Secret keys are files in the folder `keys` of the store, readable by their owner only."""


@command("generate", group=key_command)
@click.argument("name")
def generate_command(settings: Settings, name: str) -> None:
    """Make a key that `push` signs with, and print its public half: others add that to their `trusted_keys`."""
    from vstore.api.caches import generate_key

    with settings.open_store(create=True) as store:
        key, secret = generate_key(store, name)
    document: KeyDocument = {"name": name, "public": str(key.public), "secret_file": str(secret)}
    settings.emit(document, lambda: f"{key.public}\nthe secret key is {secret}: do not share it")


@command("list", group=key_command)
def list_command(settings: Settings) -> None:
    """List the public halves of the keys of this store."""
    from vstore.api.caches import signing_keys

    with settings.open_store() as store:
        document = [str(key.public) for key in signing_keys(store)]
    settings.emit(document, lambda: "\n".join(document) or "no keys; `vstore key generate NAME` makes one")
