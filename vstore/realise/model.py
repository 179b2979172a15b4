"""What realising is asked for and what it answers, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vstore.digest import Digest
from vstore.objects import Kind, StorePath
from vstore.target import Target
from vstore.values import frozen

if TYPE_CHECKING:  # a no-op needs none
    from vstore.build.clashes import Clash


@frozen
class Request:
    """What a user may ask of `realise`; `environment` is where uv's own settings come from.

    Without `generation` the stack is made present and no profile is touched.
    """

    spec: Path
    profile: str | None = None
    target: Target | None = None  # None: the machine that this runs on
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
    environment: Mapping[str, str] = {}

    @property
    def platform(self) -> Target:
        """The target, said or not."""
        return self.target or Target.host()


class Origin(StrEnum):
    """How a layer came to be present. The last four are what a dry run says."""

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
    """A layer and its object; `path` is None only in a dry run, where it may not be known.

    `clashes` are told of a layer that was not here before: those that no layer below has already.
    """

    name: str
    kind: Kind
    path: StorePath | None
    origin: Origin
    seconds: float
    clashes: tuple[Clash, ...] = ()


@frozen
class Realised:
    """What came of it; `stack` and `generation` are None for a partial or a dry run."""

    profile: str
    target: Target
    generation: int | None
    changed: bool
    stack: StorePath | None
    layers: tuple[RealisedLayer, ...]
    dry_run: bool = False
    moved_bytes: int = 0  # from caches; in a dry run what would be, at most


class Substituter(Protocol):
    """Looks recipes up in caches and fetches their objects; in a dry run it only says what it would fetch."""

    @property
    def anybody(self) -> bool:
        """Whether there is anybody to ask."""

    def find(self, recipes: Iterable[Digest]) -> Mapping[Digest, StorePath]:
        """What these give, all asked for at once; a miss is left out."""

    def begin(self, recipes: Iterable[Digest]) -> None:
        """Start to bring what these give."""

    def begun(self, recipe: Digest) -> StorePath | None:
        """Wait for what was started for it; None if nothing was, or that failed."""

    def substitute(self, recipe: Digest) -> StorePath | None:
        """Bring what the recipe gives; None for a miss."""


class NullSubstituter:
    """Has nothing."""

    anybody = False

    def find(self, recipes: Iterable[Digest]) -> Mapping[Digest, StorePath]:
        return {}

    def begin(self, recipes: Iterable[Digest]) -> None: ...

    def begun(self, recipe: Digest) -> StorePath | None:
        return None

    substitute = begun


NOBODY = NullSubstituter()
