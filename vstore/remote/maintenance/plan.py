"""Plan the collection of a cache: the deletable objects, and the time when others become deletable (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from vstore.errors import CacheError
from vstore.graph import bottom_up
from vstore.objects import StorePath
from vstore.remote.records.cache import GRACE
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.trust import NO_TRUST, Trust
from vstore.remote.transport.protocol import Stat
from vstore.values import frozen


@frozen
class CachePolicy:
    """The objects that a collection keeps.

    These are the stacks of the last `keep` numbers of each channel, and objects younger than `age`.

    Nothing younger than `grace` is deleted, because it may belong to a running push.
    """

    age: timedelta = timedelta(days=14)
    keep: int = 3
    grace: timedelta = GRACE

    @property
    def min_age(self) -> timedelta:
        """The age at which an unreachable object may be deleted."""
        return max(self.age, self.grace)


@frozen
class CachePlan:
    """The plan of a collection.

    `dead` objects are in the order of deletion, referrers first. `too_young` objects are unreachable too; each has the
    time when it may be deleted. `kept` objects have the root that reaches them. `orphans` are keys of no object.
    """

    dead: tuple[Item, ...]
    too_young: tuple[tuple[Item, datetime], ...]
    kept: tuple[tuple[Item, str], ...]
    orphans: tuple[str, ...]

    @property
    def freed_bytes(self) -> int:
        """The size of the dead objects."""
        return sum(item.size_bytes for item in self.dead)


def cache_roots(inventory: Inventory, keep: int, trust: Trust = NO_TRUST) -> dict[StorePath, str]:
    """Return the objects that channels and pins point to, each with a text that names its root.

    If a key is trusted, only signed numbers count towards `keep`: an unsigned one may keep an object, but displaces
    none.
    """
    found = dict.fromkeys(inventory.pins, "a pin")
    records = sorted(inventory.channels.values(), key=lambda channel: channel.number)
    signed = [one for one in records if not trust.keys or trust.trusts(one)]
    kept: dict[str, set[int]] = {}
    for one in reversed(signed):
        numbers = kept.setdefault(one.name, set())
        if len(numbers) < keep:
            numbers.add(one.number)
    for one in records:
        numbers = kept.get(one.name, set())
        if one.number in numbers or (one not in signed and one.path in inventory.items):
            found[one.path] = f"channel {one.name} number {one.number}"
    return found


def plan_cache_gc(inventory: Inventory, policy: CachePolicy, *, now: datetime, trust: Trust = NO_TRUST) -> CachePlan:
    """Decide which objects of a cache may be deleted.

    Raises CacheError if a root points to a missing object, because its closure is unknown then.
    """
    reached: dict[StorePath, str] = {}
    for root, reason in cache_roots(inventory, policy.keep, trust).items():
        if root not in inventory.items:
            raise CacheError(f"{reason} points to {root}, which is not in the cache", hint="push it again")
        for path in inventory.closure([root]):
            reached.setdefault(path, reason)
    unreached = [item for path, item in sorted(inventory.items.items()) if path not in reached]
    limit = now - policy.min_age
    young = sorted((item for item in unreached if item.touched_at > limit), key=lambda item: item.touched_at)
    # references are deleted after their referrers: the time of an object is that of the youngest that reaches it
    held = {path: item.touched_at for item in young for path in inventory.closure([item.path])}
    return CachePlan(
        dead=tuple(_referrers_first([item for item in unreached if item.path not in held])),
        too_young=tuple((item, held[item.path] + policy.min_age) for item in unreached if item.path in held),
        kept=tuple((inventory.items[path], reason) for path, reason in sorted(reached.items())),
        orphans=tuple(
            sorted(_untouched(inventory.orphans, limit) + _untouched(inventory.unfinished, now - policy.grace))
        ),
    )


def _untouched(stats: Iterable[Stat], since: datetime) -> list[str]:
    return [stat.key for stat in stats if stat.modified <= since]


def _referrers_first(items: list[Item]) -> list[Item]:
    by_path = {item.path: item for item in items}
    try:
        order = bottom_up({path: item.record.references for path, item in by_path.items()})
    except ValueError as error:
        raise CacheError("the records of the cache refer to each other in a cycle") from error
    return [by_path[path] for path in reversed(order)]
