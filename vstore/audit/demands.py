"""The requirements that limit the version of a package: those of a spec, of its settings, and of other packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vstore.audit.matching import is_affected, parse_version
from vstore.audit.model import Advisory
from vstore.build.layer_metadata import read_metadata
from vstore.fs.reading import read_regular
from vstore.lock.markers import marker_environment
from vstore.spec import Spec

_MAX_METADATA_BYTES = 16 << 20
_OVERRIDES, _CONSTRAINTS = "override-dependencies", "constraint-dependencies"
_FIELD = b"requires-dist:"


class Demand(NamedTuple):
    """A requirement on a package, and who has it."""

    requirement: Requirement
    by: str

    def allows(self, version: str) -> bool:
        """Return whether the requirement allows a version. One that names a URL allows none but its own."""
        return not self.requirement.url and self.requirement.specifier.contains(version, prereleases=True)

    def __str__(self) -> str:
        return f"`{self.requirement}` of {self.by}"


def demands_of_spec(spec: Spec, package: str) -> tuple[list[Demand], bool]:
    """Return what a spec requires of a package, and whether that overrides all other requirements."""
    if overrides := list(_demands(spec.uv.get(_OVERRIDES), package, _OVERRIDES)):
        return overrides, True
    found = list(_demands(spec.uv.get(_CONSTRAINTS), package, _CONSTRAINTS))
    for layer in spec.layers:
        found += _demands(layer.requirements, package, f"layer {layer.env_name}")
    return found, False


def demands_of_layer(layer: Path, package: str) -> Iterator[Demand]:
    """Yield what the packages of a layer require of a package. Their extras are left out.

    Raises StoreError if the metadata of the layer are damaged.
    """
    metadata = read_metadata(layer)
    environment = {**marker_environment(metadata.target, str(metadata.python)), "extra": ""}
    for one in metadata.distributions:
        if one.name == package:
            continue
        try:
            data = read_regular(layer / one.dist_info / "METADATA", limit=_MAX_METADATA_BYTES)
        except (OSError, ValueError):
            continue
        for demand in _demands(_required(data), package, f"{one.name} {one.version}"):
            marker = demand.requirement.marker
            if marker is None or marker.evaluate(environment):
                yield demand


def _required(metadata: bytes) -> Iterator[str]:
    """Yield the requirements in the head of a METADATA file."""
    for line in metadata.splitlines():
        if not line.strip():
            return
        if line[: len(_FIELD)].lower() == _FIELD:
            yield line[len(_FIELD) :].decode("utf-8", "replace").strip()


def _demands(requirements: object, package: str, by: str) -> Iterator[Demand]:
    for text in requirements if isinstance(requirements, list | tuple | Iterator) else ():
        try:
            found = Requirement(str(text))
        except InvalidRequirement:
            continue
        if canonicalize_name(found.name) == package:
            yield Demand(found, by)


def allowed_fix(
    advisories: Iterable[Advisory], fixed: Sequence[str], demands: Sequence[Demand]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the fixed version that an upgrade reaches, else None and the reasons why it reaches none.

    An upgrade takes the newest version that the requirements allow. It is not to be one that is affected, such as the
    last one of a newer series whose fix is not allowed.
    """
    known = list(advisories)
    listed = {version for one in known for version in one.versions}
    reasons: dict[str, None] = {}
    for version in fixed:
        blocking = [demand for demand in demands if not demand.allows(version)]
        found = parse_version(version)
        newer = [one for one in listed if found and (other := parse_version(one)) and other > found]
        trap = [one for one in newer if all(demand.allows(one) for demand in demands)]
        trap = [one for one in trap if any(is_affected(each, one) for each in known)]
        if not blocking and not trap:
            return version, ()
        said = [f"{demand} does not allow {version}" for demand in blocking]
        said += [] if blocking else [f"the newest allowed version is {max(trap, key=_key)}, which is affected"]
        reasons |= dict.fromkeys(said)
    return None, tuple(reasons)


def _key(version: str) -> tuple[bool, object]:
    found = parse_version(version)
    return (found is not None, found or version)
