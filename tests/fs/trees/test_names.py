from __future__ import annotations

import pytest

from vstore.fs.trees.names import collisions, refused_by_windows


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README", "readme"),
        ("caf\u00e9", "cafe\u0301"),
        ("STRASSE", "stra\u00dfe"),
        ("\u212b", "\u00c5"),
        ("A\u0301", "\u00e1"),
    ],
)
def test_names_that_macos_or_windows_take_for_one(one: str, other: str) -> None:
    assert list(collisions([one, "other", other])) == [tuple(sorted((one, other)))]


def test_different_names_do_not_collide() -> None:
    assert list(collisions(["a", "b", "a.py", "_a", "a_", "\u0131", "i", "é", "e"])) == []


@pytest.mark.parametrize(
    "name", ["aux", "AUX.py", "con.tar.gz", "nul ", "lpt1.h", "com\u00b9", "x.", "x ", "a:b", "a?", "tab\t"]
)
def test_names_that_windows_cannot_have(name: str) -> None:
    assert refused_by_windows(name)


@pytest.mark.parametrize(
    "name", ["auxiliary.py", "console", ".con", "com", "com0", "com10.txt", "a b.c", "é", "__init__.py"]
)
def test_names_that_windows_can_have(name: str) -> None:
    assert refused_by_windows(name) is None
