"""Tags are digests that fit into any registry, and each can be told from the tags of others."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from scripts.testing.machine import KEY, OTHER
from vstore.digest import hash_bytes
from vstore.objects import StorePath
from vstore.remote.records.model import Channel
from vstore.remote.registry_cache import tags
from vstore.remote.registry_cache.tags import RecordTag
from vstore.sbom_format import SbomFormat

DIGEST = hash_bytes("test", b"")
PATH = StorePath.make(DIGEST, "x" * 100)
ANOTHER_NAME = StorePath.make(DIGEST, "y")
CHANNEL = Channel(
    name="c" * 100,
    number=(1 << 50) - 1,
    path=PATH,
    digest=DIGEST,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2027, 1, 1, tzinfo=UTC),
)
SUBJECTS = {
    "object": tags.object_subject(PATH),
    "recipe": tags.recipe_subject(DIGEST),
    "delta": tags.delta_subject(PATH, ANOTHER_NAME),
    "sbom": tags.sbom_subject(PATH, SbomFormat.CYCLONEDX),
    "channel": tags.channel_subject(CHANNEL),
}


@pytest.mark.parametrize("kind", SUBJECTS)
def test_the_longest_tags_are_allowed_and_read_again(kind: str) -> None:
    tag = RecordTag(SUBJECTS[kind], tags.signer_of(KEY.public))
    assert re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", str(tag))  # distribution specification, "Pull"
    assert RecordTag.parse(str(tag)) == tag
    assert tag.kind == kind


def test_different_things_have_different_tags() -> None:
    assert tags.object_subject(PATH) != tags.object_subject(ANOTHER_NAME), "one tree under two names"
    assert len({tags.signer_of(key) for key in (KEY.public, OTHER.public, None)}) == 3
    assert tags.sbom_subject(PATH, SbomFormat.CYCLONEDX) != tags.sbom_subject(PATH, SbomFormat.SPDX)
    assert tags.delta_subject(PATH, ANOTHER_NAME) != tags.delta_subject(ANOTHER_NAME, PATH)


def test_numbers_are_read_from_the_tags_of_channels_and_claims() -> None:
    assert tags.channel_number(SUBJECTS["channel"]) == CHANNEL.number
    assert tags.channel_number(SUBJECTS["object"]) is None
    claim = tags.new_claim("stable", 7)
    assert tags.claimed_number("stable", claim) == 7 and tags.is_claim(claim)
    assert tags.claimed_number("beta", claim) is None
    assert tags.new_claim("stable", 7) != claim


@pytest.mark.parametrize("tag", ["latest", "1.2", "object-1.2", "sha256-" + "0" * 64, "channel-stable-1", "pin-", ""])
def test_tags_of_images_are_none_of_a_cache(tag: str) -> None:
    assert RecordTag.parse(tag) is None
    assert not tags.is_claim(tag) and not tags.is_pin(tag)
