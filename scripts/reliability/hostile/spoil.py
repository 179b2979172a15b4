"""Spoiling bytes: what a hostile sender or a bad disk makes of a valid file."""

from __future__ import annotations

import random

WORDS = (
    b"..", b"../", b"/", b"//", b"/etc/passwd", b"\0", b"\n", b"\r\n", b'"', b"'", b"\\", b"; rm -rf x", b"$(id)",
    b"\xff\xfe", b"\xc3\x28", "é".encode(), "e\u0301".encode(), b"A" * 300, b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff",
    b"[" * 5000, b'{"a":' * 5000, b"1e999", b"-1", b"99999999999999999999", b"true", b"null", b"[]", b"{}", b"", b"NaN",
    b"Infinity", b'"\\ud800"', b"9" * 30, b'"a":1,"a":2',
)  # fmt: skip


def spoil(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: cut, repeat, move, flip, or put something else in."""
    for _ in range(chance.randint(1, 4)):
        at, other = (chance.randrange(len(data) + 1) for _ in range(2))
        low, high = min(at, other), max(at, other)
        match chance.randrange(9):
            case 0:
                data = data[:at]
            case 1:
                data = data + data[low:high]
            case 2:
                data = data[:low] + data[high:]
            case 3:
                data = data[:high] + data[low:high] + data[high:]
            case 4 if data:
                at = min(at, len(data) - 1)
                data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
            case 5:
                word = chance.choice(WORDS)
                data = data[:at] + word + data[at:]
            case 6:
                word = chance.choice(WORDS)
                data = data[:at] + word + data[at + len(word) :]
            case 7:
                lines = data.split(b"\n")
                chance.shuffle(lines)
                data = b"\n".join(lines)
            case _:
                data = data[:at] + chance.randbytes(chance.randint(1, 8)) + data[at:]
    return data
