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

from vstore.errors import NotFoundError, ProfileError, UsageError, nearest
from vstore.profile import (
    Change,
    Generation,
    Retention,
    Stack,
    StackLayer,
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
    rollback,
    switch,
)
from vstore.profile.generations import no_such_profile
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
    """An application of a generation: the generation, and the file that starts the application."""

    generation: Generation
    launcher: Path


class Diff(NamedTuple):
    """The packages that differ between two generations, named by number."""

    old: int
    new: int
    changes: tuple[Change, ...]


def find_application(store: Store, profile: str, name: str) -> Application:
    """Return an application of the current generation of a profile.

    Raises NotFoundError if there is no such profile or application, ProfileError if it is for another platform.
    """
    generation = current(store, profile)
    if generation is None:
        raise no_such_profile(store, profile)
    stack = store.layout.object(generation.path)
    target = Target(read_stack(stack).target)
    if target != Target.host():
        raise ProfileError(
            f"profile {profile} is for {target}, and this machine is {Target.host()}",
            hint="`vstore push` and `pull`, `pack` and `unpack`, or `export` move it to another machine",
        )
    folder = stack / "bin"
    launcher = folder / (f"{name}.cmd" if target.is_windows else name)
    if not launcher.is_file():
        known = sorted(one.name.removesuffix(".cmd") for one in folder.iterdir())
        near = nearest(name, known)
        said = f"did you mean {near!r}? " if near else ""
        raise NotFoundError(
            f"profile {profile}, generation {generation.number}, has no application {name!r}",
            hint=f"{said}applications: {', '.join(known) or 'none'}",
        )
    return Application(generation, launcher)


def diff(store: Store, profile: str, old: int | None = None, new: int | None = None) -> Diff:
    """Compare the packages of two generations.

    `new` is by default the current one, and `old` the one that it replaced.

    Raises ProfileError if there is no such profile, UsageError if there is no such generation.
    """
    from vstore.realise.stack import stack_distributions

    known = {generation.number: generation for generation in history(store, profile)}
    after = known.get(new) if new is not None else next((one for one in known.values() if one.current), None)
    before = known.get(old if old is not None else after.replaced_number or -1) if after else None
    if before is None or after is None:
        raise UsageError(
            f"profile {profile} has no such generations to compare",
            hint=f"`vstore history {profile}` lists generations",
        )
    changes = compare(stack_distributions(store, before.path), stack_distributions(store, after.path))
    return Diff(before.number, after.number, tuple(changes))
