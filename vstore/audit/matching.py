"""Comparing versions with advisories, as the schema of OSV defines it, by PEP 440 (pure).

A local version such as ``2.1+cu121`` counts as the public version 2.1, unless the advisory names local versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

from vstore.audit.model import Advisory, Bound, Events

_PARSED = 1 << 16
_ANY = "*"  # the limit of all versions
_FIRST_VERSION = Version("0.dev0")  # `introduced: "0"` is before all versions


@lru_cache(_PARSED)
def parse_version(text: str) -> Version | None:
    """Return a version; None if it is none by PEP 440."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def is_affected(advisory: Advisory, version: str) -> bool:
    """Return whether an advisory is about a version of its package.

    A version that is none by PEP 440 is looked up in the explicit versions only.
    """
    found = parse_version(version)
    if found is None:
        return version in advisory.versions
    if canonicalize_version(found) in advisory.versions or canonicalize_version(found.public) in advisory.versions:
        return True
    return any(_contains(events, found) for events in advisory.ranges)


def _contains(events: Events, version: Version) -> bool:
    """Return whether a range contains a version: the last event at or before it decides.

    Of events at one version `introduced` is the last: some ranges begin where the one before ends, ``fixed: "3.2"`` and
    ``introduced: "3.2"``, and 3.2 is affected.
    """
    bounds = [(bound, _version(bound, text)) for bound, text in events if text != _ANY]
    limits = [one for bound, one in bounds if bound == Bound.LIMIT]
    if limits and all(text != _ANY for _, text in events) and not any(_before(version, one) for one in limits):
        return False
    affected = False
    for bound, one in sorted(bounds, key=lambda each: (each[1], each[0] == Bound.INTRODUCED)):
        if bound == Bound.LAST_AFFECTED:
            affected = affected and not _before(one, version, local_of=one)
        elif bound != Bound.LIMIT and not _before(version, one):
            affected = bound == Bound.INTRODUCED
    return affected


def _version(bound: Bound, text: str) -> Version:
    return _FIRST_VERSION if bound == Bound.INTRODUCED and text == "0" else parse_version(text) or _FIRST_VERSION


def _before(low: Version, high: Version, *, local_of: Version | None = None) -> bool:
    """Return whether a version is before another. Local parts count if the bound, `high` by default, has one."""
    bound = local_of or high
    if bound.local is None:
        low, high = _public(low), _public(high)
    return low < high


@lru_cache(_PARSED)
def _public(version: Version) -> Version:
    return version if version.local is None else Version(version.public)


def fixed_versions(advisories: Iterable[Advisory], version: str) -> tuple[str, ...]:
    """Return the later versions that the advisories name as fixed and that none of them affects, lowest first."""
    known = list(advisories)
    found = parse_version(version)
    fixed = {text for one in known for text in _events(one, Bound.FIXED)}
    later = [text for text in fixed if found is None or found < (parse_version(text) or found)]
    return tuple(sorted((one for one in later if not any(is_affected(each, one) for each in known)), key=_key))


def _key(text: str) -> Version:
    return parse_version(text) or _FIRST_VERSION


def _events(advisory: Advisory, kind: Bound) -> Iterator[str]:
    return (text for events in advisory.ranges for bound, text in events if bound == kind)


def grouped(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Return advisories in groups that share an identifier, directly or through others: each is one vulnerability."""
    groups: list[list[Advisory]] = []
    for advisory in advisories:
        names = {advisory.id, *advisory.aliases}
        same = [one for one in groups if any(names & {each.id, *each.aliases} for each in one)]
        groups = [one for one in groups if one not in same]
        groups.append([advisory, *(each for one in same for each in one)])
    return groups
