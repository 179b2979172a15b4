"""`vstore run`. It is alone in this module: every start of an application waits for its imports."""

from __future__ import annotations

import os
import subprocess

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings


@command("run")
@click.argument("profile")
@click.argument("application")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(settings: Settings, profile: str, application: str, arguments: tuple[str, ...]) -> None:
    """Arguments after `--` are passed to APPLICATION."""
    from vstore.api.profiles import find_application

    store = settings.open_store(read_only=True)
    found = find_application(store, profile, application)
    store.last_used.record(found.generation.path, profile)
    if os.name == "nt":  # where a program cannot replace its process
        raise SystemExit(subprocess.call([found.launcher, *arguments]))
    os.execv(found.launcher, [str(found.launcher), *arguments])
