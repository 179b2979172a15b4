"""BLAKE3 digests: framed, domain-separated hashing, which all names in a store come from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

from blake3 import blake3

from vstore.values import frozen

if TYPE_CHECKING:
    from json import JSONDecoder, JSONEncoder

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # Nix's base 32: no e, o, t, u, so no words
_TO_INT = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits of int()
SHORT_LENGTH = 32  # characters: 160 bits
_LARGEST = (1 << 63) - 1
_MAX_DEPTH = 64
_MAX_VALUES = 2_000_000  # of one text; each takes 64 bytes of memory or more


@frozen(kw_only=False, order=True)
class Digest:
    """A 256-bit BLAKE3 digest; prints as 64 hexadecimal characters."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse 64 hexadecimal digits. Raises ValueError."""
        return cls(from_hex(text))

    @property
    def short(self) -> str:
        """The first 160 bits in base 32, the start of a store path."""
        number = int.from_bytes(self.raw[:20], "big")
        return "".join(ALPHABET[number >> shift & 31] for shift in range(155, -1, -5))

    def __str__(self) -> str:
        return self.raw.hex()

    def has_short(self, text: str) -> bool:
        """Return whether a text for which `is_short` holds is the `short` one, in a tenth of its time."""
        return int(text.translate(_TO_INT), 32) == int.from_bytes(self.raw[:20], "big")


def from_hex(text: str) -> bytes:
    """Parse lower-case hexadecimal digits. Raises ValueError for anything else, such as capitals and blanks."""
    found = bytes.fromhex(text)
    if found.hex() != text:
        raise ValueError("not in plain hexadecimal digits")
    return found


def is_short(text: str) -> bool:
    """Return whether a text can be the start of a store path."""
    return len(text) == SHORT_LENGTH and not text.strip(ALPHABET)


def hash_bytes(context: str, data: bytes) -> Digest:
    """Hash bytes in their own domain (BLAKE3's key derivation mode)."""
    return Digest(blake3(data, derive_key_context=f"vstore {context}").digest())


def hash_pieces(context: str, pieces: Iterable[bytes]) -> Digest:
    """Hash bytes in pieces. The digest equals that of `hash_bytes`."""
    hasher = blake3(derive_key_context=f"vstore {context}")
    for piece in pieces:
        hasher.update(piece)
    return Digest(hasher.digest())


def hash_fields(context: str, *fields: bytes) -> Digest:
    """Hash several byte strings. Each is preceded by its length, so different lists have different digests."""
    return hash_bytes(context, b"".join(len(field).to_bytes(8, "big") + field for field in fields))


def canonical_json(value: object) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no blanks, UTF-8."""
    return _encoder().encode(value).encode()


@cache
def _encoder() -> JSONEncoder:
    from json import JSONEncoder

    return JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@cache
def _decoder() -> JSONDecoder:
    from json import JSONDecoder

    return JSONDecoder(object_pairs_hook=_distinct, parse_int=_small, parse_float=_finite, parse_constant=_finite)


def parse_json(text: bytes, *, max_values: int = _MAX_VALUES) -> Any:
    """Parse untrusted JSON. Raises ValueError for values that `canonical_json` cannot write.

    These are duplicate keys, NaN and infinity, integers beyond 64 bits, unpaired surrogates, values nested more than
    `_MAX_DEPTH` deep, and more than `max_values` values, which are refused before parsing.
    """
    from json import detect_encoding  # 1 ms that no start pays

    if sum(map(text.count, (b",", b"[", b"{"))) > max_values:
        raise ValueError(f"more than {max_values} values")
    try:
        plain = text.decode(detect_encoding(text))
        value = _decoder().decode(plain)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count(b"[") + text.count(b"{") > _MAX_DEPTH:
        _check_depth(value)
    if "\\u" in plain:
        canonical_json(value)  # refuses an unpaired surrogate
    return value


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
    if level:
        raise ValueError("nested too deeply")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _small(text: str) -> int:
    number = int(text) if len(text) <= 20 else _LARGEST + 1
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError("a number beyond 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"not a finite number: {text}")
    return number


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def hash_json(context: str, value: object) -> Digest:
    """Hash the canonical JSON of a value."""
    return hash_bytes(context, canonical_json(value))
