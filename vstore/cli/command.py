"""Declaration of commands: their names, the options that every command takes, and options that become one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from inspect import cleandoc

import click

from vstore.cli.commands import COMMANDS
from vstore.cli.paths import FOLDER, PLACE
from vstore.cli.settings import Settings
from vstore.cli.terminal import Color, Style, paint

Function = Callable[..., object]
Decorator = Callable[[Function], Function]


class _Formatter(click.HelpFormatter):
    """Writes headings in their style."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage."""
        super().write_usage(prog, args, prefix or f"{paint('Usage:', Style.HEADING)} ")

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        super().write_heading(paint(heading, Style.HEADING))


class HelpContext(click.Context):
    """The context of a command, with help texts that have colours where standard output shows them."""

    formatter_class = _Formatter


class _WithExamples(click.Command):
    """A command whose help ends with its examples."""

    context_class = HelpContext

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, which are not loaded before."""
        from vstore.cli.examples import EXAMPLES

        super().format_epilog(ctx, formatter)
        lines = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        with formatter.section("Examples") if lines else nullcontext():
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class _GroupWithExamples(_WithExamples, click.Group):
    """A group of commands whose help ends with its examples."""


def command(
    name: str, *, group: click.Group | None = None, starts_program: bool = False
) -> Callable[[Function], click.Command]:
    """Declare a command with the shared options. Its function gets the `Settings` first.

    The help of a command is its summary in `COMMANDS`, then the docstring of the function; in a `group` the docstring.
    A command that `starts_program` has no options after its first argument: they are the program's.
    """

    def decorate(function: Function) -> click.Command:
        @wraps(function)
        def call(settings: Settings, /, *arguments: object, **options: object) -> object:
            try:
                settings.begin(name, live=not starts_program)
                return function(settings, *arguments, **options)
            finally:
                settings.close()

        declared = shared_options(click.pass_obj(call))
        if group is not None:
            return group.command(name, cls=_WithExamples)(declared)
        context = {"allow_interspersed_args": not starts_program}
        return click.command(name, _WithExamples, help=_help(name, function), context_settings=context)(declared)

    return decorate


def command_group(name: str, *, default: str | None = None) -> Callable[[Function], click.Group]:
    """Declare a command with subcommands, of which `default` is run if none is given. Its function is not called."""

    def decorate(function: Function) -> click.Group:
        @click.pass_context
        def call(ctx: click.Context) -> object:
            if ctx.invoked_subcommand is None and default is not None:
                return ctx.invoke(made.commands[default])
            return None

        made = _GroupWithExamples(
            name,
            help=_help(name, function),
            callback=call,
            invoke_without_command=default is not None,
            no_args_is_help=False,
        )
        made.params += click.command()(shared_options(lambda: None)).params
        return made

    return decorate


def _help(name: str, function: Function) -> str:
    return f"{COMMANDS[name][1]}\n\n{cleandoc(function.__doc__ or '')}"


def options(parameter: str, make: Function, *declared: Decorator) -> Decorator:
    """Give a function options and arguments of a command as one value: the result of `make`, called with all of them.

    `make` gets them by name. It may raise UsageError.
    """
    names = [str(one.name) for one in click.command()(add_options(lambda: None, *declared)).params if one.expose_value]

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*arguments: object, **given: object) -> object:
            value = make(**{name: given.pop(name) for name in names})
            return function(*arguments, **given, **{parameter: value})

        return add_options(call, *declared)

    return decorate


def add_options(function: Function, *declared: Decorator) -> Function:
    """Add options to a function, as if the first was the topmost decorator."""
    for option in reversed(declared):
        function = option(function)
    return function


def shared_options(function: Function) -> Function:
    """Add the options that every command takes. They may stand before or after the name of a command."""
    return add_options(
        function,
        click.option("--root", type=FOLDER, expose_value=False, callback=_set, help="The folder of the store."),
        click.option("--json", is_flag=True, expose_value=False, callback=_set, help="Print one JSON document."),
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, callback=_set, help="Show errors and warnings only."
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_set,
            help="Show each decision with its reason; with -vv also the calls of uv and the requests to servers.",
        ),
        click.option(
            "--no-progress", is_flag=True, expose_value=False, callback=_set, help="Disable the progress display."
        ),
        click.option(
            "--color",
            type=click.Choice([str(one) for one in Color]),
            metavar="WHEN",
            expose_value=False,
            callback=_set,
            help="Use colours: auto (the default), always or never.",
        ),
        click.option(
            "--log-file",
            type=PLACE,
            metavar="FILE",
            expose_value=False,
            callback=_set,
            help="Append everything that is reported to FILE, with times.",
        ),
        click.option(
            "--wait",
            type=_Seconds(),
            metavar="SECONDS",
            expose_value=False,
            callback=_set,
            help="How long to wait for other processes (default: 10 minutes; one day for their builds).",
        ),
    )


def _set(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    """Set the field of the `Settings` that has the name of the option, if the option is given here."""
    if value or isinstance(value, float):  # --wait 0
        setattr(ctx.ensure_object(Settings), str(parameter.name), value)


class _Seconds(click.ParamType[float]):
    """A number of seconds, 0 or more."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds
