"""`vstore run`. It is alone in this module: every start of an application waits for its imports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings


@command("run", starts_program=True)
@click.argument("what", metavar="PROFILE")
@click.argument("words", metavar="[APPLICATION] [ARGUMENT]…", nargs=-1, type=click.UNPROCESSED)
def run_command(settings: Settings, what: str, words: tuple[str, ...]) -> None:
    """All that follows APPLICATION is passed to it, options too. APPLICATION may be left out if the profile has one;
    its arguments then start with an option or follow `--`. PROFILE@N runs an application of generation N.
    """
    from vstore.api.profiles import find_application

    application, arguments = _split(words)
    store = settings.open_store(read_only=True)
    found = find_application(store, what, application)
    store.last_used.record(found.stack.path, found.stack.profile or what)
    start_program(str(found.launcher), (str(found.launcher), *arguments), os.environ)


def start_program(program: str, arguments: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program, where the system can. The first of the arguments is its own name."""
    if os.name == "nt":
        import subprocess

        raise SystemExit(subprocess.call([program, *arguments[1:]], env=dict(variables)))
    os.execve(program, list(arguments), dict(variables))


def _split(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the application, None if it is left out, and its arguments. One ``--`` before them is not among them."""
    application = words[0] if words and not words[0].startswith("-") else None
    rest = words if application is None else words[1:]
    return application, rest[1:] if rest[:1] == ("--",) else rest
