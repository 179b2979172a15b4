"""`vstore run`: apart from `realise`, since every start of an application waits for what this module imports."""

from __future__ import annotations

import os

import click

from vstore.cli.command import command
from vstore.cli.settings import Settings
from vstore.errors import ProfileError


@command("run")
@click.argument("profile")
@click.argument("application")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(settings: Settings, profile: str, application: str, arguments: tuple[str, ...]) -> None:
    """Arguments after `--` are passed to APPLICATION."""
    import subprocess

    from vstore.api.profiles import Target, current, names, read_stack

    store = settings.open_store(read_only=True)
    generation = current(store, profile)
    if generation is None:
        known = ", ".join(names(store)) or "none yet"
        raise ProfileError(
            f"no such profile: {profile}", hint=f"profiles here: {known}; `vstore realise SPEC` makes one"
        )
    stack = store.layout.object(generation.path)
    target = read_stack(stack).target
    if target != Target.host():
        raise ProfileError(
            f"profile {profile} is for {target}, and this machine is {Target.host()}",
            hint="take it there: `vstore push` and `pull`, `pack` and `unpack`, or `export`",
        )
    folder = stack / "bin"
    starter = folder / (f"{application}.cmd" if Target(target).is_windows else application)
    if not starter.is_file():
        known = ", ".join(sorted(name.removesuffix(".cmd") for name in os.listdir(folder))) or "none"
        raise ProfileError(
            f"profile {profile}, generation {generation.number}, has no application {application!r}",
            hint=f"applications: {known}",
        )
    store.last_used.record(generation.path, profile)
    if os.name == "nt":  # where a program cannot become another
        raise SystemExit(subprocess.call([starter, *arguments]))
    os.execv(starter, [str(starter), *arguments])
