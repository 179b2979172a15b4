"""A realisation with the signatures of several keys is written under the tag of each."""

from __future__ import annotations

from pathlib import Path

from scripts.testing.machine import KEY, OTHER
from scripts.testing.trees import recipe
from vstore.digest import hash_bytes
from vstore.objects import StorePath
from vstore.remote import SecretKey, Signer, Trust, open_cache
from vstore.remote.records.model import Realisation
from vstore.remote.records.trust import sign

UNKNOWN = SecretKey("unknown", b"9" * 32)
BOTH = Trust(keys=(KEY.public, OTHER.public), require=2)


def test_signatures_of_known_keys_are_written(url: str) -> None:
    cache, faults = open_cache(url), list[str]()
    digest = hash_bytes("test", b"agreed")
    own = Realisation(recipe=recipe("agreed"), path=StorePath.make(digest, "agreed"), digest=digest, size_bytes=1)
    cache.writer.create(Path("/nowhere"))
    signed = sign(own, (KEY, OTHER, UNKNOWN))
    stated = cache.writer.add_realisation(signed, Signer((), BOTH), lambda key, fault: faults.append(fault))
    found = cache.realisation(own.recipe, BOTH)
    assert stated == own.path and found is not None and BOTH.trusts(found) and faults == []
    assert {one.key for one in found.signatures} == {KEY.name, OTHER.name}
    assert cache.realisation(own.recipe, Trust(keys=(UNKNOWN.public,))) is None
