"""The request to realise a spec, and its result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from vstore.objects import Kind, StorePath
from vstore.target import Target
from vstore.values import frozen

if TYPE_CHECKING:  # not loaded for a no-op
    from vstore.build.clashes import Clash


@frozen
class Request:
    """The options of `realise`.

    `environment` has the settings of uv and of the spec (default: the variables of this process), `allow_outside`
    further folders that modules may lie in.
    `target` is the machine's own if None. `index` False resolves without a package index. With `check`, layers that are
    present are built again and compared. Without `generation` the stack is realised, and no profile is changed.
    """

    spec: Path
    profile: str | None = None
    target: Target | None = None
    include: tuple[str, ...] = ()
    allow_missing: bool = False
    dependencies: bool | None = None
    dependents: bool = False
    locked: bool = False
    offline: bool = False
    dry_run: bool = False
    check: bool = False
    generation: bool = True
    jobs: int = 1
    keep_going: bool = False
    keep_failed: bool = False
    local_wheels: tuple[Path, ...] = ()
    index: bool = True
    caches: tuple[str, ...] = ()
    environment: Mapping[str, str] = os.environ
    allow_outside: tuple[Path, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the request is for the whole stack, and carried out."""
        return not (self.include or self.check or self.dry_run)

    @property
    def platform(self) -> Target:
        """The target, by default this machine's."""
        return self.target or Target.host()


class Origin(StrEnum):
    """The way in which a layer became present. The last three are those of a dry run."""

    PRESENT = "present"
    SUBSTITUTED = "substituted"
    BUILT = "built"
    ADOPTED = "adopted"
    CHECKED = "checked"
    TO_LOCK = "to lock"
    TO_BUILD = "to build"
    TO_SUBSTITUTE = "to substitute"


@frozen
class RealisedLayer:
    """A layer and its object. `path` is None in a dry run if it is not known yet; `seconds` is the time it took.

    `clashes` are those of a layer that was not present before, without those of the layers below.
    """

    name: str
    kind: Kind
    path: StorePath | None
    origin: Origin
    seconds: float
    clashes: tuple[Clash, ...] = ()


@frozen
class Realised:
    """The result of `realise`. `stack` and `generation` are None for a part of a stack and for a dry run.

    `changed` is True if the profile has a new generation. `fetched_bytes` were fetched from caches; in a dry run it is
    the most that would be.
    """

    profile: str
    target: Target
    layers: tuple[RealisedLayer, ...]
    stack: StorePath | None = None
    generation: int | None = None
    changed: bool = False
    dry_run: bool = False
    fetched_bytes: int = 0
