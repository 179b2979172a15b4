"""The `vstore` command: global options, commands loaded when they are called, errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from vstore import __version__
from vstore.cancel import set_waiting
from vstore.cli import output, signals
from vstore.cli.command import HelpContext, shared_options
from vstore.cli.commands import COMMANDS, SERVERS
from vstore.cli.settings import Settings
from vstore.cli.terminal import Color, Style, paint, paint_hints, shows_color, width_of
from vstore.credentials import redact
from vstore.errors import OutputError, VstoreError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from vstore.cli.documents import ErrorDocument

_COMPLETES = "_VSTORE_COMPLETE" in os.environ  # a shell asks what completes a line


class _Hidden(Exception):
    """Wraps an exception that click would handle itself."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class LazyGroup(click.Group):
    """Imports the module of a command only when that command is called."""

    context_class = HelpContext

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return the command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in SERVERS:
            signals.serve_until_signal()
        module = importlib.import_module(f"vstore.cli.commands.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_") + "_command")
        assert isinstance(command, click.Command)
        if _COMPLETES:
            from vstore.cli.completion import prepare

            prepare(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin with a text, without loading them, or the options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        """Call the command. click would treat these exceptions as the end of its own output or input."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, EOFError) as error:
            raise _Hidden(error) from error
        except KeyboardInterrupt:
            if signals.is_serving():
                raise SystemExit(0) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries of all commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    no_args_is_help=True,
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@shared_options
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """Layered Python environments in a content-addressed store."""
    if version:
        settings = ctx.ensure_object(Settings)
        settings.quiet = False
        settings.emit({"version": __version__}, lambda: f"vstore {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with one of the codes in docs/cli.md."""
    output.prepare()
    settings = Settings()
    signals.end_on_signals()
    set_waiting(lambda text: settings.reporter.note(text), settings.wait_seconds)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(given, settings)
    except click.exceptions.Abort as error:  # click raises it for KeyboardInterrupt
        code = _interrupted(error.__cause__)
    except KeyboardInterrupt as error:
        code = _interrupted(error)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0
    except output.BrokenOutput as error:
        code = error.exit_code
    except Exception as error:
        if _COMPLETES:  # nothing is better than a message in the middle of a line
            _leave(1)
        settings.json = settings.json or "--json" in _options(given)
        code = _failed(error.cause if isinstance(error, _Hidden) else error, settings)
    settings.log("end", f"exit code {code}")
    _leave(code)


def _run(arguments: list[str], settings: Settings) -> int:
    if fault := os.environ.get("VSTORE_FAULT"):
        from vstore.api._command_line import arm_fault

        arm_fault(fault)
    if _COMPLETES:
        from vstore.cli.completion import register

        register()
    code = cli.main(
        arguments,
        color=shows_color(sys.stdout, Color.AUTO),
        prog_name="vstore",
        standalone_mode=False,
        obj=settings,
        terminal_width=_help_columns(),
    )
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _help_columns() -> int:
    """Return the width of help texts as click computes it, without `shutil` and the compression modules it loads."""
    return max(min(width_of(sys.stdout), 80) - 2, 50)


def _options(arguments: list[str]) -> list[str]:
    """Return the arguments before those of another program, which follow ``--``, or WHAT in `run` and `exec`."""
    ends = [arguments.index("--")] if "--" in arguments else []
    ends += [arguments.index(name) + 2 for name in ("run", "exec") if name in arguments]
    return arguments[: min(ends)] if ends else arguments


def _leave(code: int) -> NoReturn:
    """Exit without finalising the interpreter: that takes a tenth of the time of a short command, and cancelled threads
    of the network library would still use it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, OutputError):
            stream.flush()
    os._exit(code)


def _interrupted(cause: BaseException | None) -> int:
    click.echo(signals.INTERRUPTED, err=True)
    return signals.exit_code(cause)


def _failed(error: Exception, settings: Settings) -> int:
    """Show an error, with a traceback if it is a bug in vstore, and return the exit code."""
    from vstore.cli.errors import explain

    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not settings.json:
        error.show()
        return error.exit_code
    shown = explain(error)
    if shown is None or settings.verbose > 1:
        import traceback

        lines = redact("".join(traceback.format_exception(error)))
        settings.log("error", lines)
        click.echo(lines, err=True, nl=False)
    if shown is None:
        shown = VstoreError(
            f"a bug in vstore: {type(error).__name__}: {error}", hint="please report it with the lines above"
        )
    return _show(shown, settings)


def _show(error: VstoreError, settings: Settings) -> int:
    settings.close()
    settings.log("error", str(error))
    settings.echo(f"{paint('error:', Style.ERROR)} {paint_hints(str(error))}", err=True)
    if settings.json:
        document: ErrorDocument = {
            "error": {
                "message": error.message,
                "details": list(error.details),
                "hint": error.hint,
                "exit_code": error.exit_code,
            }
        }
        with suppress(OutputError):  # this error matters more than the lost output
            settings.print_json(document)
    return error.exit_code
