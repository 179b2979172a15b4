"""Profiles: generations of stacks, switched, rolled back, compared and forgotten.

Example::

    from vstore.api import profiles, stores

    with stores.open_store() as store:
        for generation in profiles.history(store, "project"):
            print(generation.number, generation.path, generation.created_at)
        print(profiles.find_application(store, "project", "hello").launcher)
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vstore.errors import NotFoundError, ProfileError, UsageError, suggestion
from vstore.objects import Kind
from vstore.profile import (
    Change,
    Generation,
    Retention,
    Stack,
    StackLayer,
    What,
    append,
    compare,
    current,
    expired,
    forget,
    forget_all,
    forget_expired,
    forgettable,
    history,
    names,
    read_stack,
    resolve_what,
    rollback,
    switch,
)
from vstore.store import Store
from vstore.target import Target

__all__ = [
    "Application",
    "Change",
    "Diff",
    "Generation",
    "Retention",
    "Stack",
    "StackLayer",
    "append",
    "compare",
    "current",
    "diff",
    "expired",
    "find_application",
    "forget",
    "forget_all",
    "forget_expired",
    "forgettable",
    "history",
    "names",
    "read_stack",
    "rollback",
    "switch",
]


class Application(NamedTuple):
    """An application of a stack: the stack by the name that was given, and the file that starts the application."""

    stack: What
    launcher: Path


class Diff(NamedTuple):
    """The packages that differ between two generations, named by number."""

    old: int
    new: int
    changes: tuple[Change, ...]


def find_application(store: Store, what: str, name: str | None = None) -> Application:
    """Return an application of a stack, which is named as `resolve_what` reads it; without a name its only one.

    Raises NotFoundError if there is no such stack or application, ProfileError if it is for another platform, and
    UsageError if `what` is not a stack, or has several applications and none is named.
    """
    try:
        found = resolve_what(store, what)
    except NotFoundError as error:
        raise _perhaps_an_application(store, what, error) from None
    info = store.objects.info(found.path)
    if info is None or info.kind != Kind.STACK:
        raise UsageError(f"{what} is not a stack, but {info.kind if info else 'gone'}", hint="give a profile")
    stack = store.layout.object(found.path)
    target = Target(read_stack(stack).target)
    target.check_host(what)
    suffix = ".cmd" if target.is_windows else ""
    known = _applications_in(stack / "bin", suffix) if name is None else []
    if name is None and len(known) != 1:
        raise UsageError(
            f"{what} has {len(known) or 'no'} applications",
            hint=f"name one: {', '.join(known)}" if known else None,
        )
    launcher = stack / "bin" / f"{name or known[0]}{suffix}"
    if not launcher.is_file():
        raise _no_such_application(what, str(name), stack / "bin", suffix)
    return Application(found, launcher)


def _perhaps_an_application(store: Store, name: str, error: NotFoundError) -> NotFoundError:
    """Return the error for an unknown profile, with a command if it is the name of an application of a profile."""
    for profile in names(store):
        known = store.layout.profiles / profile / "bin"
        if "/" not in name and any((known / f"{name}{suffix}").is_file() for suffix in ("", ".cmd")):
            return NotFoundError(
                error.message, details=error.details, hint=f"did you mean `vstore run {profile} {name}`?"
            )
    return error


def _applications_in(folder: Path, suffix: str) -> list[str]:
    return sorted(one.name.removesuffix(suffix) for one in folder.iterdir())


def _no_such_application(what: str, name: str, folder: Path, suffix: str) -> NotFoundError:
    known = _applications_in(folder, suffix)
    said = suggestion(name, known)
    if len(known) == 1:
        said += f"`vstore run {what} -- {name}` passes it to {known[0]}; "
    return NotFoundError(
        f"{what} has no application {name!r}", hint=f"{said}applications: {', '.join(known) or 'none'}"
    )


def diff(store: Store, profile: str, old: int | None = None, new: int | None = None) -> Diff:
    """Compare the packages of two generations.

    `new` is by default the current one, and `old` the one that it replaced.

    Raises NotFoundError if there is no such profile, ProfileError if there is no such generation.
    """
    from vstore.realise.stack import stack_distributions

    known = {generation.number: generation for generation in history(store, profile)}
    after = known.get(new) if new is not None else next((one for one in known.values() if one.current), None)
    before = known.get(old if old is not None else after.replaced_number or -1) if after else None
    if before is None or after is None:
        named = [str(one) for one in (new, old) if one is not None and one not in known]
        what = f"no generation {named[0]}" if named else "no other generation to compare with"
        raise ProfileError(f"profile {profile} has {what}", hint=f"generations: {', '.join(map(str, known))}")
    changes = compare(stack_distributions(store, before.path), stack_distributions(store, after.path))
    return Diff(before.number, after.number, tuple(changes))
