"""Completion in bash, zsh and fish: the scripts of `vstore completion`, and the values of options and arguments.

click completes commands, options, choices and paths. What other values a parameter has follows from its name in help
texts: there is one grammar for all commands.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from vstore.cli.paths import FILE_OR_FOLDER
from vstore.cli.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from vstore.api.names import Name

VARIABLE = "_VSTORE_COMPLETE"  # click's name for it

_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" response kind value word head
    response=$(COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    word="${line##*[[:space:]]}"
    head="${word%%"$2"}"  # bash splits words at = and : and completes the last part
    for value in $response; do
        kind="${value%%%%,*}" value="${value#*,}"
        case "$kind" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            *) COMPREPLY+=("${value#"$head"}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Options(ShellComplete):
    """Completes also ``--option=value`` as one word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Return what completes a word. click returns only the value that follows ``=``."""
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if not (equals and option.startswith("--")):
            return found
        return [CompletionItem(f"{option}={one.value}", type=one.type, help=one.help) for one in found]


class _Bash(_Options, BashComplete):
    """Completes a line as bash has it: bash itself splits words at ``@`` and ``:``, which names contain."""

    source_template = _BASH

    def source(self) -> str:
        """Return the script. click's own would start bash to ask for its version."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words before the cursor, and the word to complete."""
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        return (words[:-1], words[-1]) if words and not line[-1:].isspace() else (words, "")


class _Zsh(_Options, ZshComplete):
    """Completes a line of zsh."""


class _Fish(_Options, FishComplete):
    """Completes a line of fish."""


SHELLS = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script(shell: str) -> str:
    """Return the script that makes a shell complete `vstore`."""
    made = SHELLS[shell](click.Command("vstore"), {}, "vstore", VARIABLE)
    return made.source().strip() + "\n"


def register() -> None:
    """Let click complete lines by this module."""
    for one in SHELLS.values():
        add_completion_class(one)


def prepare(command: click.Command) -> None:
    """Let the parameters of a command, and of its subcommands, complete their values by this module."""
    for parameter in command.params:
        if (kind := kind_of(parameter)) is not None:
            parameter.shell_complete = partial(_complete, kind)  # type: ignore[method-assign]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            prepare(below)


def kind_of(parameter: click.Parameter) -> str | None:
    """Return the kind of a parameter's values, None if this module knows none of them.

    It is the name of the parameter in help texts: ``WHAT`` in ``[LINK] WHAT`` and ``SPEC|WHAT``.
    """
    shown = (parameter.metavar or str(parameter.name).upper()).replace("|", " ").split()
    named = (one.strip("[]….") for one in reversed(shown))
    return _KINDS.get(str(parameter.name)) or next((one for one in named if one in _KNOWN), None)


def _complete(kind: str, ctx: click.Context, text: str) -> list[CompletionItem[str]]:
    """Return the values of a kind that begin with a text. A completion never fails: it offers nothing."""
    with suppress(Exception):
        found = [one for one in _names(kind, ctx, text) if one.text.startswith(text)]
        if found:
            return [CompletionItem(one.text, help=one.meaning or None) for one in found]
    return [CompletionItem(text, type="file")] if kind in _PATHS else []


def _names(kind: str, ctx: click.Context, text: str) -> list[Name]:
    from vstore.api import names

    if kind == "TARGET":
        from vstore.api.specs import Target

        return [*(names.Name(str(one)) for one in Target), names.Name("all", "all platforms of the spec")]
    if kind == "PLACE":
        return []
    if kind == "CONFIG":
        from vstore.api.config import KEYS

        return [names.Name(one.name, one.meaning) for one in KEYS]
    if kind == "GLOB":
        return names.spec_layers(_spec(ctx))
    if kind == "PACKAGE":
        return names.locked_packages(_spec(ctx))
    if kind in ("EXTRA", "GROUP"):
        return (names.extras if kind == "EXTRA" else names.groups)(ctx.params["source"])
    with ctx.ensure_object(Settings).open_store(read_only=True) as store:
        match kind:
            case "APPLICATION":
                return [] if ctx.params.get("words") else names.applications(store, _first(ctx, "what"))
            case "CACHE":
                return names.caches(store)
            case "CHANNEL":
                return names.channels(store)
            case "GENERATION":
                return names.generations(store, _first(ctx, "profile"))
            case "LINK":
                return names.roots(store)
            case "PROFILE":
                return names.profiles(store, text)
            case "PROGRAM":
                is_first = ctx.info_name == "exec" and ctx.params.get("words") in (None, (), ("--",))
                return names.programs(store, _first(ctx, "what")) if is_first else []
            case _:
                return names.channels(store) if ctx.info_name == "pull" else names.what(store, text)


def _spec(ctx: click.Context) -> Path:
    from vstore.api.specs import find_spec

    given = _first(ctx, "spec")
    return find_spec(FILE_OR_FOLDER.convert(given, None, ctx) if given else None)


def _first(ctx: click.Context, name: str) -> str:
    """Return the value of the first argument. click leaves it unparsed if an option without its value follows."""
    return str(ctx.params.get(name) or next(iter(ctx.args), ""))


_PATHS = frozenset(("APPLICATION", "CACHE", "LINK", "PLACE", "PROGRAM", "WHAT"))  # or values that are none
_KNOWN = frozenset(
    (
        *("APPLICATION", "CACHE", "CHANNEL", "CONFIG", "GENERATION", "GLOB", "LINK"),
        *("PLACE", "PROFILE", "PROGRAM", "TARGET", "WHAT"),
    )
)
_KINDS = {  # parameters that help texts call otherwise
    **dict.fromkeys(("generation", "generations", "old", "new", "to"), "GENERATION"),
    "channel": "CHANNEL",
    "config_key": "CONFIG",
    "dependency": "WHAT",
    "extras": "EXTRA",
    "groups": "GROUP",
    "layer": "GLOB",
    "profile": "PROFILE",
    "upgrade_packages": "PACKAGE",
}
