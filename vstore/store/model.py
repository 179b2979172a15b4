"""The values of the store: generations, how an object was made, and the graph of all objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from vstore.digest import Digest
from vstore.objects import StorePath
from vstore.values import frozen


@frozen
class Generation:
    """One state of a profile: a stack, where it came from, and the number of the generation that it replaced.

    `created_at` is aware. `used_on` is the UTC day of the stack's last use, None if no use is recorded.
    """

    profile: str
    number: int
    path: StorePath
    created_at: datetime
    spec_path: str | None
    spec_digest: Digest | None
    replaced_number: int | None
    current: bool = False
    used_on: date | None = None


class BuildStatement(NamedTuple):
    """A builder's account of a build: a JSON text, and the name and signature of the key that vouches for it.

    What this store built itself is signed only when it is pushed.
    """

    text: str
    key: str | None = None
    signature: bytes | None = None


@frozen
class Provenance:
    """The origin of an object.

    `wheel_keys` are the keys of the compiled wheels in it, `inputs` the source objects that it was built from.
    `metadata` holds further keys for the manifest file: the text of the recipe and where its parts can be fetched.
    `builds` say who built it, where and when.
    """

    recipe: Digest | None = None
    wheel_keys: tuple[bytes, ...] = ()
    inputs: tuple[StorePath, ...] = ()
    build_seconds: float | None = None
    metadata: Mapping[str, object] = MappingProxyType({})
    builds: tuple[BuildStatement, ...] = ()


NO_PROVENANCE = Provenance()


@frozen(kw_only=False)
class BuildCost:
    """The cost of an object: seconds to build it, and bytes of content."""

    seconds: float
    size_bytes: int


@frozen(slots=False)
class ObjectGraph:
    """All objects and the edges that keep them alive, in tuples of equal length.

    `names` are the store paths as text. `edges[i]` are the positions in `names` of the references and inputs of object
    i. `used_on` is the UTC day of the last use in ISO 8601, the day of registration if no use is recorded; `used_by`
    is the profile or command that used it, or empty. `build_seconds` is None where it is not known.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    registered_at: tuple[str, ...]
    edges: tuple[tuple[int, ...], ...]
    used_on: tuple[str, ...]
    used_by: tuple[str, ...]
    build_seconds: tuple[float | None, ...]

    @cached_property
    def paths(self) -> tuple[StorePath, ...]:
        """The store paths of all objects. A collection parses only those that it takes."""
        return tuple(map(StorePath.parse, self.names))
