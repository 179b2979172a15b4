"""The tags of records: the kind, digests of what the record is about, and the digest of the key that signed it.

A tag has at most 128 characters of a small alphabet, so names stand in the records alone. Each key has a tag of its
own, so nobody writes the record of another.
"""

from __future__ import annotations

import re
import secrets
from typing import Self

from vstore.digest import ALPHABET, SHORT_LENGTH, Digest, hash_fields
from vstore.objects import StorePath
from vstore.remote.records.model import Channel, DeltaRecord, ObjectRecord, Realisation, Record, SbomRecord
from vstore.remote.records.trust import Key
from vstore.sbom_format import SbomFormat
from vstore.values import frozen

CACHE_TAG = "vstore-cache"
_DIGEST = f"[{ALPHABET}]{{{SHORT_LENGTH}}}"
_FORMAT = "|".join(SbomFormat)
_RECORD_TAG = re.compile(
    rf"((?:object|recipe|sbom-(?:{_FORMAT})|delta-{_DIGEST}|channel-{_DIGEST}-[0-9]{{1,16}})-{_DIGEST})-({_DIGEST})"
)
_CHANNEL = re.compile(rf"channel-({_DIGEST})-([0-9]{{1,16}})-{_DIGEST}")
_CLAIM = re.compile(rf"claim-({_DIGEST})-([0-9]{{1,16}})-{_DIGEST}")
_PIN = re.compile(rf"pin-{_DIGEST}")


@frozen(kw_only=False, order=True)
class RecordTag:
    """The tag of a record: its subject, such as ``object-<digest of the path>``, and its signer's digest."""

    subject: str
    signer: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a tag; None for one that is not the tag of a record."""
        found = _RECORD_TAG.fullmatch(text)
        return cls(found[1], found[2]) if found else None

    @property
    def kind(self) -> str:
        """The first word: ``object``, ``recipe``, ``delta``, ``sbom`` or ``channel``."""
        return self.subject.partition("-")[0]

    def __str__(self) -> str:
        return f"{self.subject}-{self.signer}"


def signer_of(key: Key | None) -> str:
    """Return the part of a tag that names a key, or, without one, that the record is not signed."""
    return hash_fields("tag signer 1", *([str(key).encode()] if key else [])).short


def recipe_subject(recipe: Digest) -> str:
    """Return the subject of the record of a recipe's object."""
    return f"recipe-{hash_fields('tag recipe 1', recipe.raw).short}"


def object_subject(path: StorePath) -> str:
    """Return the subject of the record of an object."""
    return f"object-{_path_digest(path)}"


def delta_subject(new: StorePath, old: StorePath) -> str:
    """Return the subject of the record of a delta."""
    return f"delta-{_path_digest(new)}-{_path_digest(old)}"


def sbom_subject(path: StorePath, form: SbomFormat) -> str:
    """Return the subject of the record of an SBOM."""
    return f"sbom-{form}-{_path_digest(path)}"


def channel_subject(channel: Channel) -> str:
    """Return the subject of one record of a channel: records of one number that differ have different tags."""
    fingerprint = hash_fields("tag channel 1", channel.fingerprint).short
    return f"channel-{_name_digest(channel.name)}-{channel.number}-{fingerprint}"


def subject_of(record: Record) -> str:
    """Return the subject of a record."""
    match record:
        case Realisation():
            return recipe_subject(record.recipe)
        case ObjectRecord():
            return object_subject(record.path)
        case DeltaRecord():
            return delta_subject(record.new, record.old)
        case SbomRecord():
            return sbom_subject(record.path, record.format)
        case Channel():
            return channel_subject(record)


def channel_start(name: str) -> str:
    """Return the start of the subjects of a channel."""
    return f"channel-{_name_digest(name)}-"


def channel_number(subject: str) -> int | None:
    """Return the number in the subject of a channel's record; None for another subject."""
    found = _CHANNEL.fullmatch(subject)
    return int(found[2]) if found else None


def new_claim(name: str, number: int) -> str:
    """Return a tag that claims a number of a channel. No two publishers have the same one."""
    return f"claim-{_name_digest(name)}-{number}-{hash_fields('tag claim 1', secrets.token_bytes(32)).short}"


def claimed_number(name: str, tag: str) -> int | None:
    """Return the number of a channel that a tag claims; None for any other tag."""
    found = _CLAIM.fullmatch(tag)
    return int(found[2]) if found and found[1] == _name_digest(name) else None


def is_claim(tag: str) -> bool:
    """Return whether a tag claims a number of a channel."""
    return _CLAIM.fullmatch(tag) is not None


def pin_tag(path: StorePath) -> str:
    """Return the tag of the pin that keeps an object regardless of channels."""
    return f"pin-{_path_digest(path)}"


def is_pin(tag: str) -> bool:
    """Return whether a tag is that of a pin."""
    return _PIN.fullmatch(tag) is not None


def _path_digest(path: StorePath) -> str:
    return hash_fields("tag path 1", str(path).encode()).short


def _name_digest(name: str) -> str:
    return hash_fields("tag name 1", name.encode()).short
