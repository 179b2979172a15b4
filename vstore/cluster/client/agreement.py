"""Agreement of builders: an object counts once enough different keys state it for the same node (pure).

With `require` above 1 each node is built by that many workers, which sign with different keys. If their objects differ,
further keys are asked until one object has enough of them. A key that stated another object is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

from vstore.objects import StorePath

Votes = Mapping[str, StorePath]  # of one node: the object that each signer key states


def agreed_object(votes: Votes, require: int) -> StorePath | None:
    """Return the only object that at least `require` keys state; None if there is none, or more than one."""
    counts = Counter(votes.values()).most_common(2)
    if not counts or counts[0][1] < require or (len(counts) > 1 and counts[1][1] >= require):
        return None
    return counts[0][0]


def dissenters(votes: Votes, agreed: StorePath) -> tuple[str, ...]:
    """Return the keys that state another object than the agreed one."""
    return tuple(sorted(key for key, path in votes.items() if path != agreed))


def choose_keys(
    node: StorePath, votes: Votes, keys: Sequence[str], require: int, *, avoid: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the keys to ask next, as many as one object may still lack.

    `keys` are those of the workers, `avoid` those that are asked last. The node decides the order, so that the work is
    divided among all keys and two clients ask the same ones. Fewer are returned if there are no more.
    """
    most = max(Counter(votes.values()).values(), default=0)
    left = sorted(
        (key for key in keys if key not in votes),
        key=lambda key: (key in avoid, sha256(f"{node} {key}".encode()).digest()),
    )
    return tuple(left[: max(require - most, 0)])
