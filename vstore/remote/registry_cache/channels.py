"""Claim the numbers of a channel in a registry, where nothing can be created only once.

A publisher claims a number under a tag of its own, then lists all tags. If it finds neither another claim to this
number nor a record of it, the number is its own: of two publishers, the one whose claim came later sees the claim or
the record of the other. So at most one of them writes a record, and readers see records only. If both see the other,
the smaller claim waits until the other is withdrawn. The claim of a killed publisher never becomes a
record: after some time the others pass over its number.

A claim is withdrawn after its record is written, and a list of tags is no snapshot: it may miss a tag that is written,
and one that is deleted, while it is made. So claims are looked for in one list, and records in the next.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

from vstore.errors import CacheError
from vstore.remote.registry_cache.repository import RecordRepository
from vstore.remote.registry_cache.tags import RecordTag, channel_number, channel_start, claimed_number, new_claim
from vstore.remote.transport.protocol import TransportError
from vstore.values import frozen

_WITHDRAW_PAUSES_SECONDS = (0.0, 0.1, 0.3, 1.0)  # a claim that stays makes others wait
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0


@frozen
class Claim:
    """A claim to a number of a channel, under its tag."""

    repository: RecordRepository
    number: int
    tag: str

    def withdraw(self) -> None:
        """Delete the claim. Where a registry refuses several times, it stays, and a collection lists it.

        A tag that a registry may have kept without its manifest gets one again, which is deleted with it.
        """
        for pause in _WITHDRAW_PAUSES_SECONDS:
            time.sleep(pause)
            with suppress(TransportError):
                stored = self.repository.read(self.tag)
                if stored is None or self.repository.delete(stored.key):
                    return
                self.repository.write(self.tag, b"{}", at=datetime.now(UTC))


class ChannelClaims:
    """Claims numbers of one channel.

    A claim of another publisher that is there for more than `patience_seconds`, and no record of it, is given up.
    After `limit_seconds` for one number after the other, all is.
    """

    def __init__(
        self,
        repository: RecordRepository,
        cache_name: str,
        channel: str,
        *,
        patience_seconds: float = 10.0,
        limit_seconds: float = 60.0,
    ) -> None:
        self._repository = repository
        self._cache_name = cache_name
        self._channel = channel
        self._patience_seconds = patience_seconds
        self._limit_seconds = limit_seconds
        self._seen: dict[str, float] = {}  # claims of others, and the time when each was seen first

    def claim(self, above: int) -> Claim:
        """Return a claim to a number that nobody else gets, the lowest free one above `above`.

        The caller withdraws the claim when it has written the record. Raises CacheError if others keep publishing.
        """
        ends, pause = time.monotonic() + self._limit_seconds, _FIRST_PAUSE_SECONDS
        while time.monotonic() < ends:
            if (number := self._free_number(above)) is not None:
                claim = Claim(repository=self._repository, number=number, tag=new_claim(self._channel, number))
                self._repository.write(claim.tag, b"{}", at=datetime.now(UTC))
                if self._is_won(claim):
                    return claim
                claim.withdraw()
            time.sleep(random.uniform(0.2, 1.0) * pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
        where = f"channel {self._channel} of {self._cache_name}"
        raise CacheError(f"{where} is being published by others", hint="try again")

    def _free_number(self, above: int) -> int | None:
        """Return the lowest number without a record; None while somebody else claims it.

        A number with a claim that is too old to be withdrawn is passed over.
        """
        now, claims, taken = time.monotonic(), self._claims(), self._recorded()
        for number, tags in claims.items():
            if any(now - self._seen.setdefault(tag, now) > self._patience_seconds for tag in tags):
                taken.add(number)
        free = next(number for number in count(above + 1) if number not in taken)
        return None if claims[free] else free

    def _is_won(self, claim: Claim) -> bool:
        """Return whether nobody else claims the number or has used it. The smallest claim waits for the others."""
        ends = time.monotonic() + self._patience_seconds
        while others := self._claims()[claim.number] - {claim.tag}:
            if min(others) < claim.tag or time.monotonic() > ends:
                return False
            time.sleep(_FIRST_PAUSE_SECONDS)
        return claim.number not in self._recorded()

    def _claims(self) -> defaultdict[int, set[str]]:
        """Return the tags of all claims, by number."""
        found = defaultdict[int, set[str]](set)
        for tag in self._repository.tags():
            if (number := claimed_number(self._channel, tag)) is not None:
                found[number].add(tag)
        return found

    def _recorded(self) -> set[int]:
        """Return the numbers that have a record."""
        start = channel_start(self._channel)
        tags = (RecordTag.parse(tag) for tag in self._repository.tags() if tag.startswith(start))
        return {number for tag in tags if tag and (number := channel_number(tag.subject)) is not None}
