"""`--platform`: which targets a command is for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vstore.api.specs import Target, load
from vstore.errors import UsageError

ALL = "all"


def parse_targets(names: Iterable[str], spec: Path) -> tuple[Target, ...]:
    """The targets in the order given, this machine's if none is; ``all`` are those that the spec's layers are for."""
    found: dict[Target, None] = {}
    for name in names:
        if name == ALL:
            layers = load(spec, check_requirements=False, environment=os.environ).layers
            found |= dict.fromkeys(target for target in Target if any(target in layer.targets for layer in layers))
            continue
        try:
            found[Target(name)] = None
        except ValueError:
            known = ", ".join((*Target, ALL))
            raise UsageError(f"--platform {name}: no such platform", hint=f"known: {known}") from None
    return tuple(found) or (Target.host(),)
