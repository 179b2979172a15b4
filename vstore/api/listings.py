"""Listings: the choice of the objects, generations and roots to show.

Example::

    from datetime import timedelta
    from vstore.api import listings, stores

    with stores.open_store() as store:
        wanted = listings.ObjectFilter(names=("framework-*",), unused_for=timedelta(days=30))
        for one in listings.list_objects(store, wanted):
            print(one.info.path, one.info.size_bytes, one.used_on)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeVar

from vstore.objects import Kind, ObjectInfo, StorePath
from vstore.store import Store
from vstore.values import frozen

__all__ = [
    "ListedObject",
    "ObjectFacts",
    "ObjectFilter",
    "list_objects",
    "matches_name",
    "unused",
]

T = TypeVar("T")


class ObjectFacts(NamedTuple):
    """The facts for a filter: the object, its kind, the UTC day of its last use, and the time when it was added."""

    path: StorePath
    kind: Kind
    used_on: date
    added_at: datetime


class ListedObject(NamedTuple):
    """An object of the store, and the UTC day of its last use, or of its registration if no use is recorded."""

    info: ObjectInfo
    used_on: date


@frozen
class ObjectFilter:
    """The choice of the objects that a listing shows; by default all.

    `names` are names as `matches_name` takes them. `unused_for` leaves out the objects that were used since then.
    With `latest`, of several objects with one name and kind only the one that was added last is shown.
    """

    names: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    unused_for: timedelta | None = None
    latest: bool = False

    def select(self, objects: Iterable[T], facts: Callable[[T], ObjectFacts], *, now: datetime) -> list[T]:
        """Return the objects to show, in their order. `facts` returns the facts about one."""
        found = [(facts(one), one) for one in objects]
        if self.latest:
            newest: dict[tuple[str, Kind], ObjectFacts] = {}
            for fact, _ in sorted(found, key=lambda one: one[0].added_at):
                newest[fact.path.name, fact.kind] = fact
            found = [one for one in found if newest[one[0].path.name, one[0].kind] == one[0]]
        return [one for fact, one in found if self._shows(fact, now)]

    def _shows(self, fact: ObjectFacts, now: datetime) -> bool:
        return (
            (not self.kinds or fact.kind in self.kinds)
            and matches_name(self.names, fact.path.name, str(fact.path))
            and unused(fact.used_on, self.unused_for, now=now)
        )


def matches_name(patterns: Sequence[str], name: str, path: str = "") -> bool:
    """Return whether a name matches a shell-style pattern, or a store path starts with it. Without patterns all do."""
    return not patterns or any(fnmatchcase(name, one) or bool(path and path.startswith(one)) for one in patterns)


def unused(used_on: date, unused_for: timedelta | None, *, now: datetime) -> bool:
    """Return whether the last use was before the day that is `unused_for` ago. None means any day."""
    return unused_for is None or used_on < (now - unused_for).astimezone(UTC).date()


def list_objects(store: Store, wanted: ObjectFilter | None = None) -> list[ListedObject]:
    """Return objects of the store, sorted by store path."""
    uses = store.last_used.days()
    found = [
        ListedObject(info, uses.get(info.path, info.registered_at.astimezone(UTC).date()))
        for info in store.objects.all()
    ]
    return (wanted or ObjectFilter()).select(found, _facts, now=datetime.now(UTC))


def _facts(one: ListedObject) -> ObjectFacts:
    return ObjectFacts(one.info.path, one.info.kind, one.used_on, one.info.registered_at)
