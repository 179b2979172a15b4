"""Options that `lock`, `show` and `realise` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vstore.api.specs import ALLOW_OUTSIDE


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which layers: `--include` and what goes with it."""
    options = [
        click.option("--include", multiple=True, metavar="GLOB", help="Only these layers, and what goes with them."),
        click.option("--allow-missing", is_flag=True, help="A pattern that matches no layer is only a warning."),
        click.option(
            "--dependencies/--no-dependencies",
            default=None,
            help="Treat the layers below like the included ones, or leave them alone (default: as far as needed).",
        ),
        click.option("--derived", is_flag=True, help="Also the layers that sit on the included ones."),
        click.option(
            "--allow-outside",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            callback=_allow_outside,
            expose_value=False,
            help="Take modules from this folder, though it is outside of the spec's checkout or folder.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _allow_outside(_: click.Context, __: click.Parameter, folders: tuple[Path, ...]) -> None:
    """Add the folders to the environment variable of the same meaning, which loading a spec reads."""
    if any(os.pathsep in str(folder.absolute()) for folder in folders):
        raise click.BadParameter(f"the path of a folder may not contain {os.pathsep!r}")
    given = [os.environ.get(ALLOW_OUTSIDE, ""), *(str(folder.absolute()) for folder in folders)]
    os.environ[ALLOW_OUTSIDE] = os.pathsep.join(one for one in given if one)


def wheel_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where packages come from when locking."""
    folder = click.Path(path_type=Path, exists=True, file_okay=False)
    function = click.option("--local-wheels", multiple=True, type=folder, help="Wheel folders.")(function)
    return click.option("--index/--no-index", default=True, help="Whether to ask the package index when locking.")(
        function
    )
