"""Options that `lock`, `show` and `realise` have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


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
    ]
    for option in reversed(options):
        function = option(function)
    return function


def wheel_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where packages come from when locking."""
    folder = click.Path(path_type=Path, exists=True, file_okay=False)
    function = click.option("--local-wheels", multiple=True, type=folder, help="Wheel folders.")(function)
    return click.option("--index/--no-index", default=True, help="Whether to ask the package index when locking.")(
        function
    )
