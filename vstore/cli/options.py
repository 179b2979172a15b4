"""Options that several commands take."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING

import click

from vstore.cli.command import Decorator, Function, add_options, options
from vstore.cli.paths import EXISTING_FOLDER, FILE_OR_FOLDER
from vstore.cli.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from vstore.api.realising import Request


def spec_argument(function: Function) -> Function:
    """Give a command the argument SPEC: a file, a folder with a spec in it, or left out. It gets the path of a file."""

    @wraps(function)
    def call(settings: Settings, /, *arguments: object, spec: Path | None, **options: object) -> object:
        return function(settings, *arguments, spec=settings.find_spec(spec), **options)

    return click.argument("spec", required=False, type=FILE_OR_FOLDER)(call)


def selection_options(function: Function) -> Function:
    """Add the options that select layers of a spec: `--include` and its like."""
    return add_options(
        function,
        click.option(
            "--include", multiple=True, metavar="GLOB", help="Select only these layers, and the layers that they need."
        ),
        click.option("--allow-missing", is_flag=True, help="Warn about a pattern that matches no layer, do not fail."),
        click.option(
            "--dependencies/--no-dependencies",
            default=None,
            help="Also lock or build all layers that the selected ones depend on, or none of them (default:"
            " those that are missing or out of date).",
        ),
        click.option("--dependents", is_flag=True, help="Also select the layers that depend on the selected ones."),
    )


def wheel_options(function: Function) -> Function:
    """Add the options for the sources of wheels when a spec is locked."""
    return add_options(
        function,
        click.option("--index/--no-index", default=True, help="Use the package index when locking (default: yes)."),
        click.option("--local-wheels", multiple=True, type=EXISTING_FOLDER, help="Also use the wheels in this folder."),
    )


allow_outside_option = click.option(
    "--allow-outside",
    multiple=True,
    type=EXISTING_FOLDER,
    callback=lambda ctx, option, folders: tuple(folder.absolute() for folder in folders),
    help="Accept modules from this folder, although it is outside the project of the spec.",
)
platform_option = click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="TARGET",
    help="The platform, instead of this machine's; `all` stands for all of the spec.",
)
cache_option = click.option(
    "--cache", "caches", multiple=True, metavar="CACHE", help="Ask this cache before the configured ones."
)
locked_option = click.option("--locked", is_flag=True, help="Fail if the lock is missing or stale.")
offline_option = click.option("--offline", is_flag=True, help="Do not use the network.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
jobs_option = click.option("-j", "--jobs", type=click.IntRange(1), help="Parallel jobs (default: one per CPU).")


def request_options(*more: Decorator) -> Decorator:
    """Add the options that every `Request` takes, and `more`, whose values are fields of it too.

    They become `make_request`, a function that makes a `Request` of a spec and perhaps a target.
    """
    return options(
        "make_request",
        _request_maker,
        locked_option,
        offline_option,
        dry_run_option,
        jobs_option,
        cache_option,
        *more,
        allow_outside_option,
        wheel_options,
    )


def _request_maker(jobs: int | None, **given: object) -> Callable[..., Request]:
    from vstore.api.realising import Request

    return partial(Request, jobs=jobs or os.cpu_count() or 1, environment=dict(os.environ), **given)  # type: ignore[arg-type]
