"""`--platform`: which targets a command is for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.errors import UsageError, suggestion

if TYPE_CHECKING:
    from vstore.api.specs import Target

ALL = "all"


def parse_targets(names: Iterable[str], spec: Path, allow_outside: Sequence[Path] = ()) -> tuple[Target, ...]:
    """Return the targets in the order given, or this machine's target if none is given. Raises UsageError.

    ``all`` stands for the targets of the spec's layers, except those that a lock leaves out.
    """
    from vstore.api.specs import Target

    found: dict[Target, None] = {}
    for name in names:
        if name == ALL:
            found |= dict.fromkeys(_covered(spec, allow_outside))
            continue
        try:
            found[Target(name)] = None
        except ValueError:
            known = ", ".join((*Target, ALL))
            raise UsageError(
                f"--platform {name}: no such platform", hint=f"{suggestion(name, Target)}platforms: {known}"
            ) from None
    return tuple(found) or (Target.host(),)


def each_target(
    targets: Sequence[Target], names: Sequence[str], spec: Path, allow_outside: Sequence[Path] = ()
) -> Iterator[Target]:
    """Yield the parsed targets. With ``all`` those after the first are checked again: locking it may leave some out."""
    for number, target in enumerate(targets):
        if number == 0 or ALL not in names or target in parse_targets(names, spec, allow_outside):
            yield target


def _covered(path: Path, allow_outside: Sequence[Path]) -> list[Target]:
    """Return the targets of a spec, this machine's first: the lock is made on it."""
    from vstore.api.locks import Project
    from vstore.api.specs import Target, load

    spec = load(path, check_requirements=False, environment=os.environ, allow_outside=allow_outside)
    left_out = {target for one in Project(spec).locks for target in one.findings.left_out}
    found = [target for target in Target if any(target in layer.targets for layer in spec.layers)]
    return sorted((target for target in found if target not in left_out), key=lambda one: one != Target.host())
