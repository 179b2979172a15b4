"""What of a cache may be deleted, and when the rest may (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from vstore.errors import CacheError
from vstore.graph import bottom_up
from vstore.objects import StorePath
from vstore.remote.records.inventory import Inventory, Item
from vstore.remote.records.trust import NOBODY, Trust
from vstore.remote.transport.protocol import Stat
from vstore.values import frozen


@frozen
class Policy:
    """The last `keep` numbers of each channel keep their stacks; the rest goes `age` after it was last touched.

    Nothing younger than `grace` is ever deleted: it may belong to a push that is still going on.
    """

    age: timedelta = timedelta(days=14)
    keep: int = 3
    grace: timedelta = timedelta(days=1)

    @property
    def wait(self) -> timedelta:
        return max(self.age, self.grace)


@frozen
class CachePlan:
    """`dead` is in the order of deletion, referrers first; `waiting` is not reached, but young; `kept` by whom."""

    dead: tuple[Item, ...]
    waiting: tuple[tuple[Item, datetime], ...]
    kept: tuple[tuple[Item, str], ...]
    stray: tuple[str, ...]

    @property
    def freed_bytes(self) -> int:
        return sum(item.size_bytes for item in self.dead)


def roots(inventory: Inventory, keep: int, trust: Trust = NOBODY) -> dict[StorePath, str]:
    """Return what channels and pins point to, each with what points to it.

    Where a key is trusted, only numbers that are signed count towards `keep`. Others may keep an object, but displace
    none.
    """
    found = dict.fromkeys(inventory.pins, "a pin")
    records = sorted(inventory.channels.values(), key=lambda channel: channel.number)
    signed = [one for one in records if not trust.keys or trust.refusal(one.line, one.signatures) is None]
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


def make_plan(inventory: Inventory, policy: Policy, *, now: datetime, trust: Trust = NOBODY) -> CachePlan:
    """Decide. CacheError when a root points to what is not there, as then its closure is not known."""
    reached: dict[StorePath, str] = {}
    for root, reason in roots(inventory, policy.keep, trust).items():
        if root not in inventory.items:
            raise CacheError(f"{reason} points to {root}, which is not in the cache", hint="push it again")
        for path in inventory.closure([root]):
            reached.setdefault(path, reason)
    unreached = [item for path, item in sorted(inventory.items.items()) if path not in reached]
    limit = now - policy.wait
    young = {item.path for item in unreached if item.touched_at > limit}
    held = inventory.closure(young)  # what a young object refers to goes with it, not before
    return CachePlan(
        dead=tuple(_referrers_first([item for item in unreached if item.path not in held])),
        waiting=tuple(
            (item, max(item.touched_at, _youngest(inventory, young, item.path)) + policy.wait)
            for item in unreached
            if item.path in held
        ),
        kept=tuple((inventory.items[path], reason) for path, reason in sorted(reached.items())),
        stray=tuple(sorted(_untouched(inventory.stray, limit) + _untouched(inventory.unfinished, now - policy.grace))),
    )


def _untouched(stats: Iterable[Stat], since: datetime) -> list[str]:
    return [stat.key for stat in stats if stat.modified <= since]


def _youngest(inventory: Inventory, young: set[StorePath], path: StorePath) -> datetime:
    """When the youngest object that refers to this one was touched."""
    return max(inventory.items[top].touched_at for top in young if path in inventory.closure([top]))


def _referrers_first(items: list[Item]) -> list[Item]:
    by_path = {item.path: item for item in items}
    try:
        order = bottom_up({path: item.record.references for path, item in by_path.items()})
    except ValueError as error:
        raise CacheError("the records of the cache refer to each other in a circle") from error
    return [by_path[path] for path in reversed(order)]
