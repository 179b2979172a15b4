"""Exceptions as errors for people: one line that states the fault and its place, and a hint."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click

from vstore.errors import StoreError, UsageError, VstoreError

_SHOWN = 10  # profiles in a hint
_HINTS = {
    errno.ENOSPC: ("no space left on the file system", "run `vstore gc`, or free space elsewhere"),
    errno.EIO: ("input/output error of the disk", "check the disk, then run `vstore verify --contents`"),
    errno.EDQUOT: ("disk quota exceeded", "run `vstore gc`"),
    errno.EROFS: ("the file system is read-only", "choose a writable folder with --root"),
    errno.EACCES: ("permission denied", "choose your own folder with --root, or ask its owner"),
    errno.EPERM: ("operation not permitted", "choose your own folder with --root, or ask its owner"),
    errno.EMFILE: ("too many open files", "raise the limit with `ulimit -n`, or lower --jobs"),
    errno.ENFILE: ("too many open files on this machine", "end other programs"),
    errno.ENOMEM: ("not enough memory", "lower --jobs, or end other programs"),
    errno.EAGAIN: ("resource temporarily unavailable", "try again, with lower --jobs"),
    errno.ENOENT: ("no such file or folder", None),
    errno.EEXIST: ("the path exists already", None),
    errno.ENOTDIR: ("not a folder", None),
    errno.EISDIR: ("is a folder", None),
    errno.ELOOP: ("too many symbolic links, or a symbolic link that is not allowed", None),
    errno.ENAMETOOLONG: ("the name is too long", None),
}


def explain(error: BaseException) -> VstoreError | None:
    """Return the error to show for an exception, or None for a bug in vstore."""
    match error:
        case VstoreError():
            return error
        case click.ClickException():
            return _usage(error)
        case OSError():
            return _system(error)
        case UnicodeError():
            found = error.object if isinstance(error, UnicodeEncodeError | UnicodeDecodeError) else str(error)
            return UsageError(f"not UTF-8: {ascii(found)[:200]}", hint="use names and files in UTF-8")
        case RecursionError():
            return VstoreError("the input is nested too deeply")
        case MemoryError():
            return VstoreError("not enough memory", hint="lower --jobs, or end other programs")
    return None


def _usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    is_help = isinstance(error, click.exceptions.NoArgsIsHelpError)  # its message is the help
    if isinstance(error, click.NoSuchOption | click.exceptions.NoSuchCommand):  # their texts have suggestions too
        message = error.message.rstrip(".")
    else:
        message = "missing command" if is_help else " ".join(error.format_message().split()).rstrip(".")
    hints = [_hint(error), f"`{context.command_path} --help` shows the usage"] if context else []
    joined = "; ".join(filter(None, hints)).replace("?; ", "? ")
    return UsageError(message[:1].lower() + message[1:], hint=joined or None)


def _hint(error: click.ClickException) -> str | None:
    """Return what was meant by a mistake of usage: the command, the option, a profile or a generation."""
    from vstore.cli.habits import command_hint, missing_option_hint, option_hint

    match error:
        case click.exceptions.NoSuchCommand(ctx=click.Context(command=click.Group() as group) as context):
            return command_hint(error.command_name, group.list_commands(context))
        case click.NoSuchOption(ctx=click.Context() as context):
            return option_hint(error.option_name, context)
        case click.MissingParameter(param=click.Argument(name="what" | "profile"), ctx=click.Context() as context):
            return _profiles(context)
        case click.MissingParameter(param=click.Option() as option, ctx=click.Context(info_name=str(command))):
            return missing_option_hint(command, option.opts)
        case click.BadParameter(param=click.Parameter(type=click.types.IntParamType())) if "@" in error.message:
            return "the profile and the number of a generation are two arguments: PROFILE N"
    return None


def _profiles(context: click.Context) -> str | None:
    """Return a hint with the profiles of the store; None if there are none, or if it cannot be read."""
    from vstore.api import profiles
    from vstore.cli.settings import Settings

    settings = context.find_object(Settings)
    try:
        with (settings or Settings()).open_store(read_only=True) as store:
            known = profiles.names(store)
    except (VstoreError, OSError):
        return None
    more = ", …" if len(known) > _SHOWN else ""
    return f"profiles: {', '.join(known[:_SHOWN])}{more}" if known else None


def _system(error: OSError) -> StoreError:
    """Return the error of an operating system call, with the path."""
    message, hint = _HINTS.get(error.errno or 0, (None, None))
    known = error.strerror == os.strerror(error.errno) if error.errno else False
    if message is None or not known:  # raised by vstore, with its own text
        message = (error.strerror or str(error) or type(error).__name__).strip()
        message = message[:1].lower() + message[1:]
    if error.errno == errno.ENOSPC and not _inodes_left(error.filename):
        message, hint = "no inodes left on the file system", "run `vstore gc`, or remove files elsewhere; see `df -i`"
    places = [os.fsdecode(one) if isinstance(one, bytes) else str(one) for one in _names(error)]
    return StoreError(": ".join([message, *([" -> ".join(places)] if places else [])]), hint=hint)


def _inodes_left(place: object) -> bool:
    """Return whether the file system of a path has free inodes. True if it does not count them."""
    if not isinstance(place, str | bytes | os.PathLike) or not hasattr(os, "statvfs"):
        return True
    folder = next(one for one in Path(os.fsdecode(place)).absolute().parents if one.exists())
    found = os.statvfs(folder)
    return not found.f_files or found.f_favail > 0


def _names(error: OSError) -> list[object]:
    return [name for name in (error.filename, error.filename2) if name is not None]
