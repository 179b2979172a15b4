"""BLAKE3 digests and the framed, domain-separated hashing behind every name in the store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from blake3 import blake3

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # Nix's base 32: no e, o, t, u, so no words
SHORT_LENGTH = 32  # characters: 160 bits


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A 256-bit BLAKE3 digest; prints as 64 hexadecimal characters."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(bytes.fromhex(text))

    @property
    def short(self) -> str:
        """The first 160 bits in base 32: what a store path starts with."""
        number = int.from_bytes(self.raw[:20], "big")
        return "".join(ALPHABET[number >> shift & 31] for shift in range(155, -1, -5))

    def __str__(self) -> str:
        return self.raw.hex()


def is_short(text: str) -> bool:
    """Whether the text could start a store path."""
    return len(text) == SHORT_LENGTH and not text.strip(ALPHABET)


def hash_bytes(context: str, data: bytes) -> Digest:
    """Hash one byte string in its own domain (BLAKE3's key derivation mode)."""
    return Digest(blake3(data, derive_key_context=f"vstore {context}").digest())


def hash_pieces(context: str, pieces: Iterable[bytes]) -> Digest:
    """Hash one byte string that comes in pieces: the digest is that of `hash_bytes`."""
    hasher = blake3(derive_key_context=f"vstore {context}")
    for piece in pieces:
        hasher.update(piece)
    return Digest(hasher.digest())


def hash_fields(context: str, *fields: bytes) -> Digest:
    """Hash several byte strings; each is framed by its length, so no two lists hash alike."""
    return hash_bytes(context, b"".join(len(field).to_bytes(8, "big") + field for field in fields))


def canonical_json(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_json(context: str, value: object) -> Digest:
    """Hash a JSON value by its canonical text."""
    return hash_bytes(context, canonical_json(value))
